"""Adapted descriptors, made when they are asked for."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from opticornet.datasets.adapting.statistics import PIECE, Statistics, Sums, walk
from opticornet.utils.mapped import RowMatrix, release

BEGIN_FRAMES = 50  # frames that what a running mean begins from counts for
STEP = 128  # rows between two sums that are kept


class RunningMean:
    """Adapts the frames of a drive as they come: each by those so far, itself included, and by what was known before.

    Args:
        begin: mean and, where frames are scaled, variance that it begins from.
        frames: how many frames they count for.
    """

    def __init__(self, begin: Statistics, frames: int = BEGIN_FRAMES) -> None:
        self._begin, self._frames = begin, frames
        self._sums = Sums.empty(len(begin.mean), begin.variance is not None)

    def add(self, frame: np.ndarray, usable: bool = True) -> np.ndarray:
        """The next frame (D,), adapted: (D,) float32. One that is not ``usable``, or holds NaN, enters no mean."""
        self._sums = self._sums.after_each(frame[None], np.array([usable]))[0]
        return self._sums.statistics(self._begin, self._frames).adapt(frame)


class DriveRows(Protocol):
    """How the rows of one drive are adapted."""

    def read(self, rows: RowMatrix, wanted: np.ndarray, adapted: np.ndarray) -> None:
        """Write at least one of the drive's ``rows`` (N, D), whose numbers (M,) never fall, into ``adapted`` (M, D)
        float32."""
        ...


class ByOwnMean:
    """All by the statistics of the whole drive: a :class:`DriveRows`."""

    def __init__(self, statistics: Statistics) -> None:
        self.statistics = statistics

    def read(self, rows: RowMatrix, wanted: np.ndarray, adapted: np.ndarray) -> None:
        size = max(1, PIECE // rows.shape[1])
        for start in range(0, len(wanted), size):
            adapted[start : start + size] = self.statistics.adapt(np.asarray(rows[wanted[start : start + size]]))


class ByRunningMean:
    """Each row as :class:`RunningMean` adapts it, to the bit: a :class:`DriveRows`.

    Of every :data:`STEP`-th row the sums before it are kept; between them they are added up again.

    Args:
        rows: (N, D) of the drive, read once.
        enters: (N,) bool, which rows a mean takes in.
        begin, frames: as for :class:`RunningMean`.
    """

    def __init__(self, rows: RowMatrix, enters: np.ndarray, begin: Statistics, frames: int = BEGIN_FRAMES) -> None:
        self._enters, self._begin, self._frames = enters, begin, frames
        self._before = [Sums.empty(rows.shape[1], begin.variance is not None)]
        for start, block, after in walk(rows, enters, self._before[0], STEP):
            if (start + len(block)) % STEP == 0:
                self._before.append(after[-1])

    def read(self, rows: RowMatrix, wanted: np.ndarray, adapted: np.ndarray) -> None:
        steps, edges = np.unique(wanted // STEP, return_index=True)
        for step, low, high in zip(steps.tolist(), edges, [*edges[1:], len(wanted)], strict=True):
            first, stop = step * STEP, int(wanted[high - 1]) + 1
            for start, block, after in walk(rows[first:stop], self._enters[first:stop], self._before[step], STEP):
                here = low + np.searchsorted(wanted[low:high], [first + start, first + start + len(block)])
                chosen = wanted[here[0] : here[1]] - first - start
                if len(chosen):
                    found = after[chosen].statistics(self._begin, self._frames).adapt(block[chosen])
                    adapted[here[0] : here[1]] = found


class AdaptedRows:
    """Rows of a descriptor matrix, adapted when asked for: a ``RowMatrix`` of float32.

    Args:
        base: (N, D).
        starts: first row of each drive.
        drives: how each drive's rows are adapted.
        rows: (M,) int64 rows of ``base`` that these are; None: all.
    """

    def __init__(
        self, base: RowMatrix, starts: Sequence[int], drives: Sequence[DriveRows], rows: np.ndarray | None = None
    ) -> None:
        self._base, self._starts, self._drives = base, starts, drives
        self._rows = np.arange(len(base)) if rows is None else rows
        self.shape: tuple[int, ...] = (len(self._rows), base.shape[1])
        self.dtype: np.dtype[Any] = np.dtype(np.float32)
        self.ndim = 2

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: int | slice | np.ndarray, /) -> "AdaptedRows | np.ndarray":
        rows = self._rows[key]
        if isinstance(key, slice):
            return AdaptedRows(self._base, self._starts, self._drives, rows)
        return self._read(np.ravel(rows)).reshape(*np.shape(rows), self.shape[1])

    def __array__(self, dtype: Any = None, /, *, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("rows that are made when asked for cannot become an array without a copy")
        values = self._read(self._rows)
        return values if dtype is None else values.astype(dtype, copy=False)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        if (np.diff(rows) < 0).any():
            distinct, place = np.unique(rows, return_inverse=True)
            return self._read(distinct)[place]
        values = np.empty((len(rows), self.shape[1]), np.float32)
        edges = np.searchsorted(rows, [*self._starts, len(self._base)])
        for drive, start, low, high in zip(self._drives, self._starts, edges[:-1], edges[1:], strict=True):
            if low < high:
                drive.read(self._base[start:], rows[low:high] - start, values[low:high])
        release(self._base)
        return values
