"""CSV tables with a header: columns by name, as text until a reader asks for numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opticornet.datasets.cells import read_cells
from opticornet.datasets.column_names import FRAME_COLUMNS, POSITION_COLUMNS, column_called, is_not_needed, unit_in
from opticornet.datasets.labels import first_repeated
from opticornet.utils.errors import UserError

EMPTY_CELLS = ("", "-", "--", "nan", "null", "none", "na", "n/a", "#n/a", "nat")


@dataclass(frozen=True)
class Columns:
    """The columns of one table, N cells each, stripped.

    Attributes:
        path: for messages.
        cells: column name to N texts.
        lines: N numbers of the lines that the rows end in, for messages.
        headers: column name to what the file calls it.
        ignored: what the file calls the columns that were left out because they were named.
    """

    path: Path
    cells: dict[str, list[str]]
    lines: tuple[int, ...]
    headers: dict[str, str]
    ignored: tuple[str, ...] = ()

    def __contains__(self, name: str) -> bool:
        return name in self.cells

    def __getitem__(self, name: str) -> list[str]:
        return self.cells[name]

    def __len__(self) -> int:
        return len(self.lines)

    def numbers(self, name: str, empty: bool = False) -> np.ndarray:
        """(N,) float64.

        Args:
            empty: whether cells may be empty (:data:`EMPTY_CELLS`, in any case); they become NaN.

        Raises:
            UserError: a cell that is not a finite number.
        """
        cells = self.cells[name]
        missing = np.array([empty and is_empty(cell) for cell in cells], bool)
        try:
            values = np.array(np.where(missing, "nan", cells), np.float64)
        except ValueError:
            values = np.array([_number(cell) for cell in cells])
        if (bad := np.flatnonzero(~np.isfinite(values) & ~missing)).size:
            found = f"{self.headers[name]} is {cells[bad[0]]!r}"
            raise UserError(f"{self.path}: line {self.lines[bad[0]]}: {found}; wanted a finite number")
        return values

    def whole_numbers(self, name: str) -> np.ndarray:
        """(N,) int64.

        Raises:
            UserError: a cell that is not a whole number, or is beyond 2**53.
        """
        values = self.numbers(name)
        if (bad := np.flatnonzero((values % 1 != 0) | (np.abs(values) > 2**53))).size:
            found = f"{self.headers[name]} is {self.cells[name][bad[0]]!r}"
            raise UserError(f"{self.path}: line {self.lines[bad[0]]}: {found}; wanted a whole number")
        return values.astype(np.int64)

    def flags(self, name: str) -> np.ndarray:
        """(N,) bool, from true and false or 1 and 0.

        Raises:
            UserError: a cell that is neither.
        """
        values = np.char.lower(np.array(self.cells[name], str))
        true, false = np.isin(values, ("true", "1")), np.isin(values, ("false", "0"))
        if (bad := np.flatnonzero(~(true | false))).size:
            found = f"{self.headers[name]} is {self.cells[name][bad[0]]!r}"
            raise UserError(f"{self.path}: line {self.lines[bad[0]]}: {found}; wanted true or false")
        return true

    def unit(self, name: str) -> str:
        """The unit that the column's header states ("ns"), or nothing."""
        return unit_in(self.headers[name])

    def position_columns(self) -> tuple[str, ...]:
        """The one of :data:`POSITION_COLUMNS` that the table has, or ().

        Raises:
            UserError: positions of several kinds, or one of which a column is missing.
        """
        found = tuple(name for name in ("x", "y", "z", "frame", "lat", "lon") if name in self.cells)
        if found and found not in POSITION_COLUMNS:
            raise UserError(
                f"{self.path}: position columns {', '.join(self.headers[name] for name in found)}; wanted x, y[, z] in "
                "metres, or frame, or lat, lon, one kind only: name the columns of others in `ignore_columns`"
            )
        return found

    def positions(self, empty: bool = False) -> np.ndarray:
        """(N, P) float64 of :meth:`position_columns`; with ``empty`` rows with an empty cell are NaN.

        Raises:
            UserError: as :meth:`numbers` and :meth:`position_columns` do; latitude or longitude off the globe.
        """
        columns = self.position_columns()
        values = np.stack([self.numbers(column, empty) for column in columns], axis=1)
        values[np.isnan(values).any(axis=1)] = np.nan
        if columns == ("lat", "lon") and (bad := np.flatnonzero((np.abs(values) > (90, 180)).any(axis=1))).size:
            where = f"{self.path}: line {self.lines[bad[0]]}"
            raise UserError(f"{where}: no such latitude, longitude: {values[bad[0]].tolist()}")
        return values

    def take(self, rows: np.ndarray) -> "Columns":
        """Some rows."""
        cells = {name: [column[row] for row in rows] for name, column in self.cells.items()}
        return Columns(self.path, cells, tuple(self.lines[row] for row in rows), self.headers, self.ignored)


