"""Frames that cannot be used, filled from their neighbours."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from opticornet.datasets.traverse import FrameKind, Traverse
from opticornet.utils.errors import UserError
from opticornet.utils.mapped import RowMatrix, release

Filling = Literal["none", "previous", "interpolate"]


class BlendedRows:
    """Rows of a descriptor matrix, each between two of its rows, made when asked for: a ``RowMatrix``.

    Row i is ``(1 - weight[i]) * base[low[i]] + weight[i] * base[high[i]]``, as long as the two are on this average.

    Args:
        base: (N, D).
        low, high: (M,) int64 rows of ``base``.
        weight: (M,) float32; where it is 0, row i is ``base[low[i]]`` to the bit.
    """

    def __init__(self, base: RowMatrix, low: np.ndarray, high: np.ndarray, weight: np.ndarray) -> None:
        self._base, self._low, self._high, self._weight = base, low, high, weight
        self.shape: tuple[int, ...] = (len(low), base.shape[1])
        self.dtype: np.dtype[Any] = base.dtype
        self.ndim = 2

    def __len__(self) -> int:
        return len(self._low)

    def __getitem__(self, key: int | slice | np.ndarray, /) -> "BlendedRows | np.ndarray":
        if isinstance(key, slice):
            return BlendedRows(self._base, self._low[key], self._high[key], self._weight[key])
        low, high, weight = (np.atleast_1d(values[key]) for values in (self._low, self._high, self._weight))
        return self._read(low.ravel(), high.ravel(), weight.ravel()).reshape(*np.shape(self._low[key]), self.shape[1])

    def __array__(self, dtype: Any = None, /, *, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("rows that are made when asked for cannot become an array without a copy")
        values = self._read(self._low, self._high, self._weight)
        return values if dtype is None else values.astype(dtype, copy=False)

    def _read(self, low: np.ndarray, high: np.ndarray, weight: np.ndarray) -> np.ndarray:
        values = np.array(self._base[low])
        between = np.flatnonzero(weight)
        if len(between):
            first, second = (np.asarray(self._base[rows[between]], np.float32) for rows in (low, high))
            share = weight[between, None]
            lengths = (np.linalg.norm(rows, axis=1, keepdims=True) for rows in (first, second))
            mixed, length = (1 - share) * first + share * second, (1 - share) * next(lengths) + share * next(lengths)
            values[between] = mixed * (length / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-12))
        release(self._base)
        return values


def fill_frames(traverse: Traverse, filling: Filling, needs: frozenset[FrameKind]) -> Traverse:
    """The traverse with something to read in place of every unusable frame.

    Args:
        traverse: whose ``usable`` says which frames those are.
        filling: "previous": the usable frame before in the same sequence (before the first one, that), which makes the
            frame usable; "interpolate": so do descriptors between the usable frames before and after, by the distance
            in rows; "none": nothing does.
        needs: the kinds of frames that will be read.

    Returns:
        A traverse whose ``filled`` marks the frames that became usable. In place of one that did not stands a usable
        one near it, for what looks beyond windows. Descriptors are made when they are read.

    Raises:
        UserError: images are needed, which cannot be interpolated; there is no usable frame.
    """
    usable = traverse.usable
    if usable is None or usable.all():
        return traverse
    if not usable.any():
        raise UserError(f"traverse {traverse.name}: none of its {len(traverse)} frames is usable; extract them again")
    if filling == "interpolate" and "images" in needs:
        raise UserError("`fill_frames` interpolate mixes descriptors, and the method takes images; use previous")
    before, after = _usable_neighbours(usable)
    own_before, own_after = before >= traverse.bounds[:, 0], after < traverse.bounds[:, 1]
    fillable = own_before | own_after
    low = np.where(own_before | ~own_after & (before >= 0), before, after)
    high = np.where(own_before & own_after, after, low)
    weight = np.zeros(len(traverse), np.float32)
    if filling == "interpolate":
        weight = ((np.arange(len(traverse)) - low) / np.maximum(high - low, 1) * (high > low)).astype(np.float32)
    descriptors = traverse.descriptors
    return replace(
        traverse,
        descriptors=None if descriptors is None else BlendedRows(descriptors, low, high, weight),
        images=traverse.images and tuple(traverse.images[row] for row in low.tolist()),
        usable=usable if filling == "none" else usable | fillable,
        filled=None if filling == "none" else fillable & ~usable,
    )


def _usable_neighbours(usable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) rows of the nearest usable frame at or before each frame, -1 for none, and at or after, N for none."""
    rows = np.arange(len(usable))
    before = np.maximum.accumulate(np.where(usable, rows, -1))
    after = np.minimum.accumulate(np.where(usable, rows, len(rows))[::-1])[::-1]
    return before, after
