"""seqNet's ground-truth files: MATLAB structs, pickled split indices, sequence bounds, lists of image names."""

import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from opticornet.datasets.seqnet.matlab import read_matlab_struct
from opticornet.datasets.traverse import Units
from opticornet.utils.array_files import read_header
from opticornet.utils.errors import DamagedFile, UserError
from opticornet.utils.text import read_lines


@dataclass(frozen=True)
class Struct:
    """One ``dbStruct``: the geometry of one split.

    Attributes:
        source: the file.
        dataset, split: what the file says it is ("nordland", "test").
        reference_names, query_names: image file names.
        reference_positions, query_positions: (N, P) float64 in ``units``.
        units: frames for one-dimensional positions (Nordland), else metres.
        radius: ``posDistThr``: within it a match is correct, beyond it training negatives lie.
        training_positive_radius: square root of ``nonTrivPosDistSqThr``; None where the file has none.
        reference_gps, query_gps: (N, 2) latitude, longitude in degrees, or None.
        reference_timestamps, query_timestamps: (N,) float64, or None.
    """

    source: str
    dataset: str
    split: str
    reference_names: tuple[str, ...]
    query_names: tuple[str, ...]
    reference_positions: np.ndarray
    query_positions: np.ndarray
    units: Units
    radius: float
    training_positive_radius: float | None
    reference_gps: np.ndarray | None = None
    query_gps: np.ndarray | None = None
    reference_timestamps: np.ndarray | None = None
    query_timestamps: np.ndarray | None = None


def read_struct(path: Path) -> Struct:
    """Read a MATLAB v5 file holding one struct ``dbStruct``.

    Matrices are accepted as (d, N), as seqNet writes them, or (N, d).

    Raises:
        UserError: missing or corrupt file, a missing field, sizes that disagree, a non-finite number,
            ``posDistSqThr`` that is not the square of ``posDistThr``.
    """
    fields = _load_fields(path)
    counts = {"Db": _scalar(path, fields, "numImages"), "Q": _scalar(path, fields, "numQueries")}
    radius = _scalar(path, fields, "posDistThr")
    squared = _scalar(path, fields, "posDistSqThr")
    if not np.isclose(radius**2, squared):
        raise UserError(f"{path}: posDistThr {radius:g} and posDistSqThr {squared:g} contradict each other")
    positions = {side: _matrix(path, fields, f"utm{side}", int(counts[side])) for side in counts}
    has_gps = "gpsDb" in fields and "gpsQ" in fields
    has_times = "dbTimeStamp" in fields and "qTimeStamp" in fields
    squared_positive = _scalar(path, fields, "nonTrivPosDistSqThr") if "nonTrivPosDistSqThr" in fields else None
    return Struct(
        source=str(path),
        dataset=_text(path, fields, "dataset"),
        split=_text(path, fields, "whichSet"),
        reference_names=_names(path, fields, "dbImageFns", int(counts["Db"])),
        query_names=_names(path, fields, "qImageFns", int(counts["Q"])),
        reference_positions=positions["Db"],
        query_positions=positions["Q"],
        units="frames" if positions["Db"].shape[1] == 1 else "metres",
        radius=radius,
        training_positive_radius=None if squared_positive is None else squared_positive**0.5,
        reference_gps=_matrix(path, fields, "gpsDb", int(counts["Db"])) if has_gps else None,
        query_gps=_matrix(path, fields, "gpsQ", int(counts["Q"])) if has_gps else None,
        reference_timestamps=_matrix(path, fields, "dbTimeStamp", int(counts["Db"]))[:, 0] if has_times else None,
        query_timestamps=_matrix(path, fields, "qTimeStamp", int(counts["Q"]))[:, 0] if has_times else None,
    )


