"""Opening frame-descriptor files without reading them, and reading them a block of rows at a time.

A descriptor matrix is (N, D) float16 or float32 in one of

- ``file.npy``: memory-mapped;
- ``file.npz:key``: a member stored uncompressed (``np.savez``) is memory-mapped in place, a compressed one is read;
- ``file.h5:key``: a contiguous dataset is memory-mapped in place, a chunked one is read as rows are asked for.

float64 and integer matrices are refused rather than converted: a conversion would be a copy of the whole file.
Nothing is ever unpickled.
"""

import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from opticornet.datasets.traverse import Traverse
from opticornet.utils.array_files import map_array, map_npy, one_line, read_member, undamaged
from opticornet.utils.errors import DamagedFile, UserError
from opticornet.utils.mapped import RowMatrix, release

if TYPE_CHECKING:
    import h5py

    from opticornet.datasets.descriptors.image_features import ImageFeatures

BLOCK_BYTES = 16 << 20
_KEYED = re.compile(r"(?P<file>.+\.(?:npz|h5|hdf5)):(?P<key>.+)", re.IGNORECASE)


class LazyRows:
    """Some rows of a descriptor matrix, read when asked for: what a view is where NumPy has none.

    Slicing gives another ``LazyRows``; indexing with an integer or an integer array, and ``np.asarray``, read.

    Args:
        base: (N, ...) array, h5py dataset, descriptors stored one per image, or another matrix of rows.
        rows: (M,) int64 rows of ``base``, each within it.
    """

    def __init__(self, base: "RowMatrix | h5py.Dataset | ImageFeatures", rows: np.ndarray) -> None:
        self._base = base
        self._rows = rows
        self.shape: tuple[int, ...] = (len(rows), *base.shape[1:])
        self.dtype: np.dtype[Any] = base.dtype
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: int | slice | np.ndarray, /) -> "LazyRows | np.ndarray":
        rows = self._rows[key]
        if isinstance(key, slice):
            return LazyRows(self._base, rows)
        return self._read(np.atleast_1d(rows)).reshape(*np.shape(rows), *self.shape[1:])

    def __array__(self, dtype: Any = None, /, *, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("rows that are read when asked for cannot become an array without a copy")
        values = self._read(self._rows)
        return values if dtype is None else values.astype(dtype, copy=False)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        flat = rows.ravel()
        if isinstance(self._base, np.ndarray):
            values = self._base[flat]
            release(self._base)
        elif not len(flat):
            values = np.empty((0, *self.shape[1:]), self.dtype)
        elif hasattr(self._base, "file"):
            values = _read_h5(self._base, flat)
        else:
            values = self._base[flat]
        return values.reshape(*rows.shape, *self.shape[1:])


def take_rows(descriptors: np.ndarray | LazyRows, rows: np.ndarray) -> np.ndarray | LazyRows:
    """Rows of a descriptor matrix without reading them: a view of a contiguous range, else :class:`LazyRows`."""
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows) and (np.diff(rows) == 1).all():
        return descriptors[int(rows[0]) : int(rows[-1]) + 1]
    return LazyRows(descriptors, rows)


def split_key(location: str | Path) -> tuple[Path, str | None]:
    """``"file.h5:key"`` to (file, key); a plain path has the key None."""
    match = _KEYED.fullmatch(str(location))
    return (Path(match["file"]), match["key"]) if match else (Path(location), None)


def open_descriptors(location: str | Path) -> np.ndarray | LazyRows:
    """Open a descriptor file for reading, memory-mapped wherever the file allows it.

    Args:
        location: ``file.npy``, ``file.npz:key``, ``file.h5:key`` (or ``.hdf5``).

    Returns:
        (N, D) float16 or float32, N and D at least 1: a read-only array, or :class:`LazyRows`.

    Raises:
        UserError: missing, truncated or corrupt file, missing key, pickled objects, wrong shape or type.
    """
    path, key = split_key(location)
    suffix = path.suffix.lower()
    if suffix != ".npy" and suffix not in _ARCHIVES:
        raise UserError(f"{path}: descriptor files end in .npy, .npz or .h5; convert this one to .npy")
    if not path.is_file():
        raise UserError(f"{path}: no such descriptor file; check the path")
    with undamaged(path, "copy or extract it again"):
        array = map_npy(path) if suffix == ".npy" else _open_member(path, key, _ARCHIVES[suffix])
    return _checked_descriptors(array, location)


