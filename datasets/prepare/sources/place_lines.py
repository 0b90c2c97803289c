"""Lines of a table of places: what else they say, and whether they contradict each other."""

import os
from collections.abc import Sequence

import numpy as np

from opticornet.datasets.column_names import POSITION_COLUMNS, column_called
from opticornet.datasets.columns import Columns
from opticornet.datasets.prepare.labelled import SourceImages
from opticornet.datasets.split_names import USUAL_SPLITS
from opticornet.utils.errors import UserError
from opticornet.utils.text import counted

POSITIONS = ("x", "y", "z", "lat", "lon")
KINDS = tuple(kind for kind in POSITION_COLUMNS if kind != ("frame",))


def columns_taken_over(
    table: Columns, titles: tuple[str, ...], placed: bool
) -> tuple[dict[str, Sequence[str]], list[str]]:
    """Ranks, positions, headings and times, under our names; and a note of positions that are not taken.

    Args:
        titles: columns that are something else.
        placed: whether positions are needed.

    Raises:
        UserError: two columns that mean the same, ranks that are no whole numbers, positions that are needed and are
            not there, of two kinds, or no numbers.
    """
    known: dict[str, str] = {}
    for title in table.cells:
        name = "heading" if title.lower() == "heading" else column_called(title)
        if title in titles or name not in ("rank", *POSITIONS, "heading", "timestamp"):
            continue
        if name in known:
            raise UserError(f"{table.path}: columns {known[name]!r} and {title!r} both mean {name}; remove one")
        known[name] = title
    if "rank" in known:
        table.whole_numbers(known["rank"])
    fault = _fault_of_positions(table, {name: known[name] for name in POSITIONS if name in known})
    if fault and placed:
        raise UserError(f"{table.path}: `separation` needs positions, and {fault}")
    found_positions = any(name in POSITIONS for name in known)
    kept: dict[str, Sequence[str]] = {
        name: table[title] for name, title in known.items() if not (fault and name in POSITIONS)
    }
    return kept, [f"{table.path}: positions are left out: {fault}"] if fault and found_positions else []


def _fault_of_positions(table: Columns, titles: dict[str, str]) -> str:
    """Why columns of positions, by our names, cannot be taken; empty where they can."""
    if tuple(titles) not in KINDS:
        there = f"there are {', '.join(titles.values())}" if titles else "there are none"
        return f"{there}; wanted x, y or lat, lon alone"
    try:
        values = np.stack([table.numbers(title, empty=True) for title in titles.values()], axis=1)
    except UserError as error:
        return str(error)
    if "lat" in titles and (np.abs(values) > (90, 180)).any():
        return f"{' and '.join(titles.values())} go beyond the globe"
    return "all are empty" if np.isnan(values).any(axis=1).all() else ""


def check_groups(images: SourceImages, table: Columns) -> None:
    """Raise :class:`UserError` where a place is in two groups."""
    place, group = images.place, images.group
    _, first, label = np.unique(place, return_index=True, return_inverse=True)
    if (wrong := np.flatnonzero(group != group[first][label])).size:
        row = wrong[0]
        raise UserError(
            f"{table.path}: line {table.lines[row]}: place {place[row]} is in {group[row]}, before in "
            f"{group[first][label][row]}: labels clash; give `place_in_group` where these are two places"
        )


def check_splits(images: SourceImages, table: Columns, splits: np.ndarray, title: str) -> None:
    """Raise :class:`UserError` for an unknown split, and for a place that is in two."""
    if (bad := np.flatnonzero(~np.isin(splits, ("", *USUAL_SPLITS)))).size:
        found = f"{title} is {table[title][bad[0]]!r}"
        raise UserError(
            f"{table.path}: line {table.lines[bad[0]]}: {found}; wanted {', '.join(USUAL_SPLITS)} or nothing"
        )
    rows = np.flatnonzero(splits != "")
    _, first, label = np.unique(images.place[rows], return_index=True, return_inverse=True)
    if (wrong := np.flatnonzero(splits[rows] != splits[rows][first][label])).size:
        row = rows[wrong[0]]
        raise UserError(
            f"{table.path}: line {table.lines[row]}: place {images.place[row]} is in {splits[row]}, before in "
            f"{splits[rows][first][label][wrong[0]]}; held-out places are not trained on, so hold out whole "
            "ones, as by `val_groups` and `test_groups`"
        )


def each_once(images: SourceImages) -> tuple[np.ndarray, list[str]]:
    """Rows without those that repeat an image of the same place, and a note of how many these are.

    Raises:
        UserError: an image is of two places.
    """
    rows = dict[str, int]()
    for row, image in enumerate(images.images):
        first = rows.setdefault(image, row)
        if images.place[first] != images.place[row]:
            raise UserError(
                f"{images.where}: the image {images.names[row]} is of the places {images.place[first]} and "
                f"{images.place[row]}; leave one line of it"
            )
    repeated = len(images) - len(rows)
    notes = [f"{images.where}: {counted(repeated, 'line')} left out that repeat an image"] if repeated else []
    return np.fromiter(rows.values(), np.int64), notes


def check_files(images: SourceImages) -> None:
    """Raise :class:`UserError` where images do not exist."""
    if missing := [image for image in images.images if not os.path.isfile(image)]:
        raise UserError(
            f"{images.where}: {len(missing)} of {len(images)} images do not exist, first {missing[0]}; say where paths "
            "start by `image_root`, and what to leave out of them by `cut_prefix`"
        )
