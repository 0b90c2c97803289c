"""A table of images and their places: one row per image."""

import os
from pathlib import Path

import numpy as np

from opticornet.datasets.column_names import PLACE_COLUMNS
from opticornet.datasets.columns import Columns, read_known_columns
from opticornet.datasets.geodesy import local_metres
from opticornet.datasets.places.place_set import PlaceSet
from opticornet.utils.errors import UserError


def read_places(path: Path, root: Path, separation: float = 0.0, ignore: tuple[str, ...] = ()) -> PlaceSet:
    """Read a table of places: CSV with a header, columns by name, in any order.

    Args:
        path: a table with the columns image and place, and perhaps group (city, camera, floor), rank (which image of
            its place is taken first) and positions of the images in metres (x, y, perhaps z) or degrees (lat, lon),
            whose mean is where a place is. heading and timestamp may stand there too.
        root: what relative paths of images start from.
        separation: metres, see :class:`PlaceSet`.
        ignore: columns that are not wanted.

    Raises:
        UserError: a column that is not understood or missing, an empty cell, an image that comes twice, a place in two
            groups, a ``separation`` without positions.
    """
    columns = read_known_columns(path, PLACE_COLUMNS, ignore)
    for needed in ("image", "place"):
        if needed not in columns:
            there = ", ".join(columns.headers.values()) or "none that is understood"
            raise UserError(f"{path}: no column {needed}; it has {there}; wanted image and place")
        _no_empty_cells(columns, needed)
    start = os.path.abspath(root)
    images = tuple(os.path.normpath(os.path.join(start, image)) for image in columns["image"])
    _each_image_once(columns, images)
    labels, place = numbered(columns["place"])
    group_names, groups = (
        numbered(columns["group"]) if "group" in columns else (("",), np.zeros(len(columns), np.int64))
    )
    positions = _place_positions(columns, place, len(labels))
    if separation and positions is None:
        raise UserError(f"{path}: `separation` {separation:g} needs positions, x, y or lat, lon; it has none")
    return PlaceSet(
        name=str(path),
        images=images,
        place=place,
        labels=labels,
        group=_groups_of_places(columns, place, labels, groups),
        rank=columns.whole_numbers("rank") if "rank" in columns else None,
        positions=positions,
        separation=separation,
        group_names=group_names,
    )


def numbered(names: list[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """The distinct names in the order in which they first come, and (N,) int64 which of them each is."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return tuple(numbers), np.fromiter((numbers[name] for name in names), np.int64, len(names))


def _no_empty_cells(columns: Columns, name: str) -> None:
    if (row := next((row for row, cell in enumerate(columns[name]) if not cell), None)) is not None:
        raise UserError(f"{columns.path}: line {columns.lines[row]}: no {name}; fill the cell, or leave the line out")


def _each_image_once(columns: Columns, images: tuple[str, ...]) -> None:
    """Raise :class:`UserError` where two lines name one image; ``images``: the paths that they name."""
    rows: dict[str, int] = {}
    for row, image in enumerate(images):
        if (first := rows.setdefault(image, row)) != row:
            one, other = columns["place"][first], columns["place"][row]
            also = f"of place {one} once more" if one == other else f"of place {other}, before of {one}"
            raise UserError(
                f"{columns.path}: line {columns.lines[row]}: the image {columns['image'][row]} is {also}; leave one "
                "line of it"
            )


def _groups_of_places(columns: Columns, place: np.ndarray, labels: tuple[str, ...], groups: np.ndarray) -> np.ndarray:
    """(P,) int64 group of each place.

    Raises:
        UserError: a place is in two.
    """
    first = np.unique(place, return_index=True)[1]
    of_place = groups[first]  # (P,)
    if (wrong := np.flatnonzero(groups != of_place[place])).size:
        row = wrong[0]
        one, other = columns["group"][first[place[row]]], columns["group"][row]
        raise UserError(
            f"{columns.path}: line {columns.lines[row]}: place {labels[place[row]]} is in {other}, before in {one}: "
            "labels clash; give places of different groups different names"
        )
    return of_place


def _place_positions(columns: Columns, place: np.ndarray, count: int) -> np.ndarray | None:
    """(P, D) metres, the mean over the images of a place whose position is known; None: there are no such columns."""
    names = columns.position_columns()
    if not names:
        return None
    positions = columns.positions(empty=True)
    known = ~np.isnan(positions).any(axis=1)
    if not known.any():
        raise UserError(f"{columns.path}: {', '.join(names)} are empty in every line; fill them, or leave them out")
    if names == ("lat", "lon"):
        positions = local_metres(positions, positions[np.argmax(known)])
    sums = np.stack([np.bincount(place[known], column[known], count) for column in positions.T], axis=1)
    with np.errstate(invalid="ignore"):
        return sums / np.bincount(place[known], minlength=count)[:, None]  # NaN of a place without any
