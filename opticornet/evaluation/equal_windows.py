"""References whose windows hold the same frames: one answer, which no method can tell apart.

Windows are moved inside their sequence, so the first and the last frames of each share theirs. A retrieved window then
stands for all of its frames: it is right where one of them is, as far off as the nearest, and takes one place among the
first K.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from opticornet.datasets.windows import Windows
from opticornet.evaluation.ground_truth import GroundTruth
from opticornet.matching.ranking import Ranking, sort_candidates

EqualWindowRule = Literal["one", "each"]


@dataclass(frozen=True)
class EqualWindows:
    """Which references each retrieved one stands for.

    Attributes:
        shown: (G, N) int64, of each reference the one that is shown for all that share its window: of these the
            nearest to the frame that the window is around (or ends at). In G ways of reading the references.
        way: (M,) int64 way in which each query's references were read; None: in the only one.
    """

    shown: np.ndarray
    way: np.ndarray | None = None

    @classmethod
    def each(cls, references: int) -> "EqualWindows":
        """Every reference stands for itself alone: SeqNet's rule."""
        return cls(np.arange(references)[None])

    @classmethod
    def of(cls, *windows: Windows) -> "EqualWindows":
        """References whose windows are the same; of several lengths of window, the same in all."""
        group, off = np.zeros(len(windows[0]), np.int64), np.zeros(len(windows[0]), np.int64)
        for side in windows:
            group = np.unique(group * len(side.traverse) + side.starts, return_inverse=True)[1]
            off += np.abs(side.rows - own_rows(side))
        order = np.lexsort((off, group))  # of each group the nearest to its window's own frame first
        first = np.flatnonzero(np.diff(group[order], prepend=-1))
        return cls(order[first][group][None])

    def either(self, reverse: "EqualWindows", backwards: np.ndarray) -> "EqualWindows":
        """Of queries that are ``backwards`` (M,) bool the ``reverse`` ones."""
        return EqualWindows(np.concatenate([self.shown, reverse.shown]), backwards.astype(np.int64))

    def depth(self, k: int) -> int:
        """References that a ranking must hold to be sure of ``k`` answers, or of all where there are fewer."""
        sizes = np.sort(self._sizes, axis=1)[:, ::-1]
        return int(sizes[:, :k].sum(axis=1).max())

    def distinct(self, ranking: Ranking, k: int | None = None) -> Ranking:
        """The first ``k`` answers of a ranking (M, D), or as many as there are references in it: of those that share a
        window the first place, and the reference that is shown for them; what is left at the end is empty."""
        k = ranking.indices.shape[1] if k is None else k
        if not self._has_equal:
            return ranking.first(k)
        shown = np.where(ranking.indices < 0, -1, self._of_queries(self.shown, ranking.indices))
        order = shown.argsort(axis=1, kind="stable")
        alike = np.zeros(shown.shape, bool)  # as one before it
        sorted_ = np.take_along_axis(shown, order, axis=1)
        np.put_along_axis(alike, order[:, 1:], (np.diff(sorted_, axis=1) == 0) & (sorted_[:, 1:] >= 0), axis=1)
        kept = alike.argsort(axis=1, kind="stable")[:, :k]
        empty = np.take_along_axis(alike, kept, axis=1)
        return Ranking(
            np.where(empty, -1, np.take_along_axis(shown, kept, axis=1)),
            np.where(empty, np.float32(np.inf), np.take_along_axis(ranking.distances, kept, axis=1)),
        )

    def spread(self, ranking: Ranking, indices: np.ndarray) -> Ranking:
        """Each of the references (M, K), -1 for none, with the distance that a ranking has of the one that is shown for
        it: all of those are in the ranking. Of equal distances the lower reference first."""
        if not self._has_equal:
            return ranking
        queries = np.arange(len(ranking))[:, None] * (self.shown.shape[1] + 1) + 1
        known = (queries + ranking.indices).ravel()
        order = known.argsort()
        shown = np.where(indices < 0, -1, self._of_queries(self.shown, indices))
        place = order[np.searchsorted(known, queries + shown, sorter=order)]
        distances = np.where(indices < 0, np.float32(np.inf), ranking.distances.ravel()[place])
        return sort_candidates(torch.from_numpy(distances), torch.from_numpy(indices))

    def errors(self, truth: GroundTruth, indices: np.ndarray) -> np.ndarray:
        """(M, K) float64, as :meth:`GroundTruth.errors`: of each retrieved reference the least among all that it
        stands for."""
        errors = truth.errors(indices)
        for _ in range(int(self._sizes.max()) - 1):
            indices = np.where(indices < 0, -1, self._of_queries(self._following, indices))
            errors = np.minimum(errors, truth.errors(indices))
        return errors

    @cached_property
    def _sizes(self) -> np.ndarray:
        """(G, N) int64: references that each shown one is shown for; 0 for others."""
        return np.stack([np.bincount(shown, minlength=len(shown)) for shown in self.shown])

    @property
    def _has_equal(self) -> bool:
        return bool((self._sizes > 1).any())

    @cached_property
    def _following(self) -> np.ndarray:
        """(G, N) int64: the next reference of the same window, after the last the first."""
        following = np.empty_like(self.shown)
        for shown, next_ in zip(self.shown, following, strict=True):
            order = shown.argsort(kind="stable")
            begins = np.flatnonzero(np.diff(shown[order], prepend=-1))
            ends = np.append(begins[1:], len(order)) - 1
            next_[order[:-1]] = order[1:]
            next_[order[ends]] = order[begins]
        return following

    def _of_queries(self, values: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """(M, K) of ``values`` (G, N) at each query's references ``indices`` (M, K)."""
        return values[0][indices] if self.way is None else values[self.way[:, None], indices]


def own_rows(windows: Windows) -> np.ndarray:
    """(M,) int64 row of the frame that each window is around or ends at, wherever it was moved."""
    place = windows.length - 1 - windows.anchor if windows.backwards else windows.anchor
    return windows.starts + place
