"""The cells of a CSV file, as programs of several countries write one."""

import csv
import io
import re
from pathlib import Path

from opticornet.utils.errors import UserError

SEPARATORS = ",;\t"  # of two that fit equally, the first
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_NUMBER = re.compile(r"[-+]?\d*([.,]\d*)?(e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
_GROUPS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}", re.ASCII)  # 1,234: a thousand, or a little more than one


def read_cells(path: Path) -> tuple[list[str], list[list[str]], tuple[int, ...]]:
    """Header, columns, and the line each row ends in; all cells stripped.

    Cells are separated by whichever of :data:`SEPARATORS` cuts the header into most. Where that is no comma, numbers
    may have a decimal comma. Lines of remarks (``#``) above the header are passed over. UTF-8, or UTF-16 with its mark.

    Raises:
        UserError: no such file, not a table, no rows, rows of another length than the header.
    """
    rows, lines, separator = _rows(path)
    header, *body = rows or [[""]]
    if not body:
        raise UserError(f"{path}: no rows; wanted a header and below it one row each")
    for row, line in zip(body, lines[1:], strict=True):
        if len(row) != len(header):
            raise UserError(f"{path}: line {line} has {len(row)} cells, the header has {len(header)}")
    columns = [list(column) for column in zip(*body, strict=True)]
    return header, columns if separator == "," else _with_points(columns), tuple(lines[1:])


def read_header(path: Path) -> list[str]:
    """The titles of a table's columns; none of what cannot be read, which :func:`read_cells` will say."""
    try:
        rows, _, _ = _rows(path)
    except UserError:
        return []
    return rows[0] if rows else []


def _rows(path: Path) -> tuple[list[list[str]], list[int], str]:
    """All rows, the lines they end in, and the separator."""
    try:
        content = path.read_bytes()
        encoding = "utf-16" if content.startswith(_UTF16_MARKS) else "utf-8-sig"
        lines = list(io.StringIO(content.decode(encoding), newline=""))
        start = _first_line(lines)
        separator = _separator(lines[start]) if lines else ","
        reader = csv.reader(lines[start:], delimiter=separator, skipinitialspace=True)
        found = [([cell.strip() for cell in row], start + reader.line_num) for row in reader if row]
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such table; check the path, or unpack the dataset again") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a UTF-8 CSV table ({error}); save it as one") from error
    return [row for row, _ in found], [line for _, line in found], separator


def _first_line(lines: list[str]) -> int:
    """Where the header is: below blank lines and remarks, which have other numbers of cells than the line after."""
    start = 0
    while start + 1 < len(lines):
        line, after = lines[start], lines[start + 1]
        is_remark = line.lstrip().startswith("#") and (after.lstrip().startswith("#") or _width(line) != _width(after))
        if line.strip() and not is_remark:
            break
        start += 1
    return start


def _separator(header: str) -> str:
    return max(SEPARATORS, key=lambda mark: len(_cut(header, mark)))


def _width(line: str) -> int:
    return len(_cut(line, _separator(line)))


def _cut(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def _with_points(columns: list[list[str]]) -> list[list[str]]:
    """Columns of numbers with a decimal comma, with a point instead.

    One number of the file has to show that commas are not those of thousands; otherwise all stay as they are.
    """
    commas = [[cell for cell in column if "," in cell] for column in columns]
    numeric = [all(map(_NUMBER.fullmatch, column)) and not any("." in cell for cell in column) for column in columns]
    shown = any(
        not _GROUPS.fullmatch(cell) for cells, one in zip(commas, numeric, strict=True) if one for cell in cells
    )
    return [
        [cell.replace(",", ".") for cell in column] if one and shown else column
        for column, one in zip(columns, numeric, strict=True)
    ]
