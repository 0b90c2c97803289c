"""Lists of the frames that are scored: one name, or one row number, a line."""

from pathlib import Path

import numpy as np

from opticornet.datasets.labels import first_repeated
from opticornet.utils.errors import UserError
from opticornet.utils.text import read_lines


def read_scored(path: Path, names: tuple[str, ...] | None, count: int) -> np.ndarray:
    """Which frames a list names; (N,) bool.

    Args:
        path: a text file. Its lines are frame names, or, where none of them is one, row numbers from 0 of the whole
            traverse; empty lines do not matter.
        names: of the frames; None: they have none.
        count: N, frames of the traverse.

    Raises:
        UserError: no such file, not text, empty, or a line that is no frame or comes twice.
    """
    labels = read_lines(path, "a frame name, or a row number, a line")
    rows_of = {name: row for row, name in enumerate(names or ())}
    if not any(label in rows_of for label in labels):
        rows_of = {str(row): row for row in range(count)}
    if (unknown := next((label for label in labels if label not in rows_of), None)) is not None:
        wanted = f"a row number from 0 to {count - 1}" + (", or only frame names" if names else "")
        raise UserError(f"{path}: no frame {unknown!r}; wanted {wanted}")
    if (twice := first_repeated(labels)) is not None:
        raise UserError(f"{path}: frame {twice!r} is listed twice; leave one out")
    scored = np.zeros(count, bool)
    scored[[rows_of[label] for label in labels]] = True
    return scored
