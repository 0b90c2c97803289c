"""A struct of a MATLAB 5 file (``.mat``, seqNet's ``.db``), read in plain Python.

SciPy's reader is compiled, and a damaged file can end the whole process there. This one reads what such files hold of
numbers, text, cells and structs, and checks every size before it is believed.
"""

import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_HEADER_BYTES = 128
_COMPRESSED, _MATRIX = 15, 14
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXT = {1: "latin1", 2: "utf-8", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}  # by the type of an element
_CELL, _STRUCT, _CHAR, _DOUBLE, _UINT64, _COMPLEX = 1, 2, 4, 6, 15, 0x800  # classes of a matrix, and a flag


def read_matlab_struct(path: Path, name: str) -> dict[str, Any]:
    """The fields of the struct ``name``.

    Returns:
        By field: numbers and cells (of objects) as arrays of their shape, text as a (rows,) array of unicode.

    Raises:
        ValueError, OSError, zlib.error, ...: no such file, one of another kind, or a damaged one.
    """
    content = path.read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(content[126:_HEADER_BYTES])
    if order is None:
        raise ValueError("no header of MATLAB 5")
    for kind, data in _elements(content[_HEADER_BYTES:], order):
        if kind == _COMPRESSED:
            kind, data = next(_elements(zlib.decompress(data), order))
        if kind == _MATRIX:
            found, value = _matrix(data, order)
            if found == name and isinstance(value, dict):
                return value
    raise ValueError(f"no struct {name} in it")


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and bytes of one element after the other."""
    place = 0
    while place < len(data):
        kind, size = (int(word) for word in np.frombuffer(data, f"{order}u4", 2, place))
        if small := kind >> 16:  # four bytes at most, in the place of the size
            kind, size, begin, end = kind & 0xFFFF, small, place + 4, place + 8
        else:
            begin, end = place + 8, place + 8 + size
            end += 0 if kind == _COMPRESSED else -size % 8
        if begin + size > len(data) or (small and size > 4):
            raise ValueError(f"an element of {size} bytes reaches beyond the end")
        yield kind, data[begin : begin + size]
        place = end


def _matrix(data: bytes, order: str) -> tuple[str, Any]:
    """Name and value of a matrix."""
    if not data:
        return "", np.empty((0, 0))
    parts = _elements(data, order)
    flags = int(_numbers(next(parts), order)[0])
    shape = tuple(_numbers(next(parts), order).tolist())
    name = next(parts)[1].decode("latin1")
    kind = flags & 0xFF
    if min(shape) < 0:
        raise ValueError(f"{name} has shape {shape}")
    if kind == _CELL:
        cells = np.empty(math.prod(shape) if math.prod(shape) <= len(data) else 0, object)
        cells[:] = [_matrix(next(parts)[1], order)[1] for _ in cells]
        return name, cells.reshape(shape, order="F")
    if kind == _STRUCT:
        return name, _fields(parts, shape, order)
    if kind == _CHAR:
        return name, _text(next(parts), shape, order)
    if not _DOUBLE <= kind <= _UINT64 or flags & _COMPLEX:
        raise ValueError(f"{name} is of a kind that is not read ({kind})")
    return name, _numbers(next(parts), order).reshape(shape, order="F")


def _fields(parts: Iterator[tuple[int, bytes]], shape: tuple[int, ...], order: str) -> dict[str, Any]:
    if math.prod(shape) != 1:
        raise ValueError(f"structs of shape {shape}; wanted one")
    width = int(_numbers(next(parts), order)[0])
    names = next(parts)[1]
    if width < 1:
        raise ValueError(f"names of {width} characters")
    fields = [names[i : i + width].split(b"\0")[0].decode("latin1") for i in range(0, len(names), width)]
    return {field: _matrix(next(parts)[1], order)[1] for field in fields}


def _text(element: tuple[int, bytes], shape: tuple[int, ...], order: str) -> np.ndarray:
    """(rows,) unicode of a character matrix, whose columns are stored one after the other."""
    kind, data = element
    encoding = _TEXT[kind]
    if encoding in ("utf-16", "utf-32"):
        encoding += "-le" if order == "<" else "-be"
    characters = data.decode(encoding)
    rows = shape[0]
    if len(characters) != math.prod(shape):
        raise ValueError(f"{len(characters)} characters of shape {shape}")
    return np.array([characters[row::rows] for row in range(rows)] if characters else [], np.str_)


def _numbers(element: tuple[int, bytes], order: str) -> np.ndarray:
    kind, data = element
    return np.frombuffer(data, f"{order}{_NUMBERS[kind]}")