def iterate_blocks(descriptors: RowMatrix, block_bytes: int = BLOCK_BYTES) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first row, block of rows as float32 (B, D)), each block about ``block_bytes`` as float32."""
    step = max(1, block_bytes // (4 * descriptors.shape[1]))
    for start in range(0, len(descriptors), step):
        rows = descriptors[start : start + step]
        yield start, np.asarray(rows, dtype=np.float32)
        release(rows)


def check_finite(traverse: Traverse) -> None:
    """Read every descriptor of a traverse, in blocks, and refuse NaN, infinity and rows of zeros in usable frames.

    Raises:
        UserError: there are none; or names the first row (and frame) that holds one, and how many rows do.
    """
    traverse.need_descriptors()
    for drive in traverse.parts:
        _check_finite(drive)


def _check_finite(traverse: Traverse) -> None:
    """:func:`check_finite` of one drive."""
    usable = traverse.is_usable
    bad: list[int] = []
    zero: list[int] = []
    for start, block in iterate_blocks(traverse.need_descriptors()):
        used = usable[start : start + len(block)]
        bad += [start + row for row in _bad_rows(block).tolist() if used[row]]
        zero += (start + np.flatnonzero(~block.any(axis=1) & used)).tolist()
    for what, rows in (("NaN or infinity", bad), ("nothing but zeros", zero)):
        if rows:
            frame = f" (frame {traverse.names[rows[0]]})" if traverse.names else ""
            raise UserError(
                f"traverse {traverse.name}: {what} in {len(rows)} of {len(traverse)} descriptors, first in row "
                f"{rows[0]}{frame} of {traverse.source or 'the array'}; extract them again, or mark such frames in a "
                "column usable of the frame table or a mask .usable.npy beside the descriptors (docs/datasets.md)"
            )


def _bad_rows(block: np.ndarray) -> np.ndarray:
    # A sum is finite unless an entry is not (or it overflows), so most blocks need no (B, D) mask.
    with np.errstate(over="ignore", invalid="ignore"):
        suspects = np.flatnonzero(~np.isfinite(block.sum(axis=1)))
    return suspects[~np.isfinite(block[suspects]).all(axis=1)]


def _open_member(path: Path, key: str | None, read: "_ReadMember") -> np.ndarray | LazyRows:
    if key is None:
        raise UserError(f'{path} holds several arrays; name one, as "{path.name}:key"')
    return read(path, key)


def _open_npz(path: Path, key: str) -> np.ndarray:
    with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
        members = {name.removesuffix(".npy"): name for name in archive.namelist()}
        if key not in members:
            raise UserError(f"{path}: no array {key!r}; it holds {', '.join(members) or 'nothing'}")
        member = archive.getinfo(members[key])
        if member.compress_type == zipfile.ZIP_STORED:
            file.seek(member.header_offset + 26)  # lengths of name and extra field in the local header
            name_length, extra_length = np.frombuffer(file.read(4), "<u2")
            file.seek(int(name_length) + int(extra_length), 1)
            return map_array(file, path, file.tell() + member.file_size)
        return read_member(archive, path, members[key])


def _open_h5(path: Path, key: str) -> np.ndarray | LazyRows:
    import h5py

    file = h5py.File(path, "r")
    dataset = file.get(key)
    if not isinstance(dataset, h5py.Dataset):
        raise UserError(f"{path}: no dataset {key!r}; it holds {', '.join(file) or 'nothing'}")
    if dataset.ndim != 2 or not dataset.size or not isinstance(dataset.dtype, np.dtype):
        return np.empty(dataset.shape or (), dataset.dtype)  # refused by its shape, unread
    offset = dataset.id.get_offset()  # None unless the dataset is one contiguous, unfiltered run of bytes
    if offset is not None and not dataset.external:
        shape, dtype = dataset.shape, dataset.dtype
        file.close()
        return np.memmap(path, dtype, mode="r", offset=offset, shape=shape)
    return LazyRows(dataset, np.arange(len(dataset)))


_ReadMember = Callable[[Path, str], np.ndarray | LazyRows]
_ARCHIVES: dict[str, _ReadMember] = {".npz": _open_npz, ".h5": _open_h5, ".hdf5": _open_h5}


def _read_h5(dataset: "h5py.Dataset | ImageFeatures", rows: np.ndarray) -> np.ndarray:
    """(M,) rows in any order, also repeated, as (M, D): HDF5 itself gives rising rows only."""
    low, high = int(rows.min()), int(rows.max())
    try:
        if high - low < 4 * len(rows):
            return dataset[low : high + 1][rows - low]  # near neighbours: one read of their span
        unique, inverse = np.unique(rows, return_inverse=True)
        return dataset[unique][inverse]
    except OSError as error:
        raise DamagedFile(
            f"{dataset.file.filename}: rows {low} to {high} cannot be read ({one_line(error)}); copy it again"
        ) from error


def _checked_descriptors(array: np.ndarray | LazyRows, location: str | Path) -> np.ndarray | LazyRows:
    if array.ndim != 2:
        raise UserError(f"{location}: shape {array.shape}; descriptors are (N, D), one row per frame")
    if not all(array.shape):
        raise UserError(f"{location}: empty, shape {array.shape}; descriptors are (N, D), one row per frame")
    if array.dtype not in (np.float16, np.float32) or not array.dtype.isnative:
        found = array.dtype.name if array.dtype.isnative else array.dtype.str
        raise UserError(
            f"{location}: {found} values; descriptors are float16 or float32: save them again after .astype('float32')"
        )
    return array
