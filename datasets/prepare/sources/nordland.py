"""Nordland: one railway line in four seasons, one frame per second, aligned: the same name is the same place.

::

    <root>/<season>/*.png
    <root>/frames.csv          optional: name, frame, split

The full videos have 35768 frames per season; seqNet and others use the 27592 "clean" ones, without tunnels and stops.
"""

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from opticornet.datasets.columns import Columns, read_columns
from opticornet.datasets.prepare.image_folder import absolute, images_of, listed_rows, stem
from opticornet.datasets.prepare.partition import QUERY_HELP, splits_of_drives
from opticornet.datasets.prepare.prepared import DriveRows, Prepared, PreparedSplit, PreparedTraverse, Source
from opticornet.datasets.seqnet.layout import NORDLAND_ROWS
from opticornet.datasets.split_names import USUAL_SPLITS
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

CLEAN_FRAMES = 27592
# SeqNet (RA-L 2021), in frames: training positives, training negatives, correct in val and test.
TRAIN_POSITIVE, TRAIN_NEGATIVE, CORRECT = 10.0, 40.0, 1.0


@dataclass(frozen=True, kw_only=True)
class Nordland(Source):
    """``nordland``: one railway line in four seasons."""

    reference: tuple[str, ...] = option("--reference", ("summer",), "reference traverse, a folder; or several")
    query: tuple[str, ...] = option("--query", ("winter",), QUERY_HELP)
    frame_list: str = option(
        "--frameList", "", "take the frames named in this file, one per line; {traverse} stands for the traverse"
    )

    def read(self, root: Path) -> Prepared:
        """Two seasons or more with seqNet's split. A frame's position is its row.

        Which frames: those of ``frame_list`` (the clean list), else those of ``frames.csv``, else all. Which split: the
        ``split`` column of ``frames.csv`` (its ``frame`` column says how far apart in the video they are), else
        seqNet's rows of the 27592 clean frames.

        Raises:
            UserError: no such season, images that one of them lacks, or a number of frames that has no known split.
        """
        images = {season: images_of(root / season) for season in (*self.reference, *self.query)}
        table = root / "frames.csv"
        if self.frame_list or not table.is_file():
            rows = _listed_rows(images, self.frame_list)
            step, splits = 1.0, _seqnet_rows(len(next(iter(rows.values()))))
        else:
            columns = read_columns(table, ("name", "frame", "split"))
            rows = {season: _rows_by_name(table, columns["name"], season, images[season]) for season in images}
            step, splits = _median_step(columns), _split_rows(table, columns["split"])
        traverses = tuple(_traverse(root, season, [images[season][row] for row in rows[season]]) for season in images)
        radii: dict[str, tuple[float, float | None]] = dict.fromkeys(splits, (CORRECT, None))
        radii["train"] = (max(1.0, TRAIN_POSITIVE / step), max(1.0, TRAIN_NEGATIVE / step))
        return Prepared(
            units="frames",
            traverses=traverses,
            splits=tuple(
                PreparedSplit(
                    split,
                    _drive_rows(self.reference, splits[part]),
                    _drive_rows(queries, splits[part]),
                    *radii[part],
                )
                for split, part, queries in splits_of_drives(tuple(splits), self.query)
            ),
        )


def _drive_rows(seasons: tuple[str, ...], rows: np.ndarray) -> tuple[DriveRows, ...]:
    return tuple(DriveRows(season, rows) for season in seasons)


def _traverse(root: Path, season: str, names: list[str]) -> PreparedTraverse:
    placed = f"the number of the image: image i is the place of image i of every season; all {len(names)} have one"
    numbers = {"frame": np.arange(len(names))}
    return PreparedTraverse(season, absolute(root / season, names), tuple(names), numbers, placed=placed)


def _listed_rows(images: dict[str, tuple[str, ...]], frame_list: str) -> dict[str, np.ndarray]:
    """Rows of each season: the list's, or all if all seasons have the same names."""
    if frame_list:
        return {season: listed_rows(frame_list, season, names) for season, names in images.items()}
    stems = [[stem(name) for name in names] for names in images.values()]
    first = stems[0]
    for season, other in zip(images, stems, strict=True):
        if first != other:
            lone = sorted(set(first) ^ set(other)) or [next(a or b for a, b in zip_longest(first, other) if a != b)]
            raise UserError(
                f"{next(iter(images))} and {season} do not hold the same frames, for instance {lone[0]}; remove what "
                "has no partner, or give `frame_list`"
            )
    return {season: np.arange(len(names)) for season, names in images.items()}


def _rows_by_name(table: Path, names: list[str], season: str, images: tuple[str, ...]) -> np.ndarray:
    rows = {image: row for row, image in enumerate(images)}
    if missing := [name for name in names if name not in rows]:
        raise UserError(f"{table}: {len(missing)} of {len(names)} rows match no image of {season}, first {missing[0]}")
    return np.array([rows[name] for name in names])


def _median_step(table: Columns) -> float:
    steps = np.diff(table.numbers("frame"))
    if not len(steps) or steps.min() <= 0:
        raise UserError(f"{table.path}: numbers in the column frame do not rise; wanted two rows or more, in order")
    return float(np.median(steps))


def _split_rows(table: Path, labels: list[str]) -> dict[str, np.ndarray]:
    if unknown := sorted(set(labels) - {*USUAL_SPLITS, ""}):
        raise UserError(f"{table}: split {unknown[0]!r} is unknown; wanted {', '.join(USUAL_SPLITS)} or nothing")
    rows = {name: np.flatnonzero(np.array(labels) == name) for name in USUAL_SPLITS}
    if not any(map(len, rows.values())):
        raise UserError(f"{table}: no row is in a split; wanted {', '.join(USUAL_SPLITS)} in the column split")
    return {name: chosen for name, chosen in rows.items() if len(chosen)}


def _seqnet_rows(count: int) -> dict[str, np.ndarray]:
    if count != CLEAN_FRAMES:
        raise UserError(
            f"found {count} frames; seqNet's split is by rows of the {CLEAN_FRAMES} clean frames: give `frame_list` "
            "with the list of their names (nordland_clean_imageNames.txt), or use `source` folders"
        )
    return {name: np.arange(*NORDLAND_ROWS[name]) for name in USUAL_SPLITS}
