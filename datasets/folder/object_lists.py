"""Lists of whole numbers in a ``.npy`` of objects, as VPR-Bench keeps its ground truth, without trusting the file.

Such a file is a pickle. It is read by an unpickler that knows four names of NumPy and puts classes of its own in their
place, so that whatever the file holds, none of it is executed.
"""

import io
import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from opticornet.utils.array_files import read_header
from opticornet.utils.errors import UserError

_INTEGERS = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)}


class _Type:
    """Stands for ``numpy.dtype``: its code, as "i8" or "O8", and the order of its bytes."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def numbers(self, data: bytes | str) -> list[int]:
        """What the bytes (text, where Python 2 wrote them) say."""
        if self.code not in _INTEGERS or self.order not in "<>|=":
            raise ValueError(f"values of type {self.code}")
        data = data.encode("latin1") if isinstance(data, str) else data
        return np.frombuffer(data, np.dtype(f"{self.order}{self.code}")).tolist()


class _Array:
    """Stands for ``numpy.ndarray``: its shape and its values, those of objects row by row."""

    def __init__(self, *_: Any) -> None:
        self.shape: tuple[int, ...] = ()
        self.values: list[Any] = []

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, kind, _, data = state
        self.values = data if isinstance(data, list) else kind.numbers(data)


def _array(*_: Any) -> _Array:
    return _Array()


def _scalar(kind: _Type, data: bytes | str) -> int:
    (number,) = kind.numbers(data)
    return number


_STANDS_FOR = {"dtype": _Type, "ndarray": _Array, "_reconstruct": _array, "scalar": _scalar}
_MODULES = {
    "dtype": ("numpy",),
    "ndarray": ("numpy",),
    "_reconstruct": ("numpy.core.multiarray", "numpy._core.multiarray"),
    "scalar": ("numpy.core.multiarray", "numpy._core.multiarray"),
}


class _Lists(pickle._Unpickler):
    """Knows arrays, integers and lists; the one in Python, whose memo and buffers no number in a file makes large."""

    dispatch: ClassVar = {**pickle._Unpickler.dispatch}
    del dispatch[pickle.BYTEARRAY8[0]]

    def find_class(self, module: str, name: str) -> Any:
        if module in _MODULES.get(name, ()):
            return _STANDS_FOR[name]
        raise ValueError(f"it names {module}.{name}")


@dataclass(frozen=True)
class NumberedLists:
    """``numbers`` (N,) int64 and the list of each, (n,) int64."""

    numbers: np.ndarray
    lists: tuple[np.ndarray, ...]


def read_object_lists(path: Path) -> NumberedLists:
    """Read a ``.npy`` of rows ``[number, [numbers]]``: an array of objects, or of whole numbers (two a row).

    Raises:
        UserError: it cannot be read, or holds anything but whole numbers, lists and arrays of them.
    """
    try:
        with open(path, "rb") as file, warnings.catch_warnings(action="ignore"):  # of a header that Python 2 wrote
            rows = _rows(file.read())
        numbers = np.array([_whole(number) for number, _ in rows], np.int64)
        return NumberedLists(numbers, tuple(np.array(_flat(some), np.int64) for _, some in rows))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such table; check the path") from error
    except Exception as error:  # damaged or hostile bytes may raise whatever an unpickler can
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"{path}: not read as rows of [number, [numbers]] ({reason}); wanted a .npy of whole numbers and lists of "
            "them"
        ) from error


def _rows(content: bytes) -> list[tuple[Any, Any]]:
    """The pairs of each row."""
    file = io.BytesIO(content)
    shape, _, dtype = read_header(file)
    if not dtype.hasobject:
        array = np.load(io.BytesIO(content), allow_pickle=False)
        if array.dtype.kind not in "iu" or array.ndim != 2 or array.shape[1] != 2:
            raise ValueError(f"{array.dtype} of shape {array.shape}")
        return array.tolist()
    held = _Lists(file, encoding="latin1").load()
    if not isinstance(held, _Array):
        raise ValueError("no array")
    values = held.values
    if len(shape) == 2 and shape[1] == 2 and len(values) == 2 * shape[0]:
        return list(zip(values[::2], values[1::2], strict=True))
    if len(shape) != 1 or len(values) != shape[0]:
        raise ValueError(f"an array of shape {shape}")
    return [_pair(value) for value in values]


def _pair(value: Any) -> tuple[Any, Any]:
    number, some = value.values if isinstance(value, _Array) else value
    return number, some


def _whole(value: Any) -> int:
    if isinstance(value, _Array) and len(value.values) == 1:
        (value,) = value.values
    if type(value) is not int:
        raise ValueError(f"a value of type {type(value).__name__}")
    return value


def _flat(value: Any) -> list[int]:
    """The numbers of a list or array of one dimension, or the one number."""
    some = value.values if isinstance(value, _Array) else value
    return [_whole(one) for one in (some if isinstance(some, list | tuple) else [some])]
