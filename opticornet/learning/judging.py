"""How well the descriptors of a split's images or windows find their places."""

from dataclasses import dataclass

import numpy as np

from opticornet.evaluation.equal_windows import EqualWindows
from opticornet.evaluation.metrics import precision_recall, recall_at
from opticornet.evaluation.scene import Scene
from opticornet.learning.selection import AVERAGE_PRECISION, recall_name
from opticornet.matching.search import search

RECALLS = (1, 5, 10, 20)


@dataclass(frozen=True)
class Judged:
    """What exact search found.

    Attributes:
        metrics: by name.
        distances: (M,) of the first match of each query.
        correct: (M,) bool, whether it is right.
    """

    metrics: dict[str, float]
    distances: np.ndarray
    correct: np.ndarray


def judge(scene: Scene, reference: np.ndarray, query: np.ndarray) -> Judged:
    """Search the references (N, O) of a scene for its queries (M, O). Equal windows are one answer, as in a test."""
    ks = [k for k in RECALLS if k <= len(scene.reference)]
    equal = EqualWindows.of(scene.reference)
    ranking = equal.distinct(search(reference, query, equal.depth(max(ks)), device=scene.device), max(ks))
    correct = scene.truth.within(equal.errors(scene.truth, ranking.indices), scene.radius)
    counted = scene.has_positive()
    distances, first = ranking.distances[:, 0], correct[:, 0]
    metrics = {recall_name(k): recall for k, recall in recall_at(correct, counted, ks).items()}
    return Judged(metrics | {AVERAGE_PRECISION: precision_recall(distances, first, counted).area}, distances, first)
