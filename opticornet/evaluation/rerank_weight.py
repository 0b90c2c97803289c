"""How much the searched distance weighs in a re-ranked one, chosen on a split that is not the tested one.

The measure is the standardised margin: by how much the nearest wrong candidate lies further than the nearest right one,
its mean over the queries divided by its root mean square, as an effect size. Unlike a recall it does not saturate, and
it has no scale.
"""

from dataclasses import dataclass

import numpy as np

from opticornet.evaluation.metrics import block_length, resampled_means
from opticornet.evaluation.records import RerankWeightRecord

WEIGHTS = tuple(number / 20 for number in range(21))  # among them 0, the second stage alone, and 1, the first
SAMPLES = 1000


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

    def telling(self) -> "Candidates":
        """Those of queries that have both right and wrong candidates."""
        there = np.isfinite(self.searched)
        chosen = (self.right & there).any(axis=1) & (~self.right & there).any(axis=1)
        return Candidates(self.searched[chosen], self.compared[chosen], self.right[chosen], self.sequences[chosen])

    def margins(self, weight: float) -> np.ndarray:
        """(M,) float64: how much further the nearest wrong candidate lies than the nearest right one, in root mean
        squares; of queries that have both."""
        there = np.isfinite(self.searched)
        mixed = np.full(self.searched.shape, np.inf)
        mixed[there] = (1 - weight) * self.compared[there] + weight * self.searched[there]
        wrong, right = (np.where(which, mixed, np.inf).min(axis=1) for which in (~self.right, self.right))
        margins = wrong - right
        return margins / max(float(np.sqrt(np.mean(margins**2))), np.finfo(np.float64).tiny)


def choose_weight(
    split: str, candidates: Candidates, longest_window: int, generator: np.random.Generator
) -> RerankWeightRecord:
    """The better of both stages alone, unless a mixture's standardised margin is larger beyond chance.

    The weights between them are tried in steps of a twentieth; the best one is taken where the 95 % interval of its
    difference to the better stage, by blocks of neighbouring queries, lies above 0. So on this split neither stage
    alone is better by the measure than what is chosen.

    Args:
        split: its name.
        candidates: of its queries.
        longest_window: frames of the longest window, so that blocks hold the neighbours that share frames.
        generator: draws the blocks.

    Raises:
        ValueError: no query has both right and wrong candidates.
    """
    candidates = candidates.telling()
    if not len(candidates.searched):
        raise ValueError(f"no query of {split} has both right and wrong candidates")
    margins = np.stack([candidates.margins(weight) for weight in WEIGHTS])  # (W, M)
    means = margins.mean(axis=1)
    stage = 0 if means[0] >= means[-1] else len(WEIGHTS) - 1
    best = int(np.argmax(means))
    chosen = best if _larger(margins[best] - margins[stage], candidates.sequences, longest_window, generator) else stage
    measured = {f"{WEIGHTS[i]:g}": float(means[i]) for i in sorted({0, best, chosen, len(WEIGHTS) - 1})}
    return RerankWeightRecord(WEIGHTS[chosen], split, "largest standardised margin", measured)


def _larger(
    differences: np.ndarray, sequences: np.ndarray, longest_window: int, generator: np.random.Generator
) -> bool:
    """Whether the mean of ``differences`` (M,) is above 0 beyond chance."""
    if np.allclose(differences, 0):
        return False
    block = block_length(differences, longest_window, sequences)
    means = resampled_means(differences[:, None], block, generator, SAMPLES, sequences)
    return float(np.quantile(means, 0.025)) > 0