def read_split_indices(path: Path, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a split in the reference and in the query traverse.

    The file is an ``.npz`` whose members are pickled object arrays of two integer arrays. They are read by an
    unpickler that can build NumPy arrays of integers and nothing else.

    Args:
        path: ``<name>_splitInds.npz``.
        key: "trainInds", "valInds" or "testInds".

    Returns:
        (N_ref,) and (N_query,) int64, rising.

    Raises:
        UserError: missing, truncated or corrupt file, a pickle of anything else, not two rising integer arrays.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as member:
            shape, _, dtype = read_header(member)
            if not dtype.hasobject:
                raise UserError(f"{path}:{key}: {dtype} of shape {shape}; wanted two arrays, of reference and query")
            value = _IntegerArrayUnpickler(member, encoding="latin1").load()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such split-index file; check `struct_path`") from error
    except UserError:
        raise
    except Exception as error:  # a hostile or broken pickle may raise anything at all
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DamagedFile(f"{path}:{key}: cannot be read as split indices ({reason}); get the file again") from error
    if not isinstance(value, np.ndarray) or value.shape[:1] != (2,):
        raise UserError(f"{path}:{key}: wanted two arrays of rows, of reference and query")
    return _rising_rows(path, key, value[0]), _rising_rows(path, key, value[1])


def read_bounds(path: Path) -> np.ndarray:
    """Read a sequence-bounds file: one line "lo hi" per frame, the half-open range of rows of its own sequence.

    Returns:
        (N, 2) int64.

    Raises:
        UserError: missing file, a line that is not two whole numbers, a range that does not hold its own row or
            that the rows in it do not share.
    """
    try:
        bounds = np.array([line.split() for line in _lines(path)], dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{path}: wanted two whole numbers per line, first and one past the last row") from error
    if bounds.ndim != 2 or bounds.shape[1] != 2:
        raise UserError(f"{path}: shape {bounds.shape}; wanted two whole numbers per line")
    rows, (low, high) = np.arange(len(bounds)), bounds.T
    wrong = (low < 0) | (low > rows) | (rows >= high) | (high > len(bounds))
    if not wrong.any():
        wrong = (bounds[low] != bounds).any(axis=1) | (bounds[high - 1] != bounds).any(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(f"{path}: row {row} has bounds {bounds[row].tolist()}, not a range shared by its rows")
    return bounds


def read_image_names(path: Path) -> tuple[str, ...]:
    """Read a list of image names, one per line."""
    return tuple(_lines(path))


def _lines(path: Path) -> list[str]:
    return read_lines(path, "one line per frame", "check `struct_path`")


class _IntegerArrayUnpickler(pickle.Unpickler):
    """Builds NumPy arrays of integers (and object arrays that hold them), and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        # NumPy 2 moved numpy.core to numpy._core; pickles hold whichever name wrote them.
        known = _ADMITTED.get((module.replace("numpy._core", "numpy.core"), name))
        if known is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return known


def _integer_dtype(code: Any, *arguments: Any) -> np.dtype:
    if not isinstance(code, str) or np.dtype(code).kind not in "iuO" or np.dtype(code).names:
        raise pickle.UnpicklingError(f"it holds values of type {code!r}")
    return np.dtype(code)


def _empty_array(kind: type, shape: Any, code: Any) -> np.ndarray:
    """What ``numpy.core.multiarray._reconstruct`` does: an empty array whose state follows."""
    if kind is not np.ndarray or shape != (0,):
        raise pickle.UnpicklingError("it holds something else than plain arrays")
    return np.ndarray((0,), "b")


def _latin1(text: str, encoding: str) -> bytes:
    """What ``_codecs.encode`` is used for: bytes in pickles of protocol 2 and below."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it asks for the codec {encoding}")
    return text.encode("latin1")


def _from_buffer(buffer: Any, dtype: np.dtype, shape: tuple[int, ...], order: Literal["C", "F"]) -> np.ndarray:
    """What ``numpy.core.numeric._frombuffer`` does: arrays in pickles of protocol 5."""
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


_ADMITTED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _integer_dtype,
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _latin1,
}


def _rising_rows(path: Path, key: str, rows: Any) -> np.ndarray:
    if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "iuO" or rows.ndim != 1 or not len(rows):
        raise UserError(f"{path}:{key}: wanted an array of whole row numbers")
    if rows.dtype == object and not all(isinstance(row, int) for row in rows):
        raise UserError(f"{path}:{key}: wanted an array of whole row numbers")
    rows = rows.astype(np.int64)
    if rows[0] < 0 or (np.diff(rows) <= 0).any():
        raise UserError(f"{path}:{key}: row numbers are negative or do not rise; wanted rows in the order of the drive")
    return rows


def _load_fields(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path}: no such struct file; check `struct_path`")
    try:
        return read_matlab_struct(path, "dbStruct")
    except Exception as error:  # sizes, types and text of damaged bytes fail in many ways
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DamagedFile(f"{path}: not a MATLAB v5 file with a struct dbStruct ({reason})") from error


def _field(path: Path, fields: dict[str, Any], name: str) -> Any:
    if name not in fields:
        raise UserError(f"{path}: dbStruct has no field {name}; it has {', '.join(fields)}")
    return fields[name]


def _scalar(path: Path, fields: dict[str, Any], name: str) -> float:
    value = np.asarray(_field(path, fields, name))
    if value.size != 1 or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
        raise UserError(f"{path}: {name} has shape {value.shape} and type {value.dtype}; wanted one finite number")
    return float(value.item())


def _text(path: Path, fields: dict[str, Any], name: str) -> str:
    value = np.asarray(_field(path, fields, name))
    if value.size != 1 or value.dtype.kind != "U":
        raise UserError(f"{path}: {name} is not text")
    return str(value.item())


def _names(path: Path, fields: dict[str, Any], name: str, count: int) -> tuple[str, ...]:
    """A MATLAB cell column of strings, or a character matrix."""
    cells = np.asarray(_field(path, fields, name)).ravel()
    names = tuple(str(np.asarray(cell).item()).strip() for cell in cells if np.size(cell) == 1)
    if len(names) != count or len(cells) != count:
        raise UserError(f"{path}: {name} names {len(names)} images, wanted {count}")
    return names


def _matrix(path: Path, fields: dict[str, Any], name: str, count: int) -> np.ndarray:
    """(N, d) float64 from (d, N) or (N, d)."""
    value = np.asarray(_field(path, fields, name))
    if value.ndim != 2 or value.dtype.kind not in "iuf" or count not in value.shape:
        raise UserError(f"{path}: {name} has shape {value.shape} and type {value.dtype}; wanted (d, {count}) numbers")
    rows = (value.T if value.shape[1] == count else value).astype(np.float64)
    if (bad := np.flatnonzero(~np.isfinite(rows).all(axis=1))).size:
        raise UserError(f"{path}: {name} of frame {bad[0]} is not finite")
    return rows
