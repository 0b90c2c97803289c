"""Memory-mapped arrays: as tensors without a copy, and released once they have been read."""

import mmap
import warnings
from typing import Any, Protocol

import numpy as np
import torch


class RowMatrix(Protocol):
    """(N, D) numbers whose rows can be taken without reading the others: a NumPy array, or what stands for one."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, key: int | slice | np.ndarray, /) -> Any:
        """A slice of rows, unread, as another such matrix; the rows of an integer or an integer array as an array."""

    def __array__(self, dtype: Any = None, /, *, copy: bool | None = None) -> np.ndarray: ...


def as_tensor(array: np.ndarray) -> torch.Tensor:
    """A C-contiguous array as a tensor over the same memory; nobody may write to it where the array is read-only."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def release(rows: object) -> None:
    """Release the memory-mapped pages under ``rows``, so that they no longer count as this process's memory.

    They stay in the system's cache, and reading them again maps them back. What is not memory-mapped is left alone.
    """
    if not isinstance(rows, np.ndarray):
        return
    source = rows.base
    while isinstance(source, np.ndarray):
        source = source.base
    if not isinstance(source, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED"):
        return
    first = np.frombuffer(source, np.uint8).ctypes.data
    low, high = (address - first for address in np.lib.array_utils.byte_bounds(rows))
    low -= low % mmap.PAGESIZE
    source.madvise(mmap.MADV_DONTNEED, low, high - low)
