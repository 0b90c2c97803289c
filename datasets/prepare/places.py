"""Where each image of a folder was taken, from a table or a trajectory beside it."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from opticornet.datasets.columns import Columns, read_known_columns
from opticornet.datasets.labels import first_repeated
from opticornet.datasets.prepare.image_folder import rows_by_stem, stem
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
        ignored: columns of the table that were left out because they were named.
    """

    positions: dict[str, np.ndarray]
    known: np.ndarray
    sequences: np.ndarray | None = None
    seconds: np.ndarray | None = None
    ignored: tuple[str, ...] = ()


def read_places(
    path: Path, images: tuple[str, ...], folder: Path, reach_s: float, ignore: tuple[str, ...] = ()
) -> Places:
    """Read positions for the images of a folder.

    A table (``.csv``) says which image a row belongs to by ``name`` or ``image``, else by ``timestamp`` (in units
    as in file names) against the times in the file names, else by order. A trajectory (any other suffix) does so by
    time (tum) or by order (kitti). By time, positions are interpolated.

    Args:
        images: names, relative to ``folder``.
        ignore: columns of a table that are not wanted.
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
    table = read_known_columns(path, ignore=ignore)
    columns = table.position_columns()
    if not columns:
        raise UserError(
            f"{path}: no position columns; wanted x, y[, z] in metres, or lat, lon in degrees, or frame; it has "
            f"{', '.join(table.headers.values()) or 'none'}"
        )
    values = table.positions()
    seconds = table.numbers("timestamp") * time_units(table["timestamp"]) if "timestamp" in table else None
    if seconds is not None and "name" not in table and "image" not in table:
        trajectory = Trajectory.of(path, seconds, values)
        return replace(_by_time(trajectory, columns, images, folder, reach_s), ignored=table.ignored)
    rows = _image_rows(table, images, folder)
    row_of = np.full(len(images), -1)
    row_of[rows] = np.arange(len(rows))
    return Places(
        positions=dict(zip(columns, values[row_of].T, strict=True)),
        known=row_of >= 0,
        sequences=np.array(table["sequence"])[row_of] if "sequence" in table else None,
        seconds=None if seconds is None else seconds[row_of],
        ignored=table.ignored,
    )


def _by_time(
    trajectory: Trajectory, columns: tuple[str, ...], images: tuple[str, ...], folder: Path, reach_s: float
) -> Places:
    seconds = image_seconds(images, folder)
    positions, known = trajectory.at(seconds, reach_s)
    return Places(dict(zip(columns, positions.T, strict=True)), known, seconds=seconds)


def _image_rows(table: Columns, images: tuple[str, ...], folder: Path) -> np.ndarray:
    """Which image each row of a table belongs to, by name or by order."""
    named = [column for column in ("name", "image") if column in table]
    if not named:
        _check_count(table.path, len(table), images, folder)
        return np.arange(len(images))
    found = {column: _rows_of(table.path, table[column], images) for column in named}
    column = max(named, key=lambda name: int(np.sum(found[name] >= 0)))  # a second column may be a title or a path
    rows, labels = found[column], table[column]
    if (missing := np.flatnonzero(rows < 0)).size:
        raise UserError(
            f"{table.path}: {len(missing)} of {len(labels)} rows match no image of {folder}, first "
            f"{labels[missing[0]]!r} ({table.headers[column]})"
        )
    for other in named:
        if (clash := np.flatnonzero((found[other] >= 0) & (found[other] != rows))).size:
            raise UserError(
                f"{table.path}: line {table.lines[clash[0]]}: {table.headers[column]} {labels[clash[0]]!r} and "
                f"{table.headers[other]} {table[other][clash[0]]!r} are different images"
            )
    if len(np.unique(rows)) < len(rows):
        twice = first_repeated(images[row] for row in rows)
        raise UserError(f"{table.path}: {table.headers[column]} {twice!r} occurs twice; wanted one row per image")
    return rows


def _rows_of(path: Path, labels: list[str], images: tuple[str, ...]) -> np.ndarray:
    """(N,) row of the image that each label names, -1 for none: by its name, without suffix, or without folders."""
    whole = {image: row for row, image in enumerate(images)}
    rows = np.array([whole.get(label.replace("\\", "/"), -1) for label in labels])
    if (rows >= 0).any():
        return rows
    stems = rows_by_stem(path, images)
    rows = np.array([stems.get(label, -1) for label in labels])
    if (rows >= 0).any():
        return rows
    return np.array([stems.get(stem(label.replace("\\", "/")), -1) for label in labels])


def _check_count(path: Path, count: int, images: tuple[str, ...], folder: Path) -> None:
    if count != len(images):
        raise UserError(
            f"{path}: {count} rows for {len(images)} images of {folder}; wanted one row per image, or a column name or "
            "timestamp that says which"
        )
