"""A route cut into places: what trains sequence encoders trains image encoders too."""

import numpy as np
from scipy.spatial import cKDTree

from opticornet.datasets.places.place_set import PlaceSet
from opticornet.datasets.traverse import Split
from opticornet.utils.errors import UserError


def places_of_split(split: Split, name: str) -> PlaceSet:
    """The places along the route of a split, of all its drives, by position.

    The route is covered by balls of half the positive radius r, and every frame belongs to the nearest centre: two
    frames of a place are at most r apart, and so show the same place as the split has it. Places whose centres are no
    farther apart than r and the negative radius R together are never in one batch: there frames of different places are
    more than R apart, and so negatives as the split has them. No frame is left out but those without a position,
    unusable or not scored.

    The ranks of a place's images go from drive to drive, nearest to the centre first, so that the first K images are of
    as many drives as there are.

    Args:
        split: of images.
        name: of the result, for messages.

    Raises:
        UserError: the split has no images, no positive or no negative radius, or takes rows of drives of different
            length as places.
    """
    split.require_places(name)
    if split.positive_radius is None or split.negative_radius is None:
        lacks = "positive_radius" if split.positive_radius is None else "negative_radius"
        raise UserError(
            f"{name}: no {lacks}, which says what is one place and what another; give it, or a table of places"
        )
    images, positions, drives = [], [], []
    for number, drive in enumerate(drive for side in split.sides for drive in side.parts):
        rows = np.flatnonzero(drive.placed & drive.is_scored & drive.is_usable)
        paths = drive.need_images()
        images += [paths[row] for row in rows]
        positions.append(drive.positions[rows])
        drives.append(np.full(len(rows), number))
    points = np.concatenate(positions)  # (N, D)
    if not len(points):
        raise UserError(f"{name}: no frame with a position; check its traverses")
    centres = cover(points, split.positive_radius / 2)
    distance, place = cKDTree(centres).query(points)
    return PlaceSet(
        name=name,
        images=tuple(images),
        place=place.astype(np.int64),
        labels=tuple(map(str, range(len(centres)))),
        group=np.zeros(len(centres), np.int64),
        rank=_drive_by_drive(place, distance, np.concatenate(drives)),
        positions=centres,
        separation=split.negative_radius + split.positive_radius,
    )


def cover(points: np.ndarray, radius: float) -> np.ndarray:
    """Some of the points, such that each of all is within ``radius`` of one of them; (C, D), in the order of the route.

    The first point that is not within reach of a centre makes the farthest such point within its own reach one: along a
    route balls follow each other without overlapping much.

    Args:
        points: (N, D), in the order of the route.
    """
    tree = cKDTree(points)
    open_ = np.ones(len(points), bool)
    centres = []
    for start in range(len(points)):
        if not open_[start]:
            continue
        near = np.sort(tree.query_ball_point(points[start], radius))
        near = near[open_[near]]
        centre = near[np.argmax(((points[near] - points[start]) ** 2).sum(axis=1))]
        centres.append(centre)
        open_[tree.query_ball_point(points[centre], radius)] = False
        open_[start] = False  # also where rounding puts it just outside
    return points[centres]


def _drive_by_drive(place: np.ndarray, distance: np.ndarray, drives: np.ndarray) -> np.ndarray:
    """(N,) int64 rank of each image within its place: the nearest one of each drive, then the next ones."""
    order = np.lexsort((distance, drives, place))
    turn = np.empty(len(place), np.int64)
    turn[order] = _number_in_run(place[order] * (drives.max() + 1) + drives[order])
    order = np.lexsort((drives, turn, place))
    rank = np.empty(len(place), np.int64)
    rank[order] = _number_in_run(place[order])
    return rank


def _number_in_run(labels: np.ndarray) -> np.ndarray:
    """(N,) int64: how many equal labels stand directly before each."""
    starts = np.flatnonzero(np.diff(labels, prepend=labels[0] - 1))
    return np.arange(len(labels)) - np.repeat(starts, np.diff(starts, append=len(labels)))
