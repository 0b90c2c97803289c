"""Smooth average precision."""

from dataclasses import dataclass

import torch

from opticornet.learning.losses.base import (
    ComparisonLoss,
    ComparisonLossOptions,
    Comparisons,
    LossTerms,
    comparison_terms,
)
from opticornet.utils.options import option


class SmoothAPLoss(ComparisonLoss):
    """One minus the average precision of each anchor's ranking, with ranks made smooth; the mean over anchors.

    Brown et al., ECCV 2020, eq. 6: a reference's rank is one plus the sum of sigmoid((s_j - s_i) / t) over the others;
    the average precision is the mean over positives of their rank among positives over their rank among all that count.
    Not pytorch-metric-learning's, which needs as many samples of every class.

    Args:
        temperature: t, above 0, of differences of cosines.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, comparisons: Comparisons) -> LossTerms:
        similarity = comparisons.similarity  # (B, R)
        anchors, columns = comparisons.positive.nonzero(as_tuple=True)  # (P,) and (P,): every positive
        above = similarity[anchors] - similarity[anchors, columns][:, None]  # (P, R)
        above = (above / self.temperature).sigmoid().scatter(1, columns[:, None], 0.0)  # none lies above itself
        among_positives = 1 + (above * comparisons.positive[anchors]).sum(1)  # (P,) ranks
        among_all = among_positives + (above * comparisons.negative[anchors]).sum(1)
        precision = torch.zeros_like(similarity[:, :1].sum(1)).index_add(
            0, anchors, among_positives / among_all
        )  # (B,)
        return comparison_terms(comparisons, 1 - precision / comparisons.positive.sum(1).clamp_min(1))


@dataclass(frozen=True, kw_only=True)
class SmoothAPOptions(ComparisonLossOptions):
    """``smooth-ap``."""

    temperature: float = option(
        "--temperature", 0.01, "temperature of the sigmoids that ranks are made of, above 0", above=0
    )

    def build(self) -> SmoothAPLoss:
        return SmoothAPLoss(self.temperature)
