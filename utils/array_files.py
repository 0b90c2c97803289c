"""NumPy's own files, read without trusting them: whatever their bytes, the arrays or an error of one line.

``numpy.load`` parses a header as Python does, allocates what it asks for and raises a dozen kinds of exception on a
damaged one. Here a header is believed only where the file is as large as it says, and pickled objects are never opened.
"""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

import numpy as np

from opticornet.utils.errors import DamagedFile, UserError

Header = tuple[tuple[int, ...], bool, np.dtype]


@contextmanager
def undamaged(path: str | Path, wanted: str) -> Iterator[None]:
    """Turn whatever reading damaged bytes of ``path`` raises into a :class:`DamagedFile` of one line.

    Args:
        path: the file.
        wanted: what it should be, or what to do, for the message.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # parsers of damaged bytes raise whatever they meet
        raise DamagedFile(f"{path}: cannot be read ({one_line(error)}); {wanted}") from error


def one_line(error: Exception) -> str:
    """An exception's message in one line of 200 characters; its type, where it has none."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def read_header(file: IO[bytes]) -> Header:
    """Shape, Fortran order and dtype of the ``.npy`` data that starts where ``file`` stands; the values come next.

    Raises:
        ValueError: no such data, or a version of the format that is not known.
    """
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            return np.lib.format.read_array_header_1_0(file)
        if version == (2, 0):
            return np.lib.format.read_array_header_2_0(file)
    except Exception as error:  # of the parsers of Python, too, such as tokenize.TokenError
        raise ValueError(one_line(error)) from error
    raise ValueError(f"version {version} of the format")


def map_npy(path: Path) -> np.ndarray:
    """The array of a ``.npy`` file, read-only and memory-mapped.

    Raises:
        UserError: no such file, or one that is damaged, too short, or holds pickled objects.
    """
    with undamaged(path, "copy it again, or make it anew"), open(path, "rb") as file:
        return map_array(file, path, path.stat().st_size)


def map_array(file: IO[bytes], path: Path, end: int) -> np.ndarray:
    """Map the ``.npy`` data that starts where ``file`` stands and may not reach past byte ``end`` of ``path``.

    Raises:
        UserError: as :func:`map_npy`.
    """
    shape, fortran, dtype = checked_header(file, path, end)
    if 0 in shape:
        return np.empty(shape, dtype)
    order: Literal["F", "C"] = "F" if fortran else "C"
    return np.memmap(path, dtype, mode="r", offset=file.tell(), shape=shape, order=order)


def checked_header(file: IO[bytes], path: Path, end: int) -> Header:
    """:func:`read_header`, once ``file`` is known to hold numbers or text, and as many as it says before byte ``end``.

    Raises:
        UserError: it does not.
    """
    try:
        shape, fortran, dtype = read_header(file)
    except ValueError as error:
        raise DamagedFile(
            f"{path}: not a NumPy array file ({one_line(error)}); write it with np.save, or extract it again"
        ) from error
    if dtype.hasobject:
        raise DamagedFile(f"{path}: holds pickled Python objects, which are not opened; save an array of numbers")
    if not dtype.itemsize or min(shape, default=0) < 0:
        raise DamagedFile(
            f"{path}: not a NumPy array file (shape {shape} {dtype}); write it with np.save, or extract it again"
        )
    needed, found = int(np.prod(shape, dtype=object)) * dtype.itemsize, end - file.tell()
    if found < needed:
        raise DamagedFile(
            f"{path}: truncated, shape {shape} {dtype} needs {needed} bytes and {found} are there; "
            "copy or extract it again"
        )
    return shape, fortran, dtype


def read_npz(path: Path, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Arrays of a ``.npz`` file: those of ``names``, all by default.

    Raises:
        UserError: no such file, or one that is damaged, lacks an array, or holds pickled objects.
    """
    with undamaged(path, "copy it again, or make it anew"), zipfile.ZipFile(path) as archive:
        found = {name.removesuffix(".npy"): name for name in archive.namelist()}
        if missing := [name for name in names or () if name not in found]:
            raise UserError(f"{path}: no array {missing[0]!r}; it holds {', '.join(found) or 'nothing'}")
        return {name: read_member(archive, path, found[name]) for name in (found if names is None else names)}


def read_member(archive: zipfile.ZipFile, path: Path, member: str) -> np.ndarray:
    """One array of an open archive, read whole.

    Raises:
        UserError, Exception: it is damaged, or holds pickled objects; to be called inside :func:`undamaged`.
    """
    size = archive.getinfo(member).file_size
    with archive.open(member) as stream:
        shape, fortran, dtype = checked_header(stream, path, size)
        data = stream.read()  # to the end, where the archive's checksum is compared
    values = np.frombuffer(data, dtype, count=int(np.prod(shape)))
    return values.reshape(shape[::-1]).T.copy() if fortran else values.reshape(shape).copy()
