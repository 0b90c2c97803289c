"""References whose windows hold the same frames: one answer, which no method can tell apart.

Windows are moved inside their sequence, so the first and the last frames of each share theirs. A retrieved window then
stands for all of its frames: it is right where one of them is, as far off as the nearest, and takes one place among the
first K.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from opticornet.datasets.altered import frames_at
from opticornet.datasets.pace import steady
from opticornet.datasets.windows import Windows
from opticornet.evaluation.ground_truth import GroundTruth
from opticornet.matching.ranking import Ranking, sort_candidates

EqualWindowRule = Literal["one", "each"]


@dataclass(frozen=True)
class EqualWindows:
    """Which references each retrieved one stands for.

    Attributes:
        shown: (G, N) int64, of each reference the one that is shown for all that share its window: of these the
            nearest to the frame that the window is around (or ends at). In G ways of reading the references, which the
            ``ways`` of a ranking count.
    """

    shown: np.ndarray

    @classmethod
    def each(cls, references: int, ways: int = 1) -> "EqualWindows":
        """Every reference stands for itself alone: SeqNet's rule."""
        return cls(np.tile(np.arange(references), (ways, 1)))

    @classmethod
    def of(cls, *windows: Windows) -> "EqualWindows":
        """References whose windows are the same; of several lengths of window, the same in all."""
        return cls.at_speeds((1.0,), *windows)

    @classmethod
    def at_speeds(cls, speeds: Sequence[float], searched: Windows, *compared: Windows) -> "EqualWindows":
        """References whose windows are the same at a speed, a way for each of ``speeds``, and whose ``compared`` ones
        are the same as recorded."""
        windows, as_recorded = (searched, *compared), [1.0] * len(compared)
        return cls(np.stack([_shown(windows, (speed, *as_recorded)) for speed in speeds]))

    def or_of(self, other: "EqualWindows") -> "EqualWindows":
        """With the ways of ``other`` behind its own."""
        return EqualWindows(np.concatenate([self.shown, other.shown]))

    def depth(self, k: int) -> int:
        """References that a ranking must hold to be sure of ``k`` answers, or of all where there are fewer."""
        sizes = np.sort(self._sizes, axis=1)[:, ::-1]
        return int(sizes[:, :k].sum(axis=1).max())

    def distinct(self, ranking: Ranking, k: int | None = None) -> Ranking:
        """The first ``k`` answers of a ranking (M, D), or as many as there are references in it: of those that share a
        window the first place, and the reference that is shown for them; what is left at the end is empty."""
        k = ranking.indices.shape[1] if k is None else k
        if not self._has_equal and ranking.ways is None:
            return ranking.first(k)
        shown = np.where(ranking.indices < 0, -1, self._of_ways(self.shown, ranking.indices, ranking.ways))
        order = shown.argsort(axis=1, kind="stable")
        alike = np.zeros(shown.shape, bool)  # as one before it
        sorted_ = np.take_along_axis(shown, order, axis=1)
        np.put_along_axis(alike, order[:, 1:], (np.diff(sorted_, axis=1) == 0) & (sorted_[:, 1:] >= 0), axis=1)
        kept = alike.argsort(axis=1, kind="stable")[:, :k]
        empty = np.take_along_axis(alike, kept, axis=1)
        first = replace(ranking, indices=shown).at(kept)
        return replace(
            first,
            indices=np.where(empty, -1, first.indices),
            distances=np.where(empty, np.float32(np.inf), first.distances),
        )

    def spread(self, ranking: Ranking, indices: np.ndarray, ways: np.ndarray | None = None) -> Ranking:
        """Each of the references (M, K), -1 for none, found in ``ways``, with the distance that a ranking has of the
        one that is shown for it; none where that is not in the ranking. Of equal distances the lower first."""
        if not self._has_equal:
            return ranking
        queries = np.arange(len(ranking))[:, None] * (self.shown.shape[1] + 1) + 1
        known = (queries + ranking.indices).ravel()
        order = known.argsort()
        shown = queries + np.where(indices < 0, -1, self._of_ways(self.shown, indices, ways))
        place = order[np.minimum(np.searchsorted(known, shown, sorter=order), len(order) - 1)]
        found = (known[place] == shown) & (indices >= 0)
        distances = np.where(found, ranking.distances.ravel()[place], np.float32(np.inf))
        return sort_candidates(torch.from_numpy(distances), torch.from_numpy(np.where(found, indices, -1)))

    def errors(self, truth: GroundTruth, indices: np.ndarray, ways: np.ndarray | None = None) -> np.ndarray:
        """(M, K) float64, as :meth:`GroundTruth.errors`: of each retrieved reference the least among all that it
        stands for, found in ``ways`` (M, K); None: in the first."""
        errors = truth.errors(indices)
        for _ in range(int(self._sizes.max()) - 1):
            indices = np.where(indices < 0, -1, self._of_ways(self._following, indices, ways))
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

    def _of_ways(self, values: np.ndarray, indices: np.ndarray, ways: np.ndarray | None) -> np.ndarray:
        """(M, K) of ``values`` (G, N) at references ``indices`` (M, K), which were found in ``ways``."""
        return values[0][indices] if ways is None else values[ways, indices]


def _shown(windows: Sequence[Windows], speeds: Sequence[float]) -> np.ndarray:
    """(N,) int64: of each reference the one that is shown for all whose windows, each at its speed, are the same."""
    group, off = np.zeros(len(windows[0]), np.int64), np.zeros(len(windows[0]), np.int64)
    for side, speed in zip(windows, speeds, strict=True):
        held, moved = (side.starts, side.rows - own_rows(side)) if speed == 1 else _held_at(side, speed)
        same = np.unique(held, axis=0, return_inverse=True)[1].ravel()
        group = np.unique(group * len(group) + same, return_inverse=True)[1]
        off += np.abs(moved)
    order = np.lexsort((off, group))  # of each group the nearest to its window's own frame first
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    return order[first][group]


def _held_at(windows: Windows, speed: float) -> tuple[np.ndarray, np.ndarray]:
    """(M, L) int64 rows of the frames that windows hold at a speed, and (M,) int64 by how many frames each was moved to
    stay inside its sequence."""
    frames, own = frames_at(windows, steady(np.array([speed]), windows.length))
    return frames, own - replace(windows, backwards=False).anchor


def own_rows(windows: Windows) -> np.ndarray:
    """(M,) int64 row of the frame that each window is around or ends at, wherever it was moved."""
    place = windows.length - 1 - windows.anchor if windows.backwards else windows.anchor
    return windows.starts + place
