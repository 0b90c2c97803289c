"""SeqNet's triplet loss."""

from dataclasses import dataclass

from torch.nn.functional import pairwise_distance, relu

from opticornet.learning.losses.base import LossOptions, LossTerms, TupleLoss, Tuples, mean, statistics
from opticornet.utils.options import option


class TripletLoss(TupleLoss):
    """SeqNet's: the mean over all (anchor, negative) pairs of max(0, d(a, p) - d(a, n) + sqrt(margin)).

    d is the Euclidean distance (with torch's 1e-6 added to each difference, as in ``triplet_margin_loss``).
    """

    squared = False

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.violation = margin**0.5

    def forward(self, tuples: Tuples) -> LossTerms:
        positive = pairwise_distance(tuples.anchors, tuples.positives)  # (B,)
        negative = pairwise_distance(tuples.anchors[:, None], tuples.negatives)  # (B, M)
        hinges = relu(positive[:, None] - negative + self.violation)[tuples.counted]  # (pairs,)
        return LossTerms(mean(hinges), *statistics(tuples, hinges))


@dataclass(frozen=True, kw_only=True)
class TripletOptions(LossOptions):
    """``triplet``."""

    margin: float = option("--margin", 0.1, "margin; its square root is taken, as seqNet does")

    def build(self) -> TripletLoss:
        return TripletLoss(self.margin)
