"""The quadruplet loss of Chen et al."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn.functional import relu

from opticornet.learning.losses.base import LossOptions, LossTerms, TupleLoss, Tuples, mean, statistics
from opticornet.utils.errors import UserError
from opticornet.utils.options import option


class QuadrupletLoss(TupleLoss):
    """Chen et al., CVPR 2017, eq. 8: the mean of [d(a,p) - d(a,n) + m1]+ plus that of [d(a,p) - d(n,n') + m2]+.

    d is the squared Euclidean distance and m1 > m2. n and n' run over all pairs of an anchor's negatives that show
    different places; neither shows the anchor's.

    Raises:
        ValueError: the first margin is not above the second.
    """

    squared = True

    def __init__(self, margin: float, margin2: float) -> None:
        super().__init__()
        if not margin > margin2:
            raise ValueError(f"the first margin must exceed the second; found {margin:g} and {margin2:g}")
        self.violation, self.margin2 = margin, margin2

    def forward(self, tuples: Tuples) -> LossTerms:
        positive = (tuples.anchors - tuples.positives).square().sum(1)  # (B,)
        negative = (tuples.anchors[:, None] - tuples.negatives).square().sum(2)  # (B, M)
        first = relu(positive[:, None] - negative + self.violation)[tuples.counted]

        gram = tuples.negatives @ tuples.negatives.transpose(1, 2)  # (B, M, M)
        power = gram.diagonal(dim1=1, dim2=2)
        between = power[:, :, None] + power[:, None] - 2 * gram
        second = relu(positive[:, None, None] - between + self.margin2)[tuples.different]
        return LossTerms(mean(first) + mean(second), *statistics(tuples, torch.cat([first, second])))


@dataclass(frozen=True, kw_only=True)
class QuadrupletOptions(LossOptions):
    """``quadruplet``."""

    min_negatives: ClassVar[int] = 2
    margin: float = option("--margin", 0.1, "margin between positive and negative")
    margin2: float = option("--margin2", 0.05, "margin between positive and two negatives, below --margin")

    def __post_init__(self) -> None:
        if self.margin <= self.margin2:
            raise UserError(f"`margin` {self.margin:g} must be above `margin2` {self.margin2:g}")

    def build(self) -> QuadrupletLoss:
        return QuadrupletLoss(self.margin, self.margin2)
