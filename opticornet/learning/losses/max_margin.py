"""The max-margin triplet loss of sequence transformers."""

from dataclasses import dataclass

import torch
from torch.nn.functional import pairwise_distance, relu

from opticornet.learning.losses.base import LossOptions, LossTerms, TupleLoss, Tuples, statistics
from opticornet.utils.options import option


class MaxMarginLoss(TupleLoss):
    """Of B anchors with M negatives each, the sum over all pairs of max(0, d(a, p) - d(a, n) + margin), over B M.

    d is the Euclidean distance with 1e-6 added to each difference (torch's ``triplet_margin_loss``), and the margin is
    as it is given, which seqNet's is not. The nearest negatives are taken whether or not they violate it: those that do
    not are zeros of the mean. An anchor that has fewer than M has so many fewer terms in the sum; it is divided the
    same, so that a batch costs the mean of what its tuples cost alone.
    """

    squared = False
    violation = torch.inf

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, tuples: Tuples) -> LossTerms:
        positive = pairwise_distance(tuples.anchors, tuples.positives)  # (B,)
        negative = pairwise_distance(tuples.anchors[:, None], tuples.negatives)  # (B, M)
        hinges = relu(positive[:, None] - negative + self.margin)[tuples.counted]  # (pairs,)
        return LossTerms(hinges.sum() / max(1, tuples.mask.numel()), *statistics(tuples, hinges))


@dataclass(frozen=True, kw_only=True)
class MaxMarginOptions(LossOptions):
    """``max-margin``."""

    margin: float = option("--margin", 0.1, "margin of distances, as it is")

    def build(self) -> MaxMarginLoss:
        return MaxMarginLoss(self.margin)
