"""The file that lists the correct references of each query: a CSV table, or VPR-Bench's ``.npy`` of lists."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from opticornet.datasets.columns import read_known_columns
from opticornet.datasets.folder.object_lists import read_object_lists
from opticornet.datasets.folder.tables import write_frames
from opticornet.datasets.positives import Positives
from opticornet.utils.errors import UserError
from opticornet.utils.text import counted

# What a row may say beside the query: a range with both its ends, or one reference.
LAYOUTS = (("query", "first", "last"), ("query", "reference"))

Frames = tuple[str, ...] | int  # the frame names of a traverse, or how many frames it has where it has no names


def read_positives(path: Path, query: Frames, reference: Frames) -> Positives:
    """Read the correct references of each query.

    A CSV table has the columns of one of :data:`LAYOUTS`, and a query as many rows as it needs; values are frame names
    where the traverse has names, else row numbers from 0 of the whole traverse. A ``.npy`` has rows
    ``[query, [references]]`` of row numbers. A query that is not listed, or has nothing behind it, has no positive.

    Args:
        query, reference: the frame names of each traverse, or its number of frames where it has no names.

    Raises:
        UserError: the file cannot be read or is of another kind, or names a frame that the traverse has not.
    """
    if path.suffix == ".npy":
        return _read_lists(path, _count(query), _count(reference))
    columns = read_known_columns(path, tuple(dict.fromkeys(name for layout in LAYOUTS for name in layout)))
    layout = next((layout for layout in LAYOUTS if set(layout) == columns.cells.keys()), None)
    if layout is None:
        wanted = " or ".join(", ".join(layout) for layout in LAYOUTS)
        raise UserError(f"{path}: columns {', '.join(columns.cells)}; a table of positives has {wanted}")
    query_rows, reference_rows = _RowFinder(path, "query", query), _RowFinder(path, "reference", reference)
    queries, ranges = [], []
    for line, label, *cells in zip(columns.lines, *(columns[name] for name in layout), strict=True):
        row = query_rows.find(label, line)
        if not any(cells):
            continue
        low, high = reference_rows.find(cells[0], line), reference_rows.find(cells[-1], line)
        if low > high:
            raise UserError(f"{path}: line {line}: first {cells[0]!r} comes after last {cells[1]!r}")
        queries.append(row)
        ranges.append((low, high + 1))
    listed = Positives.of_ranges(np.array(ranges, np.int64).reshape(-1, 2))
    return Positives.of_pairs(np.array(queries, np.int64)[listed.queries], listed.rows, query_rows.count)


def write_positives(
    path: Path, positives: Positives, query: Sequence[str] | None = None, reference: Sequence[str] | None = None
) -> None:
    """Write a table of ranges; ``query``, ``reference``: frame names, None where row numbers stand for them."""
    runs = positives.ranges()
    queries, references = query or range(len(positives)), reference or range(int(positives.rows.max(initial=0)) + 1)
    columns = {
        "query": [queries[row] for row, _, _ in runs],
        "first": [references[first] for _, first, _ in runs],
        "last": [references[last] for _, _, last in runs],
    }
    write_frames(path, columns)


def _read_lists(path: Path, queries: int, references: int) -> Positives:
    table = read_object_lists(path)
    listed = Positives.of_lists(table.lists)
    for role, rows, count in (("query", table.numbers, queries), ("reference", listed.rows, references)):
        if (wrong := np.flatnonzero((rows < 0) | (rows >= count))).size:
            wrong_rows = counted(len(wrong), "such row")
            raise UserError(
                f"{path}: no {role} frame {rows[wrong[0]]}, the first of {wrong_rows}; wanted 0 to {count - 1}"
            )
    return Positives.of_pairs(table.numbers[listed.queries], listed.rows, queries)


def _count(frames: Frames) -> int:
    return frames if isinstance(frames, int) else len(frames)


class _RowFinder:
    """Turns the labels of a positives table into rows."""

    def __init__(self, path: Path, role: str, frames: Frames) -> None:
        self._path, self._role = path, role
        # None where rows are named by their numbers
        self._rows = None if isinstance(frames, int) else {name: row for row, name in enumerate(frames)}
        self.count = _count(frames)

    def find(self, label: str, line: int) -> int:
        if self._rows is not None:
            row = self._rows.get(label, -1)
        else:
            row = int(label) if label.isascii() and label.isdigit() else -1
        if not 0 <= row < self.count:
            wanted = f"a row from 0 to {self.count - 1}" if self._rows is None else "one of its frame names"
            raise UserError(f"{self._path}: line {line}: no {self._role} frame {label!r}; wanted {wanted}")
        return row
