"""Cutting a route into train, val and test."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from opticornet.datasets.split_names import test_split_names
from opticornet.utils.errors import UserError

PARTS = ("train", "val", "test")


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
                "a larger fraction for it, a smaller `gap` or another `seed`"
            )
    return rows


def partition_drives(
    reference: np.ndarray,
    queries: dict[str, np.ndarray],
    fractions: Sequence[float],
    gap: float,
    generator: np.random.Generator,
) -> dict[str, tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """Splits of a reference and one or several query drives: the reference is cut once, for all of them alike.

    Train and val take the first query drive, test every one: ``test`` of one drive, ``test-NAME`` of several.

    Args:
        reference, fractions, gap, generator: as :func:`partition` takes them.
        queries: name of each drive to its positions.

    Returns:
        Split name to query drive and to rows of the reference and of that drive.

    Raises:
        UserError: as :func:`partition`; a drive that has no frame in its split.
    """
    names = list(queries)
    rows = partition(reference, np.concatenate(list(queries.values())), fractions, gap, generator)
    ends = dict(zip(names, np.cumsum([len(positions) for positions in queries.values()]), strict=True))
    wanted = {part: [(part, names[0])] for part in PARTS[:2]} | {"test": list(test_split_names(names).items())}
    splits = {}
    for part, (of_reference, of_queries) in rows.items():
        for split, name in wanted[part]:
            own = of_queries - (ends[name] - len(queries[name]))
            own = own[(own >= 0) & (own < len(queries[name]))]
            if not len(own):
                raise UserError(
                    f"the {split} split is left without frames of {name}; leave it out, or try another `seed`"
                )
            splits[split] = (name, (of_reference, own))
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
