"""The references of each query that lie within a radius, or in a range of rows."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Neighbours:
    """A list of references for each query, as compressed sparse rows.

    Attributes:
        columns: (E,) int64 reference indices, query after query.
        offsets: (Q + 1,) int64; query i has ``columns[offsets[i]:offsets[i + 1]]``.
    """

    columns: Tensor
    offsets: Tensor

    @classmethod
    def within(cls, query: np.ndarray, reference: np.ndarray, radius: float) -> "Neighbours":
        """References within ``radius`` (inclusive) of each query; positions (Q, P) and (N, P) in the same units."""
        from scipy.spatial import cKDTree

        lists = cKDTree(reference).query_ball_point(query, radius, return_sorted=True)
        counts = np.fromiter(map(len, lists), np.int64, len(lists))
        columns = np.concatenate([np.asarray(one, np.int64) for one in lists] or [np.empty(0, np.int64)])
        return cls._of(columns, counts)

    @classmethod
    def of_ranges(cls, ranges: np.ndarray) -> "Neighbours":
        """References in each query's half-open range; ``ranges`` (Q, 2) int64."""
        counts = np.maximum(ranges[:, 1] - ranges[:, 0], 0)
        starts = np.cumsum(counts) - counts
        columns = np.arange(counts.sum()) + np.repeat(ranges[:, 0] - starts, counts)
        return cls._of(columns, counts)

    @classmethod
    def _of(cls, columns: np.ndarray, counts: np.ndarray) -> "Neighbours":
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(torch.from_numpy(columns), torch.from_numpy(offsets))

    def counts(self) -> Tensor:
        """(Q,) int64 references each query has."""
        return self.offsets.diff()

    def of(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """The pairs of some queries: (E',) positions in ``queries`` and (E',) reference indices."""
        counts = self.counts()[queries]
        rows = torch.repeat_interleave(torch.arange(len(queries)), counts)
        starts = torch.cumsum(counts, 0) - counts
        within = torch.arange(len(rows)) - starts[rows]
        return rows, self.columns[self.offsets[queries][rows] + within]
