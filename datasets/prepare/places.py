"""Where each image of a folder was taken, from a table or a trajectory beside it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opticornet.datasets.folder.tables import POSITION_COLUMNS
from opticornet.datasets.labels import first_repeated
from opticornet.datasets.prepare.columns import Columns, read_columns
from opticornet.datasets.prepare.image_folder import rows_by_stem
from opticornet.datasets.prepare.trajectory import Trajectory, image_seconds, read_poses, time_units
from opticornet.utils.errors import UserError


@dataclass(frozen=True)
class Places:
    """What is known of N images.

    Attributes:
        positions: frame-table column to (N,) float64, of one set of ``POSITION_COLUMNS``; any value where not known.
        known: (N,) bool.
        sequences: (N,) labels, or None.
        seconds: (N,) float64, or None.
    """

    positions: dict[str, np.ndarray]
    known: np.ndarray
    sequences: np.ndarray | None = None
    seconds: np.ndarray | None = None


def read_places(path: Path, images: tuple[str, ...], folder: Path, reach_s: float) -> Places:
    """Read positions for the images of a folder.

    A table (``.csv``) says which image a row belongs to by ``name`` (or ``image``), else by ``timestamp`` (in units
    as in file names) against the times in the file names, else by order. A trajectory (any other suffix) does so by
    time (tum) or by order (kitti). By time, positions are interpolated.

    Args:
        images: names, relative to ``folder``.
        reach_s: see :meth:`opticornet.datasets.prepare.trajectory.Trajectory.at`.

    Raises:
        UserError: missing columns, positions of two kinds or off the globe, rows that match no image, as many rows as
            images wanted, times that do not overlap.
    """
    if path.suffix != ".csv":
        seconds, positions = read_poses(path)
        columns: tuple[str, ...] = ("x", "y", "z")
        if seconds is None:
            _check_count(path, len(positions), images, folder)
            return Places(dict(zip(columns, positions.T, strict=True)), np.ones(len(images), bool))
        return _by_time(Trajectory.of(path, seconds, positions), columns, images, folder, reach_s)
    table = read_columns(path)
    columns = _position_columns(table)
    values = np.stack([table.numbers(column) for column in columns], axis=1)
    if columns == ("lat", "lon") and (bad := np.flatnonzero((np.abs(values) > (90, 180)).any(axis=1))).size:
        raise UserError(f"{path}: data row {bad[0] + 1} has no such latitude, longitude: {values[bad[0]].tolist()}")
    seconds = table.numbers("timestamp") * time_units(table["timestamp"]) if "timestamp" in table else None
    if seconds is not None and "name" not in table and "image" not in table:
        trajectory = Trajectory.of(path, seconds, values)
        return _by_time(trajectory, columns, images, folder, reach_s)
    rows = _image_rows(table, images, folder)
    row_of = np.full(len(images), -1)
    row_of[rows] = np.arange(len(rows))
    return Places(
        positions=dict(zip(columns, values[row_of].T, strict=True)),
        known=row_of >= 0,
        sequences=np.array(table["sequence"])[row_of] if "sequence" in table else None,
        seconds=None if seconds is None else seconds[row_of],
    )


def _by_time(
    trajectory: Trajectory, columns: tuple[str, ...], images: tuple[str, ...], folder: Path, reach_s: float
) -> Places:
    seconds = image_seconds(images, folder)
    positions, known = trajectory.at(seconds, reach_s)
    return Places(dict(zip(columns, positions.T, strict=True)), known, seconds=seconds)


def _position_columns(table: Columns) -> tuple[str, ...]:
    found = [columns for columns in POSITION_COLUMNS if all(column in table for column in columns)]
    if not found:
        raise UserError(
            f"{table.path}: no position columns; wanted x, y[, z] in metres, or lat, lon in degrees, or frame; it has "
            f"{', '.join(filter(None, table.cells))}"
        )
    kinds = {columns[0]: ", ".join(columns) for columns in reversed(found)}  # x, y, z holds x, y
    if len(kinds) > 1:
        raise UserError(
            f"{table.path}: positions of more than one kind, {' and '.join(kinds.values())}; keep one, rename the "
            "other columns"
        )
    return found[0]


def _image_rows(table: Columns, images: tuple[str, ...], folder: Path) -> np.ndarray:
    """Which image each row of a table belongs to, by name or by order."""
    column = next((column for column in ("name", "image") if column in table), None)
    if column is None:
        _check_count(table.path, len(table), images, folder)
        return np.arange(len(images))
    labels = table[column]
    rows = {image: row for row, image in enumerate(images)}
    if labels[0] not in rows:  # names without suffix
        rows = rows_by_stem(table.path, images)
    if missing := [label for label in labels if label not in rows]:
        raise UserError(
            f"{table.path}: {len(missing)} of {len(labels)} rows match no image of {folder}, first {missing[0]!r}"
        )
    if twice := first_repeated(labels):
        raise UserError(f"{table.path}: {column} {twice!r} occurs twice; wanted one row per image")
    return np.array([rows[label] for label in labels])


def _check_count(path: Path, count: int, images: tuple[str, ...], folder: Path) -> None:
    if count != len(images):
        raise UserError(
            f"{path}: {count} rows for {len(images)} images of {folder}; wanted one row per image, or a column name or "
            "timestamp that says which"
        )
