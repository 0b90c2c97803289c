"""Mean and spread of frames, from sums that are the same to the bit in whatever blocks the frames come."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import torch

from opticornet.utils.errors import UserError
from opticornet.utils.mapped import RowMatrix, release

PIECE = 1 << 16  # numbers worked on at a time: they stay in a processor's cache
FLOOR = 0.1  # of the root mean square deviation, added to each dimension's: one that hardly varies stays small


@dataclass(frozen=True)
class Statistics:
    """Mean and, where frames are scaled too, variance of each dimension.

    Attributes:
        mean: (..., D) float64.
        variance: (..., D) float64; None: frames are only centred.
        count: (...) int64 frames behind them.
    """

    mean: np.ndarray
    variance: np.ndarray | None
    count: np.ndarray

    @classmethod
    def pooled(cls, drives: "Sequence[Statistics]") -> "Statistics":
        """Of several drives together: the mean of all their frames, and the variance that these have within a drive."""
        counts = np.array([drive.count for drive in drives], np.float64)
        shares = counts / max(counts.sum(), 1)
        variances = [drive.variance for drive in drives if drive.variance is not None]
        return cls(
            shares @ np.stack([drive.mean for drive in drives]),
            shares @ np.stack(variances) if variances else None,
            np.array(int(counts.sum())),
        )

    def saved(self) -> dict[str, Any]:
        """As tensors and plain values."""
        variance = None if self.variance is None else torch.from_numpy(self.variance)
        return {"mean": torch.from_numpy(self.mean), "variance": variance, "count": int(self.count)}

    @classmethod
    def restored(cls, saved: Any, source: str) -> "Statistics | None":
        """From :meth:`saved`, as ``source`` holds it; None from None.

        Raises:
            UserError: it is no such thing.
        """
        if saved is None:
            return None
        mean, variance, count = (
            saved.get(name) if isinstance(saved, dict) else None for name in ("mean", "variance", "count")
        )
        if _is_vector(mean) and type(count) is int:
            if variance is None:
                return cls(mean.numpy(), None, np.array(count))
            if _is_vector(variance) and len(variance) == len(mean):
                return cls(mean.numpy(), variance.numpy(), np.array(count))
        raise UserError(f"{source} holds no mean of training queries where one should be; it was changed, train again")

    def adapt(self, frames: np.ndarray) -> np.ndarray:
        """Frames (..., D) as (x - mean), or (x - mean) / (s + FLOOR r): float32.

        s is each dimension's standard deviation, r the root of the mean of all dimensions' variances.
        """
        centred = np.asarray(frames, np.float64) - self.mean
        if self.variance is not None:
            floor = FLOOR * np.sqrt(self.variance.mean(axis=-1, keepdims=True))
            spread = np.sqrt(self.variance) + floor
            centred /= np.where(spread > 0, spread, 1)  # frames that are all the same are zeros already
        return centred.astype(np.float32)


@dataclass(frozen=True)
class Sums:
    """Sums over the frames so far, each added to those before it, in order.

    Attributes:
        count: (...) int64 frames that entered.
        total: (..., D) float64.
        squares: (..., D) float64 sums of squares; None where nothing is scaled.
    """

    count: np.ndarray
    total: np.ndarray
    squares: np.ndarray | None

    @classmethod
    def empty(cls, dims: int, scale: bool) -> "Sums":
        """Before the first frame."""
        return cls(np.array(0), np.zeros(dims), np.zeros(dims) if scale else None)

    def after_each(self, frames: np.ndarray, enters: np.ndarray) -> "Sums":
        """After each of the next frames.

        Args:
            frames: (B, D).
            enters: (B,) bool; the others, and those that hold NaN or infinity, leave the sums as they are.

        Returns:
            Of shape (B,) and (B, D).
        """
        frames = np.asarray(frames, np.float64)
        with np.errstate(invalid="ignore"):
            enters = enters & np.isfinite(frames.sum(axis=1))
        if not enters.all():
            frames = np.where(enters[:, None], frames, 0.0)
        squares = None if self.squares is None else _added(self.squares, np.square(frames))
        return Sums(self.count + np.cumsum(enters), _added(self.total, frames), squares)

    def __getitem__(self, key: int | np.ndarray) -> "Sums":
        """After some of the frames, or one; a copy, as those after all the others are not to be kept for it."""
        squares = None if self.squares is None else np.array(self.squares[key])
        return Sums(self.count[key], np.array(self.total[key]), squares)

    def statistics(self, begin: Statistics | None = None, frames: int = 0) -> Statistics:
        """Of the frames so far.

        The mean is (n0 m0 + sum of x) / (n0 + n), the variance (n0 v0 + sum of (x - m)^2) / (n0 + n), m being the
        frames' own mean, so that a new drive's other mean is not taken for spread.

        Args:
            begin: m0 and v0; None: nothing is known before the first frame.
            frames: n0, how many frames they count for.
        """
        count = self.count[..., None]  # (..., 1)
        known = np.maximum(count + frames, 1)
        total = self.total if begin is None else frames * begin.mean + self.total
        if self.squares is None:
            return Statistics(total / known, None, self.count)
        within = np.maximum(self.squares - np.square(self.total) / np.maximum(count, 1), 0)
        if begin is not None and begin.variance is not None:
            within = frames * begin.variance + within
        return Statistics(total / known, within / known, self.count)


def walk(rows: RowMatrix, enters: np.ndarray, sums: Sums, step: int) -> Iterator[tuple[int, np.ndarray, Sums]]:
    """Add (N, D) rows to sums, a few at a time: yields the first row's number, rows (B, D), and the sums after each.

    The rows are released when the next are read. Rows that follow each other never lie on either side of a multiple of
    ``step``, a power of two.
    """
    size = min(step, 1 << max(0, (PIECE // rows.shape[1]).bit_length() - 1))
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        frames = np.asarray(block)
        after = sums.after_each(frames, enters[start : start + size])
        yield start, frames, after
        release(block)
        sums = after[-1]


def statistics_of(rows: RowMatrix, enters: np.ndarray, scale: bool) -> Statistics:
    """Of all (N, D) rows that enter, (N,) bool."""
    sums = Sums.empty(rows.shape[1], scale)
    for _, _, after in walk(rows, enters, sums, step=1 << 10):
        sums = after[-1]
    return sums.statistics()


def _is_vector(value: Any) -> TypeGuard[torch.Tensor]:
    """Whether it is a (D,) tensor of finite float64."""
    is_vector = isinstance(value, torch.Tensor) and value.dtype == torch.float64 and value.ndim == 1
    return is_vector and bool(value.isfinite().all())


def _added(before: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(B, D): ``before`` (D,) plus the first, the first two, ... of ``values`` (B, D), added one after the other.

    Row by row: NumPy's accumulate goes down the columns of such a matrix, which takes ten times as long.
    """
    sums = np.empty_like(values)
    for value, total in zip(values, sums, strict=True):
        before = np.add(before, value, out=total)
    return sums
