"""Which image of a folder each row of a table is of."""

from pathlib import Path

import numpy as np

from opticornet.datasets.columns import Columns
from opticornet.datasets.labels import first_repeated
from opticornet.datasets.prepare.image_folder import composed, rows_by_stem, stem
from opticornet.utils.errors import UserError


def image_rows(table: Columns, images: tuple[str, ...], folder: Path) -> tuple[np.ndarray, str]:
    """Match the rows of a table to images by name, or else by order.

    Args:
        table: with the columns ``name``, ``image``, both or none of them.
        images: names, relative to ``folder``.

    Returns:
        (M,) the image of each row, and how it was found, in words.

    Raises:
        UserError: a row that matches no image, two that match one, two columns that disagree; by order: as many rows as
            images wanted.
    """
    named = [column for column in ("name", "image") if column in table]
    if not named:
        check_count(table.path, len(table), images, folder)
        return np.arange(len(images)), "row i for image i"
    found = {column: _rows_of(table.path, table[column], images, folder.name) for column in named}
    column = max(named, key=lambda name: int(np.sum(found[name] >= 0)))  # the other may be a title
    rows, labels = found[column], table[column]
    if (missing := np.flatnonzero(rows < 0)).size:
        raise UserError(
            f"{table.path}: {len(missing)} of {len(labels)} rows match no image of {folder}, first "
            f"{labels[missing[0]]!r}"
        )
    for other in named:
        if (clash := np.flatnonzero((found[other] >= 0) & (found[other] != rows))).size:
            raise UserError(
                f"{table.path}: line {table.lines[clash[0]]}: {table.headers[column]} {labels[clash[0]]!r} and "
                f"{table.headers[other]} {table[other][clash[0]]!r} are different images; keep one of the columns"
            )
    if (twice := first_repeated(images[row] for row in rows)) is not None:
        raise UserError(f"{table.path}: {table.headers[column]} {twice!r} occurs twice; wanted one row per image")
    return rows, f"by {table.headers[column]}"


def names_all(table: Columns, column: str, images: tuple[str, ...], folder: Path) -> bool:
    """Whether each row of a column names an image."""
    return bool((_rows_of(table.path, table[column], images, folder.name) >= 0).all())


def _rows_of(path: Path, labels: list[str], images: tuple[str, ...], folder: str) -> np.ndarray:
    """(N,) row of the image that each label names, -1 for none.

    All labels name images in one way: by the path below the folder, by one through it, or by the file name with or
    without suffix, or without the zeros that fill up a number.
    """
    labels = [composed(label.replace("\\", "/")) for label in labels]
    rows = {composed(image): row for row, image in enumerate(images)}
    ways = (labels, [f"/{label}".rpartition(f"/{composed(folder)}/")[2] for label in labels])
    way = next((way for way in ways if any(label in rows for label in way)), None)
    if way is None:
        rows = rows_by_stem(path, images)
        ways = (labels, [stem(label) for label in labels])
        way = next((way for way in ways if any(label in rows for label in way)), None)
    if way is None and all(_is_number(name) for name in (*rows, *labels)):
        by_number = {int(name): row for name, row in rows.items()}
        if len(by_number) == len(rows):
            return np.array([by_number.get(int(label), -1) for label in labels])
    return np.array([rows.get(label, -1) for label in way or labels])


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def check_count(path: Path, count: int, images: tuple[str, ...], folder: Path) -> None:
    """Whether there are as many rows as images, which they are matched to by order."""
    if count != len(images):
        raise UserError(
            f"{path}: {count} rows for {len(images)} images of {folder}; wanted one row per image, or a column name or "
            "timestamp that says which"
        )
