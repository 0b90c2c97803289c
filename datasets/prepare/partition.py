"""Cutting a route into train, val and test."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.spatial import cKDTree

from opticornet.datasets.split_names import test_split_names
from opticornet.utils.errors import UserError

PARTS = ("train", "val", "test")
QUERY_HELP = "query traverse, a folder; or several: all train and validate, each has a split test-NAME"


def partition(
    reference: np.ndarray, query: np.ndarray, fractions: Sequence[float], gap: float, generator: np.random.Generator
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Contiguous stretches of the reference for train, val and test, in random order, kept apart by a gap.

    The reference is cut by its number of frames; what the fractions leave over of it lies before or behind. A query
    frame belongs where its nearest reference frame does. Then a frame of train that is closer than ``gap`` to a
    frame of val or test is left out, and one of val so close to one of test: also where the route crosses itself.

    Args:
        reference: (N, P) positions in order of the drive.
        query: (M, P).
        fractions: of train, val, test; 0 for no such split; in all at most 1.
        gap: in the unit of the positions.

    Returns:
        Split name to rows of the reference and of the query, rising; not contiguous if a gap had to be cut out of
        them.

    Raises:
        UserError: impossible fractions, or a split that is left without frames.
    """
    if len(fractions) != 3 or min(fractions) < 0 or not 0 < sum(fractions) <= 1 + 1e-9:
        raise UserError(
            f"`fractions` {' '.join(f'{f:g}' for f in fractions)}: wanted three numbers from 0, for train, val and "
            "test, in all at most 1"
        )
    labels = _stretch_labels(len(reference), np.asarray(fractions), generator)
    query_labels = labels[cKDTree(reference).query(query)[1]]
    for part in (0, 1):  # of val and test train keeps away, of test val
        others = np.concatenate([reference[labels > part], query[query_labels > part]])
        if gap > 0 and len(others):
            tree = cKDTree(others)
            labels[(labels == part) & (tree.query(reference)[0] < gap)] = -1
            query_labels[(query_labels == part) & (tree.query(query)[0] < gap)] = -1
    rows = {
        name: (np.flatnonzero(labels == part), np.flatnonzero(query_labels == part))
        for part, name in enumerate(PARTS)
        if fractions[part]
    }
    for name, (of_reference, of_query) in rows.items():
        if not len(of_reference) or not len(of_query):
            raise UserError(
                f"the {name} split is left with {len(of_reference)} reference and {len(of_query)} query frames; choose "
                "a larger fraction for it, a smaller `gap` or another `seed`, or test on the whole drives: `fractions` "
                "0 0 1"
            )
    return rows


def splits_of_drives(parts: Sequence[str], queries: Sequence[str]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Split, the part of the route that it takes, and its query drives: train and val take all of these, test each
    (``test`` of one drive, ``test-NAME`` of several).

    Raises:
        UserError: a drive is named twice.
    """
    tests = test_split_names(queries)
    for part in parts:
        if part == "test":
            yield from ((split, part, (name,)) for split, name in tests.items())
        else:
            yield part, part, tuple(queries)


def partition_drives(
    references: dict[str, np.ndarray],
    queries: dict[str, np.ndarray],
    fractions: Sequence[float],
    gap: float,
    generator: np.random.Generator,
) -> dict[str, tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Splits of one or several reference and query drives: the first reference is cut, and all others go with it.

    Args:
        references, queries: name of each drive to its positions.
        fractions, gap, generator: as :func:`partition` takes them.

    Returns:
        Split name (:func:`splits_of_drives`) to the rows of each of its reference and query drives; a drive that has no
        frame there is left out.

    Raises:
        UserError: as :func:`partition`; a split whose query drives have no frame in it.
    """
    (first, positions), *others = [*references.items(), *queries.items()]
    found = partition(positions, np.concatenate([places for _, places in others]), fractions, gap, generator)
    starts = np.cumsum([0, *(len(places) for _, places in others)]).tolist()

    def rows_of(part: str) -> dict[str, np.ndarray]:
        """The rows of every drive that has some in a part."""
        of_first, of_others = found[part]
        ends = zip(others, starts, starts[1:], strict=False)
        own = {name: of_others[(of_others >= low) & (of_others < high)] - low for (name, _), low, high in ends}
        return {name: rows for name, rows in ({first: of_first} | own).items() if len(rows)}

    splits = {}
    for split, part, names in splits_of_drives(tuple(found), tuple(queries)):
        rows = rows_of(part)
        of_references, of_queries = (
            {name: rows[name] for name in side if name in rows} for side in (references, names)
        )
        if not of_queries:
            raise UserError(
                f"the {split} split is left without frames of {' and '.join(names)}; leave it out, or try another "
                "`seed`"
            )
        splits[split] = (of_references, of_queries)
    return splits


def _stretch_labels(count: int, fractions: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(N,) part of each frame, -1 for none."""
    order = generator.permutation(3)
    start = generator.uniform(0, max(0.0, 1 - fractions.sum()))
    edges = np.round(count * (start + np.concatenate([[0], np.cumsum(fractions[order])]))).astype(int)
    labels = np.full(count, -1)
    for part, low, high in zip(order, edges, edges[1:], strict=False):
        labels[low:high] = part
    return labels
