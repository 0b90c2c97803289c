"""CSV tables as other people ship them: columns by name, more of them than are wanted."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opticornet.datasets.labels import first_repeated
from opticornet.utils.errors import UserError


@dataclass(frozen=True)
class Columns:
    """The columns of one table as text; ``path`` is for messages."""

    path: Path
    cells: dict[str, list[str]]

    def __contains__(self, name: str) -> bool:
        return name in self.cells

    def __getitem__(self, name: str) -> list[str]:
        return self.cells[name]

    def __len__(self) -> int:
        return len(next(iter(self.cells.values())))

    def numbers(self, name: str) -> np.ndarray:
        """(N,) float64.

        Raises:
            UserError: a cell that is not a finite number.
        """
        cells = self.cells[name]
        try:
            values = np.array(cells, np.float64)
        except ValueError:
            values = np.array([_number(cell) for cell in cells])
        if (bad := np.flatnonzero(~np.isfinite(values))).size:
            raise UserError(f"{self.path}: {name} of data row {bad[0] + 1} is {cells[bad[0]]!r}; wanted a number")
        return values

    def flags(self, name: str) -> np.ndarray:
        """(N,) bool, from True and False.

        Raises:
            UserError: a cell that is neither.
        """
        values = np.char.lower(np.array(self.cells[name]))
        if (bad := np.flatnonzero(~np.isin(values, ("true", "false")))).size:
            found = self.cells[name][bad[0]]
            raise UserError(f"{self.path}: {name} of data row {bad[0] + 1} is {found!r}; wanted True or False")
        return values == "true"


def read_columns(path: Path, needed: tuple[str, ...] = ()) -> Columns:
    """Read a CSV table with a header.

    Raises:
        UserError: no such file, not a table, no rows, a column of ``needed`` is missing, or one comes twice.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if row] or [[]]
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; check `root`, or unpack the dataset again") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a UTF-8 CSV table ({error})") from error
    header = [name.strip() for name in header]
    if len(header) == 1 and (separator := next((mark for mark in ";\t" if mark in header[0]), None)):
        raise UserError(f"{path}: cells are separated by {separator!r}; wanted commas, and numbers with a point")
    if missing := [name for name in needed if name not in header]:
        raise UserError(f"{path}: no column {', '.join(missing)}; it has {', '.join(filter(None, header)) or 'none'}")
    if twice := first_repeated(name for name in header if name):
        raise UserError(f"{path}: two columns {twice}; rename or remove one")
    if not rows:
        raise UserError(f"{path}: no rows below the header")
    if ragged := next((i for i, row in enumerate(rows, 1) if len(row) != len(header)), None):
        raise UserError(f"{path}: data row {ragged} has {len(rows[ragged - 1])} cells, the header has {len(header)}")
    return Columns(
        path, {name: [c.strip() for c in cells] for name, cells in zip(header, zip(*rows, strict=True), strict=True)}
    )


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan
