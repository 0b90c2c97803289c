"""Pairs of training frames that show one place on two drives: what encoders can start from."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from opticornet.datasets.positives import Positives
from opticornet.datasets.traverse import Traverse
from opticornet.datasets.windows import Windows
from opticornet.evaluation.ground_truth import GroundTruth
from opticornet.evaluation.scene import Scene
from opticornet.models.sequences.place_pairs import PlacePairs

INITIAL_PAIRS = 20_000
RUN = 32  # neighbouring pairs of two drives that stay together where not all pairs are taken


@dataclass(frozen=True)
class SamePlaces:
    """P pairs of frames, in the order of the route: each place's pairs, whatever their drives, are neighbours.

    Of a pair of two reference drives, or of two query drives, the frame of the drive that is listed first stands as
    the query.

    Attributes:
        queries, references: (P, D) float32, the frames.
        query_rows, reference_rows: (P,) int64, their rows in their own traverses.
        drives: (P,) int64, which two drives a pair is of: equal numbers are equal drives.
        following: (P,) int64, the pair of the next frame of the same sequence on both of its drives; -1 where there is
            none. In a dataset of two drives that is mostly the next pair.
        near: (P,) bool, whether the query of the following pair is within the radius of this pair's reference; never
            where a table says what is correct.
    """

    queries: Tensor
    references: Tensor
    query_rows: np.ndarray
    reference_rows: np.ndarray
    drives: np.ndarray
    following: np.ndarray
    near: np.ndarray

    def __len__(self) -> int:
        return len(self.queries)

    def pairs(self) -> PlacePairs:
        """What an encoder starts from."""
        return PlacePairs(self.queries, self.references, torch.from_numpy(self.following), torch.from_numpy(self.near))


def same_places(scene: Scene, most: int = INITIAL_PAIRS) -> SamePlaces:
    """Frames of the same places on different drives.

    A query pairs with its nearest correct reference on each reference drive, these with one another, and it with the
    query of each other query drive that is nearest to its first such reference. Queries without a positive are left
    out, and of very many pairs only evenly spaced stretches of the route are taken.

    Args:
        scene: the training split.
        most: pairs, at most.
    """
    blocks = list(_blocks(scene))
    order = np.argsort(np.concatenate([block.places for block in blocks]), kind="stable")
    drives = np.repeat(np.arange(len(blocks)), [len(block.places) for block in blocks])[order]
    kept = _evenly(len(order), most, RUN * len(blocks))
    order, drives = order[kept], drives[kept]
    query_rows, reference_rows = (
        np.concatenate(rows)[order] for rows in zip(*(block.rows for block in blocks), strict=True)
    )
    queries, references = (
        torch.from_numpy(_read(blocks, side, rows, drives)) for side, rows in enumerate((query_rows, reference_rows))
    )
    following = _following(blocks, query_rows, reference_rows, drives)
    near = np.zeros(len(following), bool)
    if scene.truth.listed is None:
        near = _near(blocks, query_rows, reference_rows, drives, following, scene.radius)
    return SamePlaces(queries, references, query_rows, reference_rows, drives, following, near)


@dataclass(frozen=True)
class _Block:
    """The pairs of two drives.

    Attributes:
        traverses: where the frames of either drive are.
        rows: their rows in these, each (P,).
        places: (P,) int64, where on the route each pair is.
    """

    traverses: tuple[Traverse, Traverse]
    rows: tuple[np.ndarray, np.ndarray]
    places: np.ndarray


def _blocks(scene: Scene) -> Iterator[_Block]:
    """The pairs of every two drives; those that have none in common give an empty one."""
    query, reference = scene.query, scene.reference
    nearest = [_nearest_in(scene.truth, some, scene.radius) for some in reference.by_drive]  # R times (M,)
    stacked = np.stack(nearest, axis=1)  # (M, R)
    first = stacked[np.arange(len(stacked)), (stacked >= 0).argmax(axis=1)]  # (M,), -1 where none is correct
    places = np.arange(len(query)) if len(query.traverse.drives) == 1 else first

    for drive in query.by_drive:
        queries = np.arange(len(query))[drive]
        for references in nearest:
            pairs = queries[references[queries] >= 0]
            yield _block((query, pairs), (reference, references[pairs]), places[pairs])
    for one, other in combinations(nearest, 2):
        pairs = np.flatnonzero((one >= 0) & (other >= 0))
        _, distinct = np.unique(one[pairs] * len(reference) + other[pairs], return_index=True)
        pairs = pairs[np.sort(distinct)]  # several queries have the same two
        yield _block((reference, one[pairs]), (reference, other[pairs]), places[pairs])
    swapped = _swapped(scene.truth)
    for drive, other_drive in combinations(query.by_drive, 2):
        queries = np.arange(len(query))[drive]
        queries = queries[first[queries] >= 0]
        others = _nearest_in(swapped, other_drive, scene.radius)[first[queries]]
        queries, others = queries[others >= 0], others[others >= 0]
        yield _block((query, queries), (query, others), places[queries])


def _block(one: tuple[Windows, np.ndarray], other: tuple[Windows, np.ndarray], places: np.ndarray) -> _Block:
    """Pairs of some windows (P,) of either."""
    return _Block((one[0].traverse, other[0].traverse), (one[0].rows[one[1]], other[0].rows[other[1]]), places)


def _nearest_in(truth: GroundTruth, references: slice, radius: float) -> np.ndarray:
    """(M,) int64 correct reference nearest to each query among ``references``; -1 where none is correct."""
    if references.start == references.stop:
        return np.full(len(truth.query_positions), -1)
    listed = None if truth.listed is None else truth.listed.cut(references.start, references.stop)
    among = GroundTruth(truth.reference_positions[references], truth.query_positions, listed)
    return np.where(among.has_positive(radius), among.nearest_reference + references.start, -1)


def _swapped(truth: GroundTruth) -> GroundTruth:
    """Which queries are correct for a reference."""
    listed = truth.listed
    if listed is not None:
        listed = Positives.of_pairs(listed.rows, listed.queries, len(truth.reference_positions))
    return GroundTruth(truth.query_positions, truth.reference_positions, listed)


def _evenly(count: int, most: int, run: int) -> np.ndarray:
    """Up to ``most`` of ``count`` in evenly spaced runs of neighbours, rising."""
    rows = np.arange(count)
    if count <= most:
        return rows
    runs = np.linspace(0, -(-count // run) - 1, max(1, most // run)).astype(int)
    return rows[np.isin(rows // run, runs)][:most]


def _read(blocks: list[_Block], side: int, rows: np.ndarray, drives: np.ndarray) -> np.ndarray:
    """(P, D) float32 frames of one side."""
    frames = None
    for number, block in enumerate(blocks):
        descriptors = block.traverses[side].need_descriptors()
        if frames is None:
            frames = np.empty((len(rows), descriptors.shape[1]), np.float32)
        chosen = drives == number
        frames[chosen] = descriptors[rows[chosen]]
    assert frames is not None  # there are at least two drives
    return frames


def _following(
    blocks: list[_Block], query_rows: np.ndarray, reference_rows: np.ndarray, drives: np.ndarray
) -> np.ndarray:
    """What :attr:`SamePlaces.following` says."""
    following = np.full(len(drives), -1)
    for number, block in enumerate(blocks):
        pairs = np.flatnonzero(drives == number)
        first, second = query_rows[pairs], reference_rows[pairs]
        width = int(second.max(initial=0)) + 2
        numbers = first * width + second  # one for each pair
        order = np.argsort(numbers)
        wanted = numbers + width + 1
        place = np.searchsorted(numbers[order], wanted).clip(max=max(len(pairs) - 1, 0))
        found = order[place] if len(pairs) else order
        goes_on = numbers[found] == wanted
        for traverse, rows in zip(block.traverses, (first, second), strict=True):
            goes_on &= rows + 1 < traverse.bounds[rows, 1]
        following[pairs[goes_on]] = pairs[found[goes_on]]
    return following


def _near(
    blocks: list[_Block],
    query_rows: np.ndarray,
    reference_rows: np.ndarray,
    drives: np.ndarray,
    following: np.ndarray,
    radius: float,
) -> np.ndarray:
    """What :attr:`SamePlaces.near` says."""
    near = np.zeros(len(drives), bool)
    for number, (one, other) in enumerate(block.traverses for block in blocks):
        pairs = np.flatnonzero((drives == number) & (following >= 0))
        after = one.positions[query_rows[following[pairs]]]
        near[pairs] = np.linalg.norm(after - other.positions[reference_rows[pairs]], axis=1) <= radius
    return near
