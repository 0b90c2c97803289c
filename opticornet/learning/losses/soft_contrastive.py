"""A soft contrastive loss over all references: InfoNCE with any number of positives."""

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


class SoftContrastiveLoss(ComparisonLoss):
    """The mean over anchors of -log (sum_p exp(s_p / t) / (sum_p exp(s_p / t) + sum_n exp(s_n / t))).

    InfoNCE (van den Oord et al., arXiv 1807.03748, eq. 4) with the positives p summed, so that an anchor need not look
    like all frames of its place; s are cosines, t the temperature, n the negatives. It falls towards zero but never
    silent. Not pytorch-metric-learning's, whose classes cannot say that a reference is neither.

    Args:
        temperature: t, above 0.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, comparisons: Comparisons) -> LossTerms:
        logits = comparisons.similarity / self.temperature  # (B, R)
        lowest = torch.finfo(logits.dtype).min
        counted = comparisons.positive | comparisons.negative
        positive, all_counted = (
            logits.masked_fill(~mask, lowest).logsumexp(1) if logits.shape[1] else logits.sum(1)
            for mask in (comparisons.positive, counted)
        )  # (B,)
        return comparison_terms(comparisons, all_counted - positive)


@dataclass(frozen=True, kw_only=True)
class SoftContrastiveOptions(ComparisonLossOptions):
    """``soft-contrastive``."""

    temperature: float = option("--temperature", 0.05, "temperature of the softmax over references, above 0", above=0)

    def build(self) -> SoftContrastiveLoss:
        return SoftContrastiveLoss(self.temperature)
