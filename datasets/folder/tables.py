"""The tables beside a descriptor file: one row per frame."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from opticornet.datasets.columns import read_known_columns
from opticornet.datasets.labels import first_repeated
from opticornet.utils.errors import UserError
from opticornet.utils.files import atomic_path


@dataclass(frozen=True)
class FrameTable:
    """A frames table as read: every attribute is None where the table has no such column.

    Attributes:
        position_columns: the set of :data:`opticornet.datasets.column_names.POSITION_COLUMNS` found, or ().
        positions: (N, P) float64, the values of those columns (degrees for lat, lon); NaN where they are empty.
        bounds: (N, 2) int64 half-open, from the ``sequence`` column.
        names, images: N strings.
        timestamps: (N,) float64 seconds.
        scored, usable: (N,) bool, see :class:`opticornet.datasets.traverse.Traverse`.
    """

    position_columns: tuple[str, ...] = ()
    positions: np.ndarray | None = None
    bounds: np.ndarray | None = None
    names: tuple[str, ...] | None = None
    timestamps: np.ndarray | None = None
    images: tuple[str, ...] | None = None
    scored: np.ndarray | None = None
    usable: np.ndarray | None = None

    @property
    def lat_lon(self) -> np.ndarray | None:
        """(N, 2) degrees; None where positions are given otherwise."""
        return self.positions if self.position_columns == ("lat", "lon") else None

    @property
    def count(self) -> int | None:
        """How many frames the table lists; None without a table."""
        columns = (
            *(self.positions, self.bounds, self.names, self.timestamps, self.images),
            *(self.scored, self.usable),
        )
        return next((len(column) for column in columns if column is not None), None)


def read_frames(path: Path, ignore: tuple[str, ...] = ()) -> FrameTable:
    """Read a frames table: CSV with a header, columns by name, in any order.

    Args:
        path: a table of :data:`opticornet.datasets.column_names.FRAME_COLUMNS`, or what those are also called.
        ignore: columns that are not wanted.

    Raises:
        UserError: a column that is not understood, repeated, or ignored and not there; mixed kinds of position, a
            number that is not finite, a repeated name, a sequence that is left and comes back, latitude or
            longitude out of range.
    """
    columns = read_known_columns(path, ignore=ignore)
    if len(columns.ignored) < len(ignore):
        there = ", ".join(columns.ignored) or "none"
        raise UserError(f"{path}: `ignore_columns` names {', '.join(ignore)}; of these it has {there}")
    found = columns.position_columns()
    names = tuple(columns["name"]) if "name" in columns else None
    if (twice := first_repeated(names or ())) is not None:
        raise UserError(f"{path}: the name {twice!r} occurs twice; names tell frames apart")
    return FrameTable(
        position_columns=found,
        positions=columns.positions(empty=True) if found else None,
        bounds=_bounds_of(path, columns["sequence"], columns.lines) if "sequence" in columns else None,
        names=names,
        timestamps=columns.numbers("timestamp") if "timestamp" in columns else None,
        images=tuple(columns["image"]) if "image" in columns else None,
        scored=columns.flags("score") if "score" in columns else None,
        usable=columns.flags("usable") if "usable" in columns else None,
    )


def write_frames(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write a frames table; values are equally long. Floats keep all digits."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def run_bounds(labels: np.ndarray) -> np.ndarray:
    """(N, 2) int64 half-open range of rows of each run of equal labels (N,)."""
    starts = np.flatnonzero(np.concatenate([[True], labels[1:] != labels[:-1]]))
    stops = np.append(starts[1:], len(labels))
    return np.repeat(np.stack([starts, stops], axis=1), stops - starts, axis=0)


def _bounds_of(path: Path, sequences: list[str], lines: tuple[int, ...]) -> np.ndarray:
    """(N, 2) half-open range of each run of equal labels, which do not come back."""
    bounds = run_bounds(np.array(sequences))
    starts = np.unique(bounds[:, 0])
    run_labels = [sequences[start] for start in starts]
    if (label := first_repeated(run_labels)) is not None:
        again = run_labels.index(label, run_labels.index(label) + 1)
        raise UserError(
            f"{path}: line {lines[starts[again]]}: sequence {label!r} comes back after another one; "
            "the frames of a sequence are consecutive rows"
        )
    return bounds
