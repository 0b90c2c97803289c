"""Local features to the files of a store while they grow: one after the other."""

import shutil

import numpy as np

from opticornet.datasets.descriptors.files import unfinished_path
from opticornet.datasets.descriptors.local_files import LocalFiles
from opticornet.utils.files import writing
from opticornet.utils.rows import RowWriter


class LocalWriter:
    """Append rows to unfinished files of bounded size: a :class:`RowWriter` over several.

    Args:
        files: to write.
        row_shape, dtype: as of a ``RowWriter``.
        rows: of an earlier run to keep.
        finished: that run had finished; images were added since.
    """

    def __init__(
        self,
        files: LocalFiles,
        row_shape: tuple[int, ...],
        dtype: np.dtype | type | str,
        rows: int,
        finished: bool = False,
    ) -> None:
        self._files, self._row_shape, self._dtype, self.rows = files, row_shape, np.dtype(dtype), rows
        self.row_bytes = int(np.prod(row_shape)) * self._dtype.itemsize
        self._number = -1
        self._writer: RowWriter | None = None
        number, kept = divmod(rows, files.images_per_file)
        if finished and kept:
            path = files.paths[number]
            with writing(path):
                shutil.copyfile(path, unfinished_path(path))
        if rows < files.images_per_file * len(files.paths):
            self._open()

    def append(self, block: np.ndarray) -> None:
        """Append (M, *row_shape), cast to the files' dtype.

        Raises:
            UserError: the disk is full; rows appended before are kept.
        """
        while len(block):
            self._open()
            assert self._writer is not None
            some = block[: self._files.images_per_file - self._writer.rows]
            self._writer.append(some)
            self.rows += len(some)
            block = block[len(some) :]

    def sync(self) -> None:
        """Bring the rows so far to the disk."""
        if self._writer is not None:
            self._writer.sync()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _open(self) -> None:
        """The file of the next row, as that of those before it is complete."""
        number, kept = divmod(self.rows, self._files.images_per_file)
        if number == self._number:
            return
        self.sync()
        self.close()
        path = unfinished_path(self._files.paths[number])
        self._number, self._writer = number, RowWriter(path, self._row_shape, self._dtype, kept)
