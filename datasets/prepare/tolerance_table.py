"""Drives whose ground truth is a table: for each query frame the range of correct reference frames (VPR-Bench)::

<root>/{ref,reference,database}/*.jpg
<root>/{query,queries}/*.jpg
<root>/ground_truth.csv         query, first_reference, last_reference
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opticornet.datasets.columns import Columns, read_columns
from opticornet.datasets.prepare.image_folder import absolute, images_of, subfolders
from opticornet.datasets.prepare.prepared import Prepared, PreparedSplit, PreparedTraverse, Source
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

REFERENCE_FOLDERS, QUERY_FOLDERS = ("ref", "reference", "database"), ("query", "queries")
COLUMNS = ("query", "first_reference", "last_reference")


@dataclass(frozen=True, kw_only=True)
class ToleranceTable(Source):
    """``vpr-bench``: drives whose ground truth is a table."""

    reference: str = option("--reference", "", "reference traverse, a folder")
    query: str = option("--query", "", "query traverse, a folder")

    def read(self, root: Path) -> Prepared:
        """One test split of all frames, with the table instead of a radius.

        The table has frame numbers from 0 in natural order of the names, both ends correct; a query without a row, or
        with empty ends, has no correct reference.

        Args:
            reference, query: folders, where they have other names than the usual ones.

        Raises:
            UserError: missing folders or columns, rows that match no image, a range that ends before it begins.
        """
        pair = []
        for given, usual in ((self.reference, REFERENCE_FOLDERS), (self.query, QUERY_FOLDERS)):
            name = given or next((folder for folder in usual if (root / folder).is_dir()), "")
            if not name:
                raise UserError(
                    f"{root}: no folder {' or '.join(usual)}; it has {', '.join(subfolders(root)) or 'none'}"
                )
            images = images_of(root / name)
            numbers = {"frame": np.arange(len(images))}
            pair.append(PreparedTraverse(name, absolute(root / name, images), images, numbers))
        reference, query = pair
        positives = _positive_ranges(read_columns(root / "ground_truth.csv", COLUMNS), reference, query)
        split = PreparedSplit.of_all_rows("test", reference, query, positives=positives)
        return Prepared("frames", (reference, query), (split,))


def _positive_ranges(table: Columns, reference: PreparedTraverse, query: PreparedTraverse) -> np.ndarray:
    """(N_query, 2) int64 half-open, (0, 0) for none."""
    filled = np.array([bool(first or last) for first, last in zip(table[COLUMNS[1]], table[COLUMNS[2]], strict=True)])
    if not filled.any():
        raise UserError(f"{table.path}: no query has a correct reference")
    listed = table.take(np.flatnonzero(filled))
    rows, first, last = (listed.numbers(column) for column in COLUMNS)
    for column, values, traverse in zip(COLUMNS, (rows, first, last), (query, reference, reference), strict=True):
        wrong = np.flatnonzero((values < 0) | (values >= len(traverse)) | (values != np.floor(values)))
        if len(wrong):
            raise UserError(
                f"{table.path}: {len(wrong)} of {len(values)} rows match no image, first {column} "
                f"{values[wrong[0]]:g}: {traverse.name} has frames 0 to {len(traverse) - 1}"
            )
    if (first > last).any() or len(np.unique(rows)) < len(rows):
        raise UserError(f"{table.path}: a range that ends before it begins, or a query with two rows")
    ranges = np.zeros((len(query), 2), np.int64)
    ranges[rows.astype(int)] = np.stack([first, last + 1], axis=1)
    return ranges
