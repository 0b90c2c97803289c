"""How much the searched distance weighs in a re-ranked one, chosen on a split that is not the tested one.

The measure is the standardised margin: by how much the nearest wrong candidate lies further than the nearest right one,
its mean over the queries divided by its root mean square, as an effect size. Unlike a recall it does not saturate, and
it has no scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from opticornet.evaluation.metrics import block_length, resampled_means
from opticornet.evaluation.records import RerankWeightRecord

WEIGHTS = tuple(number / 20 for number in range(21))  # among them 0, the second stage alone, and 1, the first
SAMPLES = 1000
CRITERION = "standardised margin, mean of the best in resamplings"


@dataclass(frozen=True)
class Candidates:
    """The candidates of M queries, K each, by both stages.

    Attributes:
        searched, compared: (M, K) float64 distances of the first and of the second stage; infinite where there is none.
        right: (M, K) bool, the candidate is right.
        sequences: (M,) int64 number of each query's sequence; equal ones are consecutive.
    """

    searched: np.ndarray
    compared: np.ndarray
    right: np.ndarray
    sequences: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence["Candidates"]) -> "Candidates":
        """Those of several splits, one after the other; missing candidates are infinitely far."""
        most = max(part.searched.shape[1] for part in parts)

        def padded(matrix: np.ndarray, value: float | bool) -> np.ndarray:
            return np.pad(matrix, ((0, 0), (0, most - matrix.shape[1])), constant_values=value)

        numbers = np.cumsum([0, *(int(part.sequences.max(initial=0)) + 1 for part in parts[:-1])])
        return cls(
            np.concatenate([padded(part.searched, np.inf) for part in parts]),
            np.concatenate([padded(part.compared, np.inf) for part in parts]),
            np.concatenate([padded(part.right, False) for part in parts]),
            np.concatenate([part.sequences + number for part, number in zip(parts, numbers, strict=True)]),
        )

    def telling(self) -> "Candidates":
        """Those of queries that have both right and wrong candidates."""
        there = np.isfinite(self.searched)
        chosen = (self.right & there).any(axis=1) & (~self.right & there).any(axis=1)
        return Candidates(self.searched[chosen], self.compared[chosen], self.right[chosen], self.sequences[chosen])

    def margins(self, weight: float) -> np.ndarray:
        """(M,) float64: how much further the nearest wrong candidate lies than the nearest right one; of queries that
        have both."""
        there = np.isfinite(self.searched)
        mixed = np.full(self.searched.shape, np.inf)
        mixed[there] = (1 - weight) * self.compared[there] + weight * self.searched[there]
        wrong, right = (np.where(which, mixed, np.inf).min(axis=1) for which in (~self.right, self.right))
        return wrong - right


def choose_weight(
    splits: tuple[str, ...], candidates: Candidates, longest_window: int, generator: np.random.Generator
) -> RerankWeightRecord:
    """The mean of the weights that are best in resamplings of the queries.

    In each resampling, of blocks of neighbouring queries, the weight of the largest standardised margin is taken, in
    steps of a twentieth; their mean is to a hundredth the weight (bagging, Breiman, Machine Learning 24, 1996). Where
    the queries agree, it is the best weight, of one stage alone too; where they are too few to tell, it lies between
    those that may be best, and neither stage is lost by chance.

    Args:
        splits: their names.
        candidates: of their queries.
        longest_window: frames of the longest window, so that blocks hold the neighbours that share frames.
        generator: draws the blocks.

    Raises:
        ValueError: no query has both right and wrong candidates.
    """
    candidates = candidates.telling()
    if not len(candidates.searched):
        raise ValueError(f"no query of {', '.join(splits)} has both right and wrong candidates")
    margins = np.stack([candidates.margins(weight) for weight in WEIGHTS], axis=1)  # (M, W)
    best = int(np.argmax(standardised(margins.mean(axis=0), (margins**2).mean(axis=0))))
    block = block_length(margins[:, best], longest_window, candidates.sequences)
    both = np.concatenate([margins, margins**2], axis=1)  # (M, 2 W)
    means, squares = np.split(resampled_means(both, block, generator, SAMPLES, candidates.sequences), 2, axis=1)
    chosen = round(float(np.mean(np.array(WEIGHTS)[standardised(means, squares).argmax(axis=1)])), 2)
    measured = {f"{weight:g}": margin_of(candidates, weight) for weight in sorted({0.0, WEIGHTS[best], chosen, 1.0})}
    return RerankWeightRecord(chosen, splits, CRITERION, measured)


def margin_of(candidates: Candidates, weight: float) -> float:
    """The standardised margin at a weight."""
    margins = candidates.margins(weight)
    return float(standardised(margins.mean(), (margins**2).mean()))


def standardised(means: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Margins' means over their root mean squares, of any shape; 0 where all margins are 0."""
    return means / np.sqrt(np.maximum(squares, np.finfo(np.float64).tiny))
