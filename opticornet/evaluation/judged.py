"""Answers against the ground truth: which are correct, which queries count, what recalls that makes."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from opticornet.evaluation.equal_windows import EqualWindowRule, EqualWindows
from opticornet.evaluation.metrics import (
    KS,
    PrecisionRecall,
    block_length,
    precision_recall,
    recall_at,
    recall_at_radii,
    recall_intervals,
)
from opticornet.evaluation.scene import Scene
from opticornet.matching.ranking import Ranking

_DRAWN = 16  # random references per query that tell what chance reaches


@dataclass(frozen=True)
class ScoreSettings:
    """How queries are counted.

    Attributes:
        no_positive: "drop" queries without a reference within the radius, or "count" them as failures.
        radii: of the recall table, in the split's units.
        bootstrap: resamplings behind the intervals; 0: no intervals.
        seed: of the resamplings.
        longest_window: frames that the longest window of the method has: no block of an interval is shorter.
        ks: the K of recall@K, rising from 1; those above the references are left out.
        equal_windows: the rule by which the answers were found, for the record.
    """

    no_positive: Literal["drop", "count"] = "drop"
    radii: tuple[float, ...] = (1.0, 5.0, 10.0, 20.0, 40.0, 100.0, 200.0)
    bootstrap: int = 1000
    seed: int = 123
    longest_window: int = 1
    ks: tuple[int, ...] = KS
    equal_windows: EqualWindowRule = "each"

    def counted(self, has_positive: np.ndarray) -> np.ndarray:
        """(M,) bool, queries with a positive, to (M,) bool, queries that enter a recall: none where none has one."""
        return has_positive if self.no_positive == "drop" or not has_positive.any() else np.ones_like(has_positive)


@dataclass(frozen=True)
class Judged:
    """A ranking against the ground truth.

    Attributes:
        ks: the K of its recalls.
        radii: R radii of its recall table.
        errors: (M, C) float64, how far each answer is from its query; C at least the largest K, infinite behind the
            ranking's end.
        correct: (M, C) bool, within the split's radius or in its table.
        has_positive: (M,) bool, queries with a correct reference.
        counted: (M,) bool, queries that enter a recall.
        counted_by_radius: (R, M) bool, the same for each of ``radii``.
        curve: precision and recall of the first answers by their distance; None where no query has a positive.
    """

    ks: list[int]
    radii: tuple[float, ...]
    errors: np.ndarray
    correct: np.ndarray
    has_positive: np.ndarray
    counted: np.ndarray
    counted_by_radius: np.ndarray
    curve: PrecisionRecall | None

    @classmethod
    def of(cls, scene: Scene, ranking: Ranking, equal: EqualWindows, settings: ScoreSettings) -> "Judged":
        """The references of ``scene`` that ``ranking`` names, and those that they stand for, judged."""
        ks = [k for k in settings.ks if k <= len(scene.reference)]
        radii, truth = settings.radii, scene.truth
        errors = padded(equal.errors(truth, ranking.indices, ranking.ways), max(ks), np.inf)
        correct = truth.within(errors, scene.radius)
        has_positive = scene.has_positive()
        counted_by_radius = np.zeros((len(radii), len(has_positive)), bool)
        if scene.split.has_truth:
            counted_by_radius = np.array([settings.counted(truth.has_positive(radius)) for radius in radii])
        return cls(
            ks=ks,
            radii=radii,
            errors=errors,
            correct=correct,
            has_positive=has_positive,
            counted=settings.counted(has_positive),
            counted_by_radius=counted_by_radius,
            curve=precision_recall(ranking.distances[:, 0], correct[:, 0], has_positive)
            if has_positive.any()
            else None,
        )

    @cached_property
    def recall(self) -> dict[str, float]:
        """K to recall@K at the split's radius; empty where no query is counted."""
        return self.recall_of(self.correct)

    def recall_of(self, correct: np.ndarray) -> dict[str, float]:
        """K to recall@K, of other answers (M, C) to the same queries."""
        if not self.counted.any():
            return {}
        return {str(k): value for k, value in recall_at(correct, self.counted, self.ks).items()}

    def recall_among(self, queries: slice) -> dict[str, float]:
        """K to recall@K of some queries; empty where none of them is counted."""
        if not self.counted[queries].any():
            return {}
        recalls = recall_at(self.correct[queries], self.counted[queries], self.ks)
        return {str(k): value for k, value in recalls.items()}

    @cached_property
    def recall_at_radii(self) -> np.ndarray:
        """(R, len(ks)) float64; NaN where a radius counts no query."""
        return recall_at_radii(self.errors, self.counted_by_radius, self.radii, self.ks)


def padded(values: np.ndarray, columns: int, fill: float | bool) -> np.ndarray:
    """(M, K) to (M, at least ``columns``): a ranking of few candidates finds nothing behind them."""
    missing = max(0, columns - values.shape[1])
    return np.pad(values, ((0, 0), (0, missing)), constant_values=fill)


def bootstrap(scene: Scene, settings: ScoreSettings, judged: Judged) -> tuple[int, dict[int, tuple[float, float]]]:
    """Queries in a block, as the hits at 1 ask for but no fewer than a window has frames, and the intervals by K; 0 and
    none where none are wanted."""
    if not settings.bootstrap or not judged.counted.any():
        return 0, {}
    sequences, counted = query_sequences(scene), judged.counted
    block = block_length(judged.correct[counted, 0], settings.longest_window, sequences[counted])
    generator = np.random.default_rng(settings.seed)
    return block, recall_intervals(
        judged.correct, counted, judged.ks, generator, block=block, sequences=sequences, samples=settings.bootstrap
    )


def chance(scene: Scene, judged: Judged, equal: EqualWindows, seed: int) -> float | None:
    """Recall@1 of references drawn at random: where it is high, a recall says little. None where none is counted."""
    if not judged.counted.any():
        return None
    drawn = np.random.default_rng(seed).integers(len(scene.reference), size=(len(scene.query), _DRAWN))
    correct = scene.truth.within(equal.errors(scene.truth, drawn), scene.radius)
    return float(correct[judged.counted].mean())


def query_sequences(scene: Scene) -> np.ndarray:
    """(M,) int64: each query's sequence, by the row of its traverse where that begins."""
    return scene.query.traverse.bounds[scene.query.rows, 0]
