"""When a method says "no answer": where the best distance of a query is above a threshold, which is chosen on a split
that is not the tested one; and how queries with and without a place in the map fare by it."""

from dataclasses import dataclass

import numpy as np

from opticornet.evaluation.metrics import precision_recall
from opticornet.evaluation.records import AnsweredRecord, NoAnswerRecord


@dataclass(frozen=True)
class Calibration:
    """How often first answers of a distance are right, as measured on a split; falls with the distance.

    Attributes:
        distances: (T,) float64, ascending.
        confidence: (T,) float64, share of right answers around each.
    """

    distances: np.ndarray
    confidence: np.ndarray

    @classmethod
    def measured(cls, distances: np.ndarray, correct: np.ndarray) -> "Calibration":
        """By isotonic regression (Barlow et al. 1972; as a calibration, Zadrozny and Elkan 2002).

        Args:
            distances: (M,) of each query's first answer; those that are not finite are left out.
            correct: (M,) bool, that answer is right.
        """
        from scipy.optimize import isotonic_regression

        found = np.isfinite(distances)
        values, place = np.unique(distances[found].astype(np.float64), return_inverse=True)
        weights = np.bincount(place)
        shares = np.bincount(place, correct[found]) / weights
        return cls(values, isotonic_regression(shares, weights=weights, increasing=False).x)

    def of(self, distances: np.ndarray) -> np.ndarray:
        """(M,) distances to (M,) confidences, linear between those measured; 0 where nothing was found."""
        return np.where(np.isfinite(distances), np.interp(distances, self.distances, self.confidence), 0.0)


@dataclass(frozen=True)
class NoAnswer:
    """A threshold on the best distance, above which a query has no answer.

    Attributes:
        threshold: the largest distance that is answered.
        chosen_on: the split it was chosen on; empty where it was given.
        criterion: what it was chosen for.
        chosen: how that split's queries fare by it; None where it was given.
        calibration: of the answers to that split; None where it was given.
    """

    threshold: float
    chosen_on: str = ""
    criterion: str = "given"
    chosen: AnsweredRecord | None = None
    calibration: Calibration | None = None

    def refuses(self, distances: np.ndarray) -> np.ndarray:
        """(M,) bool: queries without an answer, by the (M,) distances of their best."""
        return ~(distances <= self.threshold)

    def record(self, answered: AnsweredRecord) -> NoAnswerRecord:
        """For the result record; ``answered``: how the tested queries fare."""
        return NoAnswerRecord(self.threshold, self.chosen_on, self.criterion, self.chosen, answered)


def choose_threshold(
    split: str, distances: np.ndarray, correct: np.ndarray, has_positive: np.ndarray, precision: float = 0.0
) -> NoAnswer:
    """The threshold of the best F1 (the smallest of equally good ones); with ``precision`` the largest one that
    reaches such a precision. It lies halfway between the last distance that is answered and the next.

    Args:
        split: its name.
        distances: (M,) of each query's first answer.
        correct: (M,) bool, that answer is right.
        has_positive: (M,) bool, the query has a right answer at all.
        precision: wanted, 0 to 1; 0: the best F1.

    Raises:
        ValueError: no answer is right, or no threshold reaches the precision.
    """
    curve = precision_recall(distances, correct, has_positive)
    usable = np.isfinite(curve.thresholds) & (curve.recall > 0)
    if not usable.any():
        raise ValueError(f"no first answer to a query of {split} is right")
    if precision:
        reaching = np.flatnonzero(usable & (curve.precision >= precision))
        if not len(reaching):
            best = curve.precision[usable].max()
            raise ValueError(f"no threshold on {split} reaches a precision of {precision:g}; the best is {best:.3f}")
        chosen, criterion = reaching[-1], f"precision of at least {precision:g}"
    else:
        f1 = 2 * curve.precision * curve.recall / np.maximum(curve.precision + curve.recall, 1e-12)
        chosen, criterion = int(np.argmax(np.where(usable, f1, -1.0))), "best F1"
    around = curve.thresholds[chosen : chosen + 2].astype(np.float64)  # the last one answered, the first refused
    threshold = float(around[np.isfinite(around)].mean())
    return NoAnswer(
        threshold=threshold,
        chosen_on=split,
        criterion=criterion,
        chosen=answered(distances > threshold, correct, has_positive),
        calibration=Calibration.measured(distances, correct),
    )


def answered(refused: np.ndarray, correct: np.ndarray, has_positive: np.ndarray | None) -> AnsweredRecord:
    """How queries fare.

    Args:
        refused: (M,) bool, the method says "no answer".
        correct: (M,) bool, its first answer is right.
        has_positive: (M,) bool, the query's place is in the map; None where that is not known.
    """
    if has_positive is None:
        return AnsweredRecord(answered=int((~refused).sum()), refused=int(refused.sum()))
    right = ~refused & correct
    with_place, without = int(has_positive.sum()), int((~has_positive).sum())
    refused_without = int((refused & ~has_positive).sum())
    precision, recall = _share(right.sum(), (~refused).sum()), _share(right.sum(), with_place)
    return AnsweredRecord(
        answered=int((~refused).sum()),
        refused=int(refused.sum()),
        right=int(right.sum()),
        wrong=int((~refused & has_positive & ~correct).sum()),
        wrong_without_place=int((~refused & ~has_positive).sum()),
        refused_with_place=int((refused & has_positive).sum()),
        refused_without_place=refused_without,
        precision=precision,
        recall=recall,
        f1=_share(2 * right.sum(), (~refused).sum() + with_place),
        rejection_recall=_share(refused_without, without),
    )


def place_auc(distances: np.ndarray, has_positive: np.ndarray) -> float | None:
    """The chance that a query with a place in the map has a smaller best distance than one without, equal distances
    half counted: the area under the receiver operating characteristic. None where either kind is missing.

    Args:
        distances: (M,) of each query's first answer.
        has_positive: (M,) bool.
    """
    placed, without = np.sort(distances[has_positive]), distances[~has_positive]
    if not (len(placed) and len(without)):
        return None
    smaller, no_larger = (np.searchsorted(placed, without, side=side) for side in ("left", "right"))
    return float((smaller + no_larger).mean() / (2 * len(placed)))


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
