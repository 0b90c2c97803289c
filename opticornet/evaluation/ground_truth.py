"""Which references are correct for a query."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from opticornet.datasets.positives import Positives


@dataclass(frozen=True)
class GroundTruth:
    """Where reference and query frames were taken, or lists of the correct references.

    Attributes:
        reference_positions: (N, P) float64, in metres or frames.
        query_positions: (M, P) float64, in the same units.
        listed: the correct reference rows of each query, or None. With such lists the positions say nothing about what
            is correct, and every ``radius`` below is ignored.
        drives: which references are of each drive, in their order; empty: all are of one.
    """

    reference_positions: np.ndarray
    query_positions: np.ndarray
    listed: Positives | None = None
    drives: tuple[slice, ...] = ()

    def errors(self, indices: np.ndarray) -> np.ndarray:
        """How far each retrieved reference is from the query.

        Args:
            indices: (M, K) int64 reference rows; -1 (nothing found) is infinitely far.

        Returns:
            (M, K) float64 in the units of the positions; with lists, the number of rows between the reference and the
            nearest correct one of its drive (0 at a correct one, infinite where the query has none).
        """
        if self.listed is not None:
            return self._rows_apart(self.listed, indices)
        errors = np.linalg.norm(self.reference_positions[indices] - self.query_positions[:, None], axis=-1)
        return np.where(indices < 0, np.inf, errors)

    def _rows_apart(self, listed: Positives, indices: np.ndarray) -> np.ndarray:
        """:meth:`errors` with lists."""
        if len(self.drives) < 2:
            return listed.distance(indices)
        apart = np.full(indices.shape, np.inf)
        for drive in self.drives:
            inside = (indices >= drive.start) & (indices < drive.stop)
            own = listed.cut(drive.start, drive.stop).distance(np.where(inside, indices - drive.start, -1))
            apart[inside] = own[inside]
        return apart

    def correct(self, indices: np.ndarray, radius: float) -> np.ndarray:
        """(M, K) bool: reference rows ``indices`` (M, K) within ``radius`` (inclusive) of their query."""
        return self.within(self.errors(indices), radius)

    def within(self, errors: np.ndarray, radius: float) -> np.ndarray:
        """(M, K) bool: what :meth:`errors` (M, K) says are correct."""
        return errors <= (radius if self.listed is None else 0)

    @cached_property
    def nearest_reference(self) -> np.ndarray:
        """(M,) int64 reference row nearest to each query; with lists the middle one of its own, -1 where it has none.

        Worked out once: a training run asks after each of its validations.
        """
        if self.listed is not None:
            return self.listed.middle
        return _nearest(self.reference_positions, self.query_positions)

    def has_positive(self, radius: float) -> np.ndarray:
        """(M,) bool: queries with at least one reference within ``radius`` (inclusive)."""
        return self.correct(self.nearest_reference[:, None], radius)[:, 0]


def _nearest(reference: np.ndarray, query: np.ndarray) -> np.ndarray:
    """(M,) int64 row of ``reference`` (N, P) nearest to each row of ``query`` (M, P)."""
    if reference.shape[1] > 1:
        from scipy.spatial import cKDTree  # where positions are frame numbers, its 20 MB stay out of memory

        return cKDTree(reference).query(query)[1].astype(np.int64)
    order = np.argsort(reference[:, 0], kind="stable")
    places = reference[order, 0]
    after = np.searchsorted(places, query[:, 0]).clip(1, max(1, len(places) - 1))
    before = after - 1
    after = after.clip(max=len(places) - 1)
    nearer = np.abs(places[before] - query[:, 0]) <= np.abs(places[after] - query[:, 0])
    return order[np.where(nearer, before, after)]
