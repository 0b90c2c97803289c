"""Numbers that say how well places were found."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_WEIGHTS_AT_ONCE = 1 << 23  # entries of the bootstrap's weights held at once


def recall_at(correct: np.ndarray, counted: np.ndarray, ks: Sequence[int]) -> dict[int, float]:
    """Recall@K: the share of counted queries with a correct reference among their first K.

    Args:
        correct: (M, K) bool, ranked references within the radius.
        counted: (M,) bool, queries that enter the mean: those with a positive (``--noPositive drop``) or all of them
            (``--noPositive count``; one without a positive is then always a failure).
        ks: the K wanted, each at most ``correct.shape[1]``.

    Raises:
        ValueError: no query is counted, or a K is out of range.
    """
    hits = _hits(correct, counted, ks)
    return {k: float(share) for k, share in zip(ks, hits.mean(axis=0), strict=True)}


def recall_at_radii(errors: np.ndarray, counted: np.ndarray, radii: Sequence[float], ks: Sequence[int]) -> np.ndarray:
    """Recall@K for several radii.

    Args:
        errors: (M, K) float64 distance of each ranked reference from its query.
        counted: (R, M) bool, the queries that enter the mean of each radius (SeqNet counts those with a reference
            within that very radius, so rows of its result rest on different queries), or (M,) for all radii alike.
        radii: R radii in the units of ``errors``, inclusive.
        ks: the K wanted.

    Returns:
        (R, len(ks)) float64; NaN where a radius counts no query.
    """
    return np.array(
        [
            _hits(errors <= radius, who, ks).mean(axis=0) if who.any() else np.full(len(ks), np.nan)
            for radius, who in zip(radii, np.broadcast_to(counted, (len(radii), len(errors))), strict=True)
        ]
    )


def recall_intervals(
    correct: np.ndarray,
    counted: np.ndarray,
    ks: Sequence[int],
    generator: np.random.Generator,
    samples: int = 2000,
    level: float = 0.95,
) -> dict[int, tuple[float, float]]:
    """Bootstrap intervals of :func:`recall_at` by the percentile method (Efron 1979).

    Counted queries are drawn with replacement ``samples`` times; the interval runs from the (1 - level) / 2 to the
    (1 + level) / 2 quantile of the recalls. Queries are taken as independent: neighbouring frames of a traverse are
    not, so the interval is a lower bound of the true uncertainty.

    Returns:
        K to (low, high).
    """
    hits = _hits(correct, counted, ks).astype(np.float64)  # (C, len(ks))
    queries = len(hits)
    recalls = []
    while len(recalls) < samples:
        draws = min(samples - len(recalls), max(1, _WEIGHTS_AT_ONCE // queries))
        weights = generator.multinomial(queries, np.full(queries, 1 / queries), size=draws)  # (draws, C)
        recalls.extend(weights @ hits / queries)
    low, high = np.quantile(np.array(recalls), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {k: (float(a), float(b)) for k, a, b in zip(ks, low, high, strict=True)}


def _hits(correct: np.ndarray, counted: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """(C, len(ks)) bool: counted query has a correct reference among its first K."""
    if not counted.any():
        raise ValueError("no query is counted")
    if min(ks) < 1 or max(ks) > correct.shape[1]:
        raise ValueError(f"K must lie in 1..{correct.shape[1]}, found {sorted(ks)}")
    return np.logical_or.accumulate(correct[counted], axis=1)[:, np.asarray(ks) - 1]


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall of a system that answers only where its best match is close enough.

    Attributes:
        thresholds: (T,) ascending distances; at each, queries with a best distance up to it (inclusive) are answered.
        precision: (T,) share of the answers that are correct.
        recall: (T,) correct answers over queries that have a positive.
        area: average precision, sum over thresholds of (recall[t] - recall[t-1]) * precision[t].
        recall_at_full_precision: largest recall with no wrong answer; 0 where the closest match is already wrong.
    """

    thresholds: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    area: float
    recall_at_full_precision: float


def precision_recall(distances: np.ndarray, correct: np.ndarray, has_positive: np.ndarray) -> PrecisionRecall:
    """Sweep a threshold over the best match's distance.

    An answered query is a true positive where its best match is correct and a false positive otherwise; one without
    any positive can only be a false positive. Equal distances are answered together.

    Args:
        distances: (M,) distance of each query's best match.
        correct: (M,) bool, that match is correct.
        has_positive: (M,) bool, the query has a correct reference at all.

    Raises:
        ValueError: no query has a positive.
    """
    if not has_positive.any():
        raise ValueError("no query has a positive")
    order = np.argsort(distances, kind="stable")
    ascending = distances[order]
    last_of_ties = np.append(np.flatnonzero(ascending[1:] != ascending[:-1]), len(ascending) - 1)
    true_positives = np.cumsum(correct[order])[last_of_ties]
    precision = true_positives / (last_of_ties + 1)
    recall = true_positives / has_positive.sum()
    return PrecisionRecall(
        thresholds=ascending[last_of_ties],
        precision=precision,
        recall=recall,
        area=float(np.sum(np.diff(recall, prepend=0.0) * precision)),
        recall_at_full_precision=float(recall[precision == 1].max(initial=0.0)),
    )
