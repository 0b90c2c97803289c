"""The tables beside a descriptor file: one row per frame."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from opticornet.datasets.labels import first_repeated
from opticornet.utils.errors import UserError
from opticornet.utils.files import atomic_path

# The columns that say where a frame is: exactly one of these sets, or none (then the row number is the position).
POSITION_COLUMNS = (("x", "y", "z"), ("x", "y"), ("frame",), ("lat", "lon"))
FRAME_COLUMNS = ("name", "x", "y", "z", "frame", "lat", "lon", "sequence", "timestamp", "image")


@dataclass(frozen=True)
class FrameTable:
    """A frames table as read: every attribute is None where the table has no such column.

    Attributes:
        position_columns: the set of :data:`POSITION_COLUMNS` found, or ().
        positions: (N, P) float64, the values of those columns (degrees for lat, lon).
        bounds: (N, 2) int64 half-open, from the ``sequence`` column.
        names, images: N strings.
        timestamps: (N,) float64 seconds.
    """

    position_columns: tuple[str, ...] = ()
    positions: np.ndarray | None = None
    bounds: np.ndarray | None = None
    names: tuple[str, ...] | None = None
    timestamps: np.ndarray | None = None
    images: tuple[str, ...] | None = None

    @property
    def lat_lon(self) -> np.ndarray | None:
        """(N, 2) degrees; None where positions are given otherwise."""
        return self.positions if self.position_columns == ("lat", "lon") else None

    @property
    def count(self) -> int | None:
        """How many frames the table lists; None without a table."""
        columns = (self.positions, self.bounds, self.names, self.timestamps, self.images)
        return next((len(column) for column in columns if column is not None), None)


def read_frames(path: Path) -> FrameTable:
    """Read a frames table: CSV with a header, columns by name from :data:`FRAME_COLUMNS`, in any order.

    Raises:
        UserError: unknown or repeated column, mixed kinds of position, a missing or non-finite number, a repeated
            name, a sequence that is left and comes back, latitude or longitude out of range.
    """
    columns = read_cells(path, FRAME_COLUMNS)
    found = tuple(name for name in ("x", "y", "z", "frame", "lat", "lon") if name in columns)
    if found and found not in POSITION_COLUMNS:
        raise UserError(
            f"{path}: position columns {', '.join(found)}; wanted x, y[, z] in metres, or frame, or lat, lon"
        )
    positions = np.stack([_numbers(path, name, columns[name]) for name in found], axis=1) if found else None
    if positions is not None and found == ("lat", "lon"):
        _check_lat_lon(path, positions)
    names = tuple(columns["name"]) if "name" in columns else None
    if (twice := first_repeated(names or ())) is not None:
        raise UserError(f"{path}: the name {twice!r} occurs twice; names tell frames apart")
    timestamps = _numbers(path, "timestamp", columns["timestamp"]) if "timestamp" in columns else None
    return FrameTable(
        position_columns=found,
        positions=positions,
        bounds=_bounds_of(path, columns["sequence"]) if "sequence" in columns else None,
        names=names,
        timestamps=timestamps,
        images=tuple(columns["image"]) if "image" in columns else None,
    )


def write_frames(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write a frames table; keys are from :data:`FRAME_COLUMNS`, values are equally long. Floats keep all digits."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def read_cells(path: Path, allowed: tuple[str, ...]) -> dict[str, list[str]]:
    """A CSV file as {column: cells}, every cell stripped."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such table; check the path") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a UTF-8 CSV table ({error})") from error
    header, *body = rows or [[]]
    for name in header:
        if name not in allowed or header.count(name) > 1:
            fault = "occurs twice" if name in allowed else "is unknown"
            raise UserError(f"{path}: column {name!r} {fault}; columns are {', '.join(allowed)}")
    if not body:
        raise UserError(f"{path}: no rows; wanted a header and one row per frame")
    for index, row in enumerate(body):
        if len(row) != len(header):
            raise UserError(f"{path}: {line_name(index)} has {len(row)} cells, the header has {len(header)}")
    return dict(zip(header, map(list, zip(*body, strict=True)), strict=True))


def _numbers(path: Path, column: str, cells: list[str]) -> np.ndarray:
    """(N,) float64, all finite."""
    try:
        values = np.array(cells, dtype=np.float64)
    except ValueError:
        values = np.array([_number_or_nan(cell) for cell in cells])
    if (bad := np.flatnonzero(~np.isfinite(values))).size:
        raise UserError(f"{path}: {line_name(bad[0])}: {column} is {cells[bad[0]]!r}, not a finite number")
    return values


def _check_lat_lon(path: Path, degrees: np.ndarray) -> None:
    if (bad := np.flatnonzero((np.abs(degrees) > (90, 180)).any(axis=1))).size:
        raise UserError(f"{path}: {line_name(bad[0])} has no such latitude, longitude: {degrees[bad[0]].tolist()}")


def _number_or_nan(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan


def _bounds_of(path: Path, sequences: list[str]) -> np.ndarray:
    """(N, 2) half-open range of each run of equal labels."""
    labels = np.array(sequences)
    starts = np.flatnonzero(np.concatenate([[True], labels[1:] != labels[:-1]]))
    run_labels = labels[starts].tolist()
    if (label := first_repeated(run_labels)) is not None:
        again = run_labels.index(label, run_labels.index(label) + 1)
        raise UserError(
            f"{path}: {line_name(starts[again])}: sequence {label!r} comes back after another one; "
            "the frames of a sequence are consecutive rows"
        )
    stops = np.append(starts[1:], len(labels))
    return np.repeat(np.stack([starts, stops], axis=1), stops - starts, axis=0)


def line_name(index: int) -> str:
    """How messages name a data row: as its line in a file with a header and no blank lines."""
    return f"line {int(index) + 2}"
