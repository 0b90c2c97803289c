"""Drives whose ground truth is a file that lists the correct references of each query (VPR-Bench)::

<root>/{ref,reference,database}/*.jpg
<root>/{query,queries}/*.jpg
<root>/ground_truth_new.npy     rows [query, [references]], or
<root>/ground_truth.csv         query, first_reference, last_reference
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opticornet.datasets.folder.positives import read_positives
from opticornet.datasets.positives import Positives
from opticornet.datasets.prepare.image_folder import absolute, folders_of, images_in, subfolders
from opticornet.datasets.prepare.prepared import Prepared, PreparedSplit, PreparedTraverse, Source
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

REFERENCE_FOLDERS, QUERY_FOLDERS = ("ref", "reference", "database"), ("query", "queries")
GROUND_TRUTH = ("ground_truth_new.npy", "ground_truth.csv")


@dataclass(frozen=True, kw_only=True)
class ToleranceTable(Source):
    """``vpr-bench``: drives whose ground truth is a list."""

    reference: str = option("--reference", "", "reference traverse, a folder")
    query: str = option("--query", "", "query traverse, a folder")

    def read(self, root: Path) -> Prepared:
        """One test split of all frames, with lists of correct references instead of a radius.

        The file has frame numbers from 0 in natural order of the names; of ranges both ends are correct. A query
        without a row, or with nothing in it, has no correct reference. Folders within a drive are sequences.

        Args:
            reference, query: folders, where they have other names than the usual ones.

        Raises:
            UserError: missing folders, no ground truth or two that disagree, frames that match no image.
        """
        pair, notes = [], []
        for given, usual in ((self.reference, REFERENCE_FOLDERS), (self.query, QUERY_FOLDERS)):
            name = given or next((folder for folder in usual if (root / folder).is_dir()), "")
            if not name:
                raise UserError(
                    f"{root}: no folder {' or '.join(usual)}; it has {', '.join(subfolders(root)) or 'none'}"
                )
            found = images_in(root / name)
            notes += found.notes(name)
            paths, numbers = absolute(root / name, found.images), {"frame": np.arange(len(found.images))}
            sequences = folders_of(found.images)
            placed = "the number of the image in natural order, by which the ground truth lists it"
            pair.append(PreparedTraverse(name, paths, found.images, numbers, sequences, placed=placed))
        reference, query = pair
        positives = _ground_truth(root, len(query), len(reference))
        split = PreparedSplit.of_all_rows("test", [reference], [query], positives=positives)
        return Prepared("frames", (reference, query), (split,), tuple(notes))


def _ground_truth(root: Path, queries: int, references: int) -> Positives:
    paths = [path for name in GROUND_TRUTH if (path := root / name).is_file()]
    if not paths:
        raise UserError(f"{root}: no {' or '.join(GROUND_TRUTH)}; one of them lists the correct references")
    first, *others = (read_positives(path, queries, references) for path in paths)
    if others and not (np.array_equal(first.offsets, others[0].offsets) and np.array_equal(first.rows, others[0].rows)):
        raise UserError(f"{root}: {paths[0].name} and {paths[1].name} list different references; remove the wrong one")
    if not len(first.rows):
        raise UserError(f"{paths[0]}: no query has a correct reference")
    return first