def is_empty(cell: str) -> bool:
    """Whether a cell says that there is no value."""
    return cell.lower() in EMPTY_CELLS


def read_columns(path: Path, needed: tuple[str, ...] = ()) -> Columns:
    """Read a table of a dataset as its authors ship it: columns by their exact names, and perhaps many more.

    Raises:
        UserError: no such file, not a table, no rows, a column of ``needed`` is missing, or one comes twice.
    """
    header, body, lines = read_cells(path)
    if missing := [name for name in needed if name not in header]:
        raise UserError(f"{path}: no column {', '.join(missing)}; it has {', '.join(filter(None, header)) or 'none'}")
    if twice := first_repeated(name for name in header if name):
        raise UserError(f"{path}: two columns {twice}; rename or remove one")
    return Columns(path, dict(zip(header, body, strict=True)), lines, {name: name for name in header})


def read_known_columns(path: Path, known: tuple[str, ...] = FRAME_COLUMNS, ignore: tuple[str, ...] = ()) -> Columns:
    """Read a table of one's own: every column is understood, or named as one that is not wanted.

    Columns go by the names that :data:`opticornet.datasets.column_names.SYNONYMS` lists, in any case. A column
    without a name that is empty or counts the rows, as some programs write one, is passed over.

    Args:
        known: our names of the columns that are taken.
        ignore: what the file calls columns that are left out, in any case.

    Raises:
        UserError: no such file, not a table, no rows, a column that is not understood, two that mean the same.
    """
    header, body, lines = read_cells(path)
    ignore = tuple(name.strip().casefold() for name in ignore)
    cells: dict[str, list[str]] = {}
    headers: dict[str, str] = {}
    unknown: list[str] = []
    for title, column in zip(header, body, strict=True):
        name = column_called(title)
        if title.casefold() in ignore or is_not_needed(title) or (not title and _says_nothing(column)):
            continue
        if name not in known:
            unknown.append(title)
        elif name in cells:
            raise UserError(
                f"{path}: columns {headers[name]!r} and {title!r} both mean {name}; remove one, or name it in "
                "`ignore_columns`"
            )
        else:
            cells[name], headers[name] = column, title
    if unknown:
        raise UserError(_not_understood(path, unknown, headers, known))
    ignored = tuple(title for title in header if title.casefold() in ignore)
    return Columns(path, cells, lines, headers, ignored)


def _not_understood(path: Path, unknown: Sequence[str], headers: dict[str, str], known: tuple[str, ...]) -> str:
    several = len(unknown) > 1
    understood = ", ".join(t if t == name else f"{t} as {name}" for name, t in headers.items())
    header_missing = " (is there a header?)" if any(np.isfinite(_number(title)) for title in unknown) else ""
    return (
        f"{path}: column{'s' if several else ''} {', '.join(map(repr, unknown))} {'are' if several else 'is'} not "
        f"understood{header_missing}; understood: {understood or 'none'}; wanted {', '.join(known)}: rename what is "
        "one of them, name what is not needed in `ignore_columns`"
    )


def _says_nothing(cells: list[str]) -> bool:
    """Whether cells are empty, as behind a comma at the end of each line, or count the rows, from 0 or 1."""
    return not any(cells) or cells in ([str(row + start) for row in range(len(cells))] for start in (0, 1))


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan
