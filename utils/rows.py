"""A ``.npy`` file that grows row by row, so that what it holds may exceed memory and survives a killed process."""

import os
from pathlib import Path

import numpy as np

from opticornet.utils.errors import UserError
from opticornet.utils.files import writing

HEADER_BYTES = 128  # what NumPy writes for any shape of few axes, room for a longer row count included


class RowWriter:
    """Append rows to an unfinished ``.npy`` through a memory map; only the rows being written are ever mapped.

    Blocks of the file are reserved before they are mapped: a full disk is an error here and not a crash.

    Args:
        path: created if missing; rows beyond the first ``rows`` are cut off.
        row_shape: shape of one row.
        dtype: float16 or float32.
        rows: rows of an earlier run to keep.

    Raises:
        UserError: the file has fewer rows than that, or cannot be written.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...], dtype: np.dtype | type, rows: int = 0) -> None:
        self.path, self.row_shape, self.dtype, self.rows = path, tuple(row_shape), np.dtype(dtype), rows
        self.row_bytes = int(np.prod(self.row_shape)) * self.dtype.itemsize
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "r+b" if path.exists() else "w+b")  # noqa: SIM115 - open as long as the writer
            size = os.fstat(self._file.fileno()).st_size
            if rows and size < self._offset(rows):
                self._file.close()
                raise UserError(f"{path} is shorter than the {rows} rows it should hold: start again with `overwrite`")
            self._file.truncate(self._offset(rows))
            self._write_header()

    def append(self, block: np.ndarray) -> None:
        """Append (M, *row_shape), cast to the file's dtype.

        Raises:
            UserError: the disk is full; rows appended before are kept.
        """
        if len(block) == 0:
            return
        start, length = self._offset(self.rows), len(block) * self.row_bytes
        with writing(self.path):
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), start, length)
            else:
                self._file.truncate(start + length)
            mapped = np.memmap(self._file, self.dtype, "r+", start, (len(block), *self.row_shape))
            mapped[:] = block
        self.rows += len(block)

    def sync(self) -> None:
        """Make the file a valid ``.npy`` of the rows so far and wait until it is on the disk."""
        with writing(self.path):
            self._file.truncate(self._offset(self.rows))  # space reserved for a block that was not written
            self._write_header()
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def _offset(self, rows: int) -> int:
        return HEADER_BYTES + rows * self.row_bytes

    def _write_header(self) -> None:
        shape = (self.rows, *self.row_shape)
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        )
        if self._file.tell() != HEADER_BYTES:
            raise RuntimeError(f"NumPy wrote a header of {self._file.tell()} bytes, expected {HEADER_BYTES}")
