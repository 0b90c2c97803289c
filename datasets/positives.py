"""Which references are correct for each query: lists of rows, of any number per query."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Positives:
    """A list of reference rows for each query, as compressed sparse rows.

    Attributes:
        offsets: (M + 1,) int64; query i has ``rows[offsets[i]:offsets[i + 1]]``.
        rows: (E,) int64, of each query rising and without repeats.
    """

    offsets: np.ndarray
    rows: np.ndarray

    @classmethod
    def of_pairs(cls, queries: np.ndarray, references: np.ndarray, count: int) -> "Positives":
        """From pairs (E,) int64 of query and reference, in any order and repeated or not; ``count`` queries, M."""
        queries, references = np.asarray(queries, np.int64), np.asarray(references, np.int64)
        order = np.lexsort((references, queries))
        queries, references = queries[order], references[order]
        first = np.ones(len(queries), bool)
        first[1:] = (np.diff(queries) != 0) | (np.diff(references) != 0)
        return cls._of(references[first], np.bincount(queries[first], minlength=count))

    @classmethod
    def of_lists(cls, lists: Iterable[Sequence[int] | np.ndarray]) -> "Positives":
        """From the references of each query, in any order and repeated or not."""
        arrays = [np.asarray(one, np.int64).ravel() for one in lists]
        queries = np.repeat(np.arange(len(arrays)), [len(one) for one in arrays])
        return cls.of_pairs(queries, np.concatenate([*arrays, np.empty(0, np.int64)]), len(arrays))

    @classmethod
    def of_ranges(cls, ranges: np.ndarray) -> "Positives":
        """From one half-open range of references per query, (M, 2) int64; those that do not end above their start are
        empty."""
        counts = np.maximum(ranges[:, 1] - ranges[:, 0], 0)
        starts = np.cumsum(counts) - counts
        return cls._of(np.arange(counts.sum()) + np.repeat(ranges[:, 0] - starts, counts), counts)

    @classmethod
    def within(cls, query: np.ndarray, reference: np.ndarray, radius: float) -> "Positives":
        """References within ``radius`` (inclusive) of each query; positions (M, P) and (N, P) in the same units."""
        from scipy.spatial import cKDTree

        lists = cKDTree(reference).query_ball_point(query, radius, return_sorted=True)
        counts = np.fromiter(map(len, lists), np.int64, len(lists))
        return cls._of(np.concatenate([np.asarray(one, np.int64) for one in lists] or [np.empty(0, np.int64)]), counts)

    @classmethod
    def _of(cls, rows: np.ndarray, counts: np.ndarray) -> "Positives":
        return cls(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), rows.astype(np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, query: int) -> np.ndarray:
        """(n,) int64 references of one query."""
        return self.rows[self.offsets[query] : self.offsets[query + 1]]

    @cached_property
    def counts(self) -> np.ndarray:
        """(M,) int64 references that each query has."""
        return np.diff(self.offsets)

    @cached_property
    def queries(self) -> np.ndarray:
        """(E,) int64 query of each of ``rows``."""
        return np.repeat(np.arange(len(self)), self.counts)

    @property
    def middle(self) -> np.ndarray:
        """(M,) int64 middle one of each query's references; -1 where it has none."""
        found = self.counts > 0
        middle = np.full(len(self), -1, np.int64)
        middle[found] = self.rows[(self.offsets[:-1] + (self.counts - 1) // 2)[found]]
        return middle

    def of(self, queries: np.ndarray) -> "Positives":
        """Those of some queries, (Q,) int64 in any order."""
        counts = self.counts[queries]
        starts = np.cumsum(counts) - counts
        return self._of(self.rows[np.arange(counts.sum()) + np.repeat(self.offsets[queries] - starts, counts)], counts)

    def cut(self, start: int, stop: int) -> "Positives":
        """References in ``[start, stop)``, counted from ``start``."""
        return self._some((self.rows >= start) & (self.rows < stop), self.rows - start)

    def among(self, kept: np.ndarray) -> "Positives":
        """References that are among ``kept`` ((K,) int64, rising), by their places in it."""
        places = np.searchsorted(kept, self.rows)
        inside = places < len(kept)
        inside[inside] = kept[places[inside]] == self.rows[inside]
        return self._some(inside, places)

    def widened(self, margin: int, within: np.ndarray) -> "Positives":
        """With every reference also its neighbours up to ``margin`` rows away, as far as they are of its own drive.

        Args:
            margin: rows.
            within: (N, 2) int64, the half-open range of rows of each reference's drive.
        """
        queries, first, last = self._runs()
        low, high = within[first, 0], within[last, 1]
        wide = self.of_ranges(np.stack([np.maximum(first - margin, low), np.minimum(last + margin + 1, high)], axis=1))
        return self.of_pairs(queries[wide.queries], wide.rows, len(self))

    def distance(self, references: np.ndarray) -> np.ndarray:
        """(M, K) float64 rows between ``references`` (M, K) and the nearest of their query's own; infinite where that
        has none, and for -1 (nothing found)."""
        span = int(self.rows.max(initial=-1)) + 2
        sought = np.arange(len(self))[:, None] * span + np.clip(references, 0, span - 1)
        after = np.searchsorted(self.queries * span + self.rows, sought)  # (M, K) place of the next own one
        distance = np.full(references.shape, np.inf)
        for places in (after, after - 1):
            own = (places >= self.offsets[:-1, None]) & (places < self.offsets[1:, None])
            apart = np.abs(self.rows[places[own]] - references[own])
            distance[own] = np.minimum(distance[own], apart)
        distance[references < 0] = np.inf
        return distance

    def ranges(self) -> list[tuple[int, int, int]]:
        """Runs of neighbouring references: query, first and last reference, both correct."""
        return list(zip(*(column.tolist() for column in self._runs()), strict=True))

    def _runs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Three (R,) int64: query, first and last reference of each run."""
        breaks = (np.diff(self.queries) != 0) | (np.diff(self.rows) != 1)
        first = np.flatnonzero(np.concatenate([[True], breaks]))[: len(self.rows)]
        last = np.flatnonzero(np.concatenate([breaks, [True]]))[: len(self.rows)]
        return self.queries[first], self.rows[first], self.rows[last]

    def _some(self, kept: np.ndarray, rows: np.ndarray) -> "Positives":
        """The references ``kept`` (E,) bool, by other numbers ``rows`` (E,), which rise as these do."""
        return self._of(rows[kept], np.bincount(self.queries[kept], minlength=len(self)))
