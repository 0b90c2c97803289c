"""Memory-mapped arrays: as tensors without a copy, released once read, and made where memory is short."""

import mmap
import os
import tempfile
import warnings
from typing import Any, Protocol

import numpy as np
import torch

from opticornet.utils.errors import UserError


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


def zeros_or_file(shape: tuple[int, ...], memory_bytes: int, what: str, advice: str) -> np.ndarray:
    """Float32 zeros: in memory, or where they take more than ``memory_bytes`` in a file that has no name and goes with
    the process.

    Args:
        what: that is to be held, in words, and what else to do where it cannot be: ``advice``.

    Raises:
        UserError: the disk has no room.
    """
    size = 4 * int(np.prod(shape))
    if size <= memory_bytes:
        return np.zeros(shape, np.float32)
    folder = tempfile.gettempdir()
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)  # a disk that is full later would kill the process
        except OSError as error:
            raise UserError(
                f"{what} take {size / 2**30:.1f} GiB, which {folder} cannot hold ({error.strerror}); set TMPDIR to a "
                f"folder of a larger disk, or {advice}"
            ) from error
        return np.memmap(file, np.float32, "r+", shape=shape)
