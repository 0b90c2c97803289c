"""Adapted frames as a robot has them when a query is timed: the map's adapted once, the window's as they came, so that
only the newest frame is left to adapt. Frames that are not adapted are left where they are."""

from collections.abc import Callable
from dataclasses import replace
from tempfile import TemporaryFile

import numpy as np
from torch import Tensor

from opticornet.datasets.adapting.adaptation import Adaptation
from opticornet.datasets.adapting.rows import AdaptedRows
from opticornet.datasets.traverse import Traverse
from opticornet.datasets.windows import Windows
from opticornet.evaluation.answering.timing import timed_queries
from opticornet.matching.sequences.windows import SequenceSet
from opticornet.utils.mapped import RowMatrix

_BLOCK = 1024  # rows written at a time


class KeptRows:
    """A matrix of rows of which some are kept once they are made: a ``RowMatrix``.

    Args:
        base: (N, D).
        rows: (M,) int64, rising: those that are kept.
    """

    def __init__(self, base: RowMatrix, rows: np.ndarray) -> None:
        self._base, self._rows, self._values = base, rows, np.asarray(base[rows])
        self.shape, self.dtype = base.shape, base.dtype

    def __len__(self) -> int:
        return len(self._base)

    def __getitem__(self, key: int | slice | np.ndarray, /) -> "RowMatrix | np.ndarray":
        wanted = np.arange(len(self))[key] if isinstance(key, slice) else np.asarray(key)
        place = np.minimum(np.searchsorted(self._rows, wanted), len(self._rows) - 1)
        return self._values[place] if (self._rows[place] == wanted).all() else self._base[key]

    def __array__(self, dtype: np.dtype | None = None, /, *, copy: bool | None = None) -> np.ndarray:
        return np.array(self._base, dtype)


def of_timed_queries(query: Windows, wanted: int) -> Traverse:
    """The queries' traverse with the frames of ``wanted`` timed windows at hand."""
    frames = query.traverse.descriptors
    if not wanted or not isinstance(frames, AdaptedRows):
        return query.traverse
    return replace(query.traverse, descriptors=KeptRows(frames, _rows(query.starts, query.length, wanted)))


def windows_at_hand(
    reference: SequenceSet, query: SequenceSet, wanted: int, memory_bytes: int
) -> tuple[SequenceSet, SequenceSet]:
    """Windows over frames that are at hand: of ``wanted`` timed queries, and of the whole map where that takes no more
    than ``memory_bytes``."""
    known: RowMatrix | Tensor = reference.frames
    if wanted and isinstance(known, AdaptedRows) and known.dtype.itemsize * np.prod(known.shape) <= memory_bytes:
        reference = replace(reference, frames=_written(known))
    if wanted and isinstance(query.frames, AdaptedRows):
        kept = KeptRows(query.frames, _rows(query.starts, query.length, wanted))
        query = replace(query, frames=kept)
    return reference, query


def adapting_newest(adaptation: Adaptation, frames: RowMatrix | Tensor | None) -> Callable[[], object]:
    """What adapting the next frame of a drive takes; nothing, where ``frames`` are not adapted."""
    if not isinstance(frames, AdaptedRows):
        return lambda: None
    adapt, frame = adaptation.of_next_frame(frames.shape[1]), np.zeros(frames.shape[1], np.float32)
    return lambda: adapt(frame)


def _written(frames: AdaptedRows) -> np.ndarray:
    """All rows in a temporary file, memory-mapped as those of a map that nobody adapts."""
    file = TemporaryFile()  # noqa: SIM115 - the map keeps it
    for start in range(0, len(frames), _BLOCK):
        file.write(np.ascontiguousarray(frames[start : start + _BLOCK]).data)
    file.flush()
    return np.memmap(file, frames.dtype, mode="r", shape=frames.shape)


def _rows(starts: np.ndarray, length: int, wanted: int) -> np.ndarray:
    """The frames of the windows of timed queries, rising."""
    return np.unique(starts[timed_queries(len(starts), wanted)][:, None] + np.arange(length))
