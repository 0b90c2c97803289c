"""The multi-similarity loss of Wang et al., through pytorch-metric-learning."""

from dataclasses import dataclass

import torch

from opticornet.learning.losses.base import LossOptions, LossTerms, TupleLoss, Tuples, statistics, zero_loss
from opticornet.utils.options import option


class MultiSimilarityLoss(TupleLoss):
    """Wang et al., CVPR 2019, through pytorch-metric-learning, over the mined pairs (anchor, positive or negative).

    ``violation`` is infinite: the loss weighs its pairs itself, so an anchor's nearest negatives are taken as they are.
    """

    squared = False
    violation = torch.inf

    def __init__(self, alpha: float = 2.0, beta: float = 50.0, base: float = 0.5) -> None:
        super().__init__()
        from pytorch_metric_learning.losses import MultiSimilarityLoss as Published

        self.published = Published(alpha, beta, base)

    def forward(self, tuples: Tuples) -> LossTerms:
        count, device = len(tuples.anchors), tuples.anchors.device
        anchors = torch.arange(count, device=device)
        owner, _ = tuples.counted
        negatives = tuples.negatives[tuples.counted]
        others = torch.cat([tuples.positives, negatives])
        pairs = (anchors, anchors, owner, count + torch.arange(len(negatives), device=device))
        if count:
            loss = self.published(tuples.anchors, indices_tuple=pairs, ref_emb=others)
        else:
            loss = zero_loss(tuples)
        return LossTerms(loss, *statistics(tuples, loss.new_ones(len(others))))


@dataclass(frozen=True, kw_only=True)
class MultiSimilarityOptions(LossOptions):
    """``multi-similarity``."""

    alpha: float = option("--alpha", 2.0, "weight of positive pairs")
    beta: float = option("--beta", 50.0, "weight of negative pairs")
    base: float = option("--base", 0.5, "similarity about which pairs are weighed")

    def build(self) -> MultiSimilarityLoss:
        return MultiSimilarityLoss(self.alpha, self.beta, self.base)
