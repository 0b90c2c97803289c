"""Arrays that are kept so as not to be made again: in a file without a name, of which the system keeps what fits in
its cache, so that this process needs no memory for them."""

import os
import shutil
import tempfile
import weakref
from collections import OrderedDict

import numpy as np


class KeptArrays:
    """Arrays of one shape and type by their row, those used last, up to a number of bytes.

    The file is gone with the process, however that ends. Where the disk becomes full, no more are kept than by then.

    Args:
        like: an array of that shape and type.
        most_bytes: of all that are kept; 0 keeps none.
    """

    def __init__(self, like: np.ndarray, most_bytes: int) -> None:
        self.shape, self.dtype, self.array_bytes = like.shape, like.dtype, like.nbytes
        self.places = most_bytes // like.nbytes
        self._place: OrderedDict[int, int] = OrderedDict()  # in the file, by row, the one used last at the end
        if self.places:
            self._file = tempfile.TemporaryFile(prefix="opticornet-", buffering=0)  # noqa: SIM115 - closed below
            weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return len(self._place)

    def get(self, row: int) -> np.ndarray | None:
        """A copy of the array of a row; None where it is not kept."""
        if row not in self._place:
            return None
        self._place.move_to_end(row)
        array = np.empty(self.shape, self.dtype)
        self._file.seek(self._place[row] * self.array_bytes)
        read = self._file.readinto(array.data.cast("B"))
        return array if read == self.array_bytes else None

    @property
    def file_bytes(self) -> int:
        """Of the file."""
        return os.fstat(self._file.fileno()).st_size if self.places else 0

    def keep(self, row: int, array: np.ndarray) -> None:
        """Keep the array of a row that is not kept yet; where no place is free, instead of that used longest ago."""
        if not self.places:
            return
        place = len(self) if len(self) < self.places else self._place.popitem(last=False)[1]
        if self._written(place, array):
            self._place[row] = place
        else:
            self.places = len(self)

    def _written(self, place: int, array: np.ndarray) -> bool:
        try:
            self._file.seek(place * self.array_bytes)
            return self._file.write(np.ascontiguousarray(array).data.cast("B")) == self.array_bytes
        except OSError:  # the disk is full
            return False


def most_scratch_bytes() -> int:
    """How much may be kept in files without a name: half of what is free in the system's folder for them."""
    return shutil.disk_usage(os.fspath(tempfile.gettempdir())).free // 2
