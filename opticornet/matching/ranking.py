"""Ranked references of every query, and how the best of many tiles are kept."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

_LOW_HALF = 0xFFFFFFFF
_WORST = torch.iinfo(torch.int64).max
_BLOCK = 1 << 18  # entries ordered at once on a CPU: their keys stay in its cache


@dataclass(frozen=True)
class Ranking:
    """The best references of every query, smallest distance first; of equal distances the lower index first.

    Attributes:
        indices: (M, K) int64 reference rows; -1 where an approximate index found fewer than K.
        distances: (M, K) float32; infinite where the index is -1.
        ways: (M, K) int64, in which of several ways of reading the references, as directions or paces, each was found;
            None: there is one.
    """

    indices: np.ndarray
    distances: np.ndarray
    ways: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def first(self, k: int) -> "Ranking":
        """The best ``k`` of every query."""
        return Ranking(self.indices[:, :k], self.distances[:, :k], None if self.ways is None else self.ways[:, :k])

    def ways_from(self, first: int) -> np.ndarray:
        """(M, K) int64: the ways, counted from ``first``."""
        return first + (np.zeros(self.indices.shape, np.int64) if self.ways is None else self.ways)

    def at(self, places: np.ndarray) -> "Ranking":
        """The entries at ``places`` (M, K) of each query."""
        indices, distances = (np.take_along_axis(of, places, axis=1) for of in (self.indices, self.distances))
        return Ranking(indices, distances, None if self.ways is None else np.take_along_axis(self.ways, places, axis=1))


def concatenate(rankings: Sequence[Ranking]) -> Ranking:
    """Rankings of consecutive blocks of queries as one."""
    return Ranking(
        np.concatenate([ranking.indices for ranking in rankings]),
        np.concatenate([ranking.distances for ranking in rankings]),
        None if rankings[0].ways is None else np.concatenate([ranking.ways_from(0) for ranking in rankings]),
    )


def of_all_ways(rankings: Sequence[Ranking], factors: Sequence[float]) -> Ranking:
    """Rankings of the same queries, by the same references read in several ways, as one.

    Args:
        rankings: (M, K) of each way.
        factors: by which each way's distances are multiplied.

    Returns:
        (M, ways * K), where a reference stands as often as it was found: of equal distances the lower index first, then
        the first way. The ranking itself, of no way, where there is one and its factor is 1.
    """
    if len(rankings) == 1 and factors[0] == 1:
        return rankings[0]
    indices = np.concatenate([ranking.indices for ranking in rankings], axis=1)
    scaled = [ranking.distances * np.float32(factor) for ranking, factor in zip(rankings, factors, strict=True)]
    distances = np.concatenate(scaled, axis=1)
    ways = np.concatenate([np.full(ranking.indices.shape, way) for way, ranking in enumerate(rankings)], axis=1)
    return Ranking(indices, distances, ways).at(np.lexsort((ways, indices, distances), axis=1))


def order_keys(distances: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Integers that sort by distance, then by index.

    The bits of a float32, read as an integer, already sort by value once those of negative numbers are inverted;
    they become the upper half of the key, the index the lower.

    Args:
        distances: (..., C) float32.
        indices: int64 that broadcasts to ``distances``, in [-1, 2**32 - 1).

    Returns:
        (..., C) int64.
    """
    bits = (distances + 0.0).view(torch.int32)  # + 0.0 turns -0.0 into 0.0
    bits = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return bits.to(torch.int64).bitwise_left_shift_(32).bitwise_or_(indices & _LOW_HALF)


def decode_keys(keys: torch.Tensor) -> Ranking:
    """The ranking that (M, K) int64 ``keys`` of :func:`order_keys`, in ascending order, stand for."""
    indices = keys & _LOW_HALF
    indices[indices == _LOW_HALF] = -1
    bits = (keys >> 32).to(torch.int32)
    distances = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).view(torch.float32)
    return Ranking(indices.cpu().numpy(), distances.cpu().numpy())


def sort_candidates(distances: torch.Tensor, indices: torch.Tensor) -> Ranking:
    """(M, K) float32 distances of (M, K) int64 reference rows as a ranking."""
    return decode_keys(order_keys(distances, indices).sort(dim=1).values)


class TopK:
    """Keeps the ``k`` smallest of each row while distances arrive tile by tile, in any order.

    Memory: ``rows * k`` int64 and one block of the tile. The result does not depend on the tiling.
    """

    def __init__(self, rows: int, k: int, device: str | torch.device = "cpu"):
        self.keys = torch.full((rows, k), _WORST, dtype=torch.int64, device=device)

    def update(self, rows: slice, distances: torch.Tensor, indices: torch.Tensor) -> None:
        """Offer distances of the queries ``rows`` to some references.

        Args:
            rows: slice of R query rows, step 1.
            distances: (R, C) float32.
            indices: (C,) int64 reference rows of the columns.
        """
        kept = self.keys[rows]
        k = kept.shape[1]
        step = len(distances) if distances.is_cuda else max(1, _BLOCK // distances.shape[1])
        for old, new in zip(kept.split(step), distances.split(step), strict=True):
            keys = torch.cat([old, _smallest(order_keys(new, indices), k)], dim=1)
            old.copy_(_smallest(keys, k))

    def ranking(self) -> Ranking:
        """What has been kept; every row must have been offered at least ``k`` references."""
        return decode_keys(self.keys.sort(dim=1).values)


def _smallest(keys: torch.Tensor, k: int) -> torch.Tensor:
    """The ``k`` smallest of each row of ``keys`` (R, C), in any order; all where C is no more. Reorders ``keys``."""
    if keys.shape[1] <= k:
        return keys
    if keys.is_cuda:
        return keys.topk(k, dim=1, largest=False, sorted=False).values
    keys.numpy().partition(k - 1, axis=1)  # several times as fast as topk
    return keys[:, :k]
