"""The curves of a result, as points: what figures and page both draw."""

from dataclasses import dataclass

import numpy as np

from opticornet.reports.results import Result

MAX_K = 25  # as far as the field's recall@K figures go
_POINTS = 300


@dataclass(frozen=True)
class Curve:
    """(T,) abscissae and ordinates of one line."""

    x: np.ndarray
    y: np.ndarray


def recall_at_k(result: Result) -> Curve | None:
    """Recall@K for K = 1 to 25 over the counted queries; without arrays at the recorded K only."""
    answers = result.answers
    if answers is not None and answers.counted.any():
        hits = np.logical_or.accumulate(answers.correct[answers.counted, :MAX_K], axis=1)
        return Curve(np.arange(1, hits.shape[1] + 1), hits.mean(axis=0))
    ks = sorted(int(k) for k in result.record["recall"] if int(k) <= MAX_K)
    return Curve(np.array(ks), np.array([result.recall(k) for k in ks])) if ks else None


def precision_recall(result: Result) -> Curve | None:
    """Recall against precision of the best match's distance, thinned to a few hundred points."""
    if result.curve is None:
        return None
    precision, recall, _ = result.curve
    keep = np.unique(np.linspace(0, len(recall) - 1, min(_POINTS, len(recall))).astype(int))
    return Curve(recall[keep], precision[keep])


def recall_at_radius(result: Result) -> Curve | None:
    """Recall@1 against the radius within which a match is called right, over the same counted queries."""
    answers = result.answers
    if answers is None or not answers.counted.any():
        return None
    errors = np.sort(answers.errors[answers.counted, 0])
    radii = [float(radius) for radius in result.get("recall_at_radius", default={}) if float(radius) > 0]
    own = float(result.get("data", "positive_radius", default=0.0))
    low, high = min([*radii, own or 1.0]), max([*radii, 10 * own, 1.0])
    if high <= low:
        high = 10 * low
    grid = np.unique(np.append(np.geomspace(low, high, _POINTS // 2), [own or low]))
    if result.units == "frames":
        grid = np.unique(np.maximum(np.round(grid), 1))
    return Curve(grid, np.searchsorted(errors, grid, side="right") / len(errors))


def latency(result: Result) -> tuple[float, float] | None:
    """(milliseconds per query, recall@1), where both are known."""
    milliseconds, recall = result.get("timing", "latency_ms", "total", "median"), result.recall(1)
    return None if milliseconds is None or recall is None or milliseconds <= 0 else (float(milliseconds), recall)


def pareto(points: list[tuple[float, float]]) -> list[int]:
    """Indices of the (time, recall) points that no other beats in both, fastest first."""
    best, front = -1.0, []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if points[i][1] > best:
            best = points[i][1]
            front.append(i)
    return front
