"""Recall, precision-recall and their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

KS = (1, 5, 10, 20, 100)  # of recall@K, unless others are given
_DRAWS_AT_ONCE = 1 << 18  # blocks drawn by the bootstrap at once
_INSIGNIFICANT = 5  # lags in a row that end the search for a longer dependence


def recall_at(correct: np.ndarray, counted: np.ndarray, ks: Sequence[int]) -> dict[int, float]:
    """Recall@K: the share of counted queries with a correct reference among their first K.

    Args:
        correct: (M, K) bool, ranked references within the radius.
        counted: (M,) bool, queries that enter the mean: those with a positive (``no_positive`` drop) or all of them
            (``no_positive`` count; one without a positive is then always a failure).
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
            _hits(errors <= radius, queries, ks).mean(axis=0) if queries.any() else np.full(len(ks), np.nan)
            for radius, queries in zip(radii, np.broadcast_to(counted, (len(radii), len(errors))), strict=True)
        ]
    )


def recall_intervals(
    correct: np.ndarray,
    counted: np.ndarray,
    ks: Sequence[int],
    generator: np.random.Generator,
    *,
    block: int = 1,
    sequences: np.ndarray | None = None,
    samples: int = 2000,
    level: float = 0.95,
) -> dict[int, tuple[float, float]]:
    """Bootstrap intervals of :func:`recall_at` that allow for neighbouring queries succeeding and failing together.

    Blocks of consecutive counted queries are drawn with replacement (:func:`resampled_means`); the interval runs from
    the (1 - level) / 2 to the (1 + level) / 2 quantile of their recalls (percentile method, Efron 1979).

    Args:
        correct, counted, ks: as for :func:`recall_at`; queries in the order driven.
        generator: draws the blocks.
        block: queries in a block, see :func:`block_length`; 1 takes queries as independent.
        sequences: (M,) number of each query's sequence, which blocks do not leave; None: all are of one.
        samples: resamplings.
        level: probability of the interval.

    Returns:
        K to (low, high).
    """
    hits = _hits(correct, counted, ks)  # (C, len(ks))
    recalls = resampled_means(hits, block, generator, samples, None if sequences is None else sequences[counted])
    low, high = np.quantile(recalls, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {k: (float(a), float(b)) for k, a, b in zip(ks, low, high, strict=True)}


def resampled_means(
    values: np.ndarray,
    block: int,
    generator: np.random.Generator,
    samples: int,
    sequences: np.ndarray | None = None,
) -> np.ndarray:
    """Means of a series by the block bootstrap: of blocks of neighbours, drawn with replacement.

    These are the overlapping blocks of Künsch (Annals of Statistics 17, 1989). A block that would leave its sequence
    continues at the sequence's beginning (the circular bootstrap of Politis and Romano 1992), so that every value is
    drawn equally often and the means lie around the series' own. A sequence shorter than ``block`` is one block, and
    a block's chance is the inverse of its length, for the same reason.

    Args:
        values: (C, V) numbers or bools, V series side by side in one order.
        block: values in a block; at 1 this is the ordinary bootstrap.
        generator: draws the blocks.
        samples: resamplings.
        sequences: (C,) number of the sequence that each value belongs to; equal ones are consecutive. None: one.

    Returns:
        (samples, V) float64.
    """
    first, size = _sequence_spans(len(values), sequences)
    lengths = np.minimum(block, size)  # (C,) of the block that begins at each value
    sums = _block_sums(values, lengths, first, size)  # (C, V)
    chances = np.cumsum(1 / lengths)
    blocks = max(1, round(chances[-1]))  # together about C values
    even = bool((lengths == lengths[0]).all())

    means = np.empty((samples, values.shape[1]))
    step = max(1, _DRAWS_AT_ONCE // blocks)
    for start in range(0, samples, step):
        drawn = (min(step, samples - start), blocks)
        if even:
            chosen = generator.integers(len(values), size=drawn)
        else:
            chosen = np.searchsorted(chances, generator.random(drawn) * chances[-1], side="right")
        total = lengths[chosen].sum(axis=1)
        for column in range(values.shape[1]):  # a column at a time: (draws, blocks, V) would not fit into the cache
            means[start : start + step, column] = sums[:, column][chosen].sum(axis=1) / total
    return means


def block_length(values: np.ndarray, shortest: int = 1, sequences: np.ndarray | None = None) -> int:
    """How many consecutive values a block of :func:`resampled_means` should hold, from the series' autocorrelation.

    The automatic choice of Politis and White (Econometric Reviews 23, 2004; corrected by Patton, Politis and White, 28,
    2009) for the circular bootstrap: b = (2 G^2 / D)^(1/3) C^(1/3) with G = sum w(k / M) |k| R(k) and
    D = 4/3 (sum w(k / M) R(k))^2 over lags -M to M; R is the autocovariance, w the flat-top window (1 up to 1/2, then
    falling to 0 at 1). M is twice the last lag before five insignificant ones, those with an autocorrelation below
    2 (log10(C) / C)^(1/2). As theirs it is at most 3 C^(1/2).

    Args:
        values: (C,) numbers or bools, in order.
        shortest: the least it may be: windows of L frames share frames with L - 1 neighbours on either side.
        sequences: as for :func:`resampled_means`; lags do not cross from one into the next.

    Returns:
        At least ``shortest``, unless that is above C / 3, which leaves too few blocks to choose from.
    """
    count = len(values)
    wanted = 1.0
    centred = values - np.mean(values, dtype=np.float64)
    if centred.any():
        furthest = min(count - 1, int(np.ceil(np.sqrt(count))) + _INSIGNIFICANT)
        covariances = _autocovariances(centred, furthest, sequences)  # (furthest + 1,)
        last = _last_significant_lag(covariances / covariances[0], count)
        lags = np.arange(1, min(2 * last, furthest) + 1)
        weighted = np.clip(2 - lags / last, 0, 1) * covariances[lags]
        variance = covariances[0] + 2 * weighted.sum()  # of the mean, times C
        if variance > 0:  # otherwise neighbours repel each other, and independence is the cautious assumption
            ratio = 2 * (lags * weighted).sum() / variance
            wanted = min(np.ceil((1.5 * ratio**2 * count) ** (1 / 3)), np.ceil(3 * np.sqrt(count)))
    return int(max(1, min(max(wanted, shortest), count // 3)))


def _last_significant_lag(correlations: np.ndarray, count: int) -> int:
    """The last lag, at least 1, before enough insignificant ones; see :func:`block_length`.

    Args:
        correlations: (lags + 1,) autocorrelations, the first of lag 0.
        count: values that they were taken of.
    """
    insignificant = np.abs(correlations[1:]) < 2 * np.sqrt(np.log10(count) / count)
    for lag in range(len(insignificant) - _INSIGNIFICANT + 1):
        if insignificant[lag : lag + _INSIGNIFICANT].all():
            return max(1, lag)
    return int(np.flatnonzero(~insignificant).max(initial=0)) + 1


def _autocovariances(centred: np.ndarray, furthest: int, sequences: np.ndarray | None) -> np.ndarray:
    """(furthest + 1,) sums of products of ``centred`` (C,) with itself, lags apart in one sequence, over C."""
    covariances = np.empty(furthest + 1)
    for lag in range(furthest + 1):
        products = centred[: len(centred) - lag] * centred[lag:]
        if sequences is not None and lag:
            products = products[sequences[:-lag] == sequences[lag:]]
        covariances[lag] = products.sum() / len(centred)
    return covariances


def _sequence_spans(count: int, sequences: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(C,) first position and (C,) size of the sequence that each of ``count`` values belongs to."""
    changes = np.empty(0, np.int64) if sequences is None else np.flatnonzero(np.diff(sequences)) + 1
    edges = np.concatenate([[0], changes, [count]])
    sizes = np.diff(edges)
    return np.repeat(edges[:-1], sizes), np.repeat(sizes, sizes)


def _block_sums(values: np.ndarray, lengths: np.ndarray, first: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(C, V) sums of the blocks that begin at each of ``values`` (C, V), from prefix sums; see
    :func:`resampled_means`."""
    before = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=before[1:])
    start = np.arange(len(values))
    stop, end = start + lengths, first + size
    beyond = np.maximum(stop - end, 0)  # values that the block takes from its sequence's beginning
    return before[np.minimum(stop, end)] - before[start] + before[first + beyond] - before[first]


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
