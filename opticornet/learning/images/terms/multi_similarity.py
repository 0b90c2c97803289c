"""``ms``: the multi-similarity loss with its miner, as FoL, SciceVPR and Super-CricaVPR learn by it.

Wang et al., "Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning", CVPR 2019, through
pytorch-metric-learning.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from opticornet.learning.images.terms.base import LabelledImages, LossTerm, LossTermOptions

ALPHA, BETA, BASE, EPSILON = 1.0, 50.0, 0.0, 0.1


class MultiSimilarity(LossTerm):
    """Mean over all images of their mined positive and negative pairs; cosines, so lengths do not matter."""

    def __init__(self) -> None:
        super().__init__()
        from pytorch_metric_learning.distances import CosineSimilarity, DotProductSimilarity
        from pytorch_metric_learning.losses import MultiSimilarityLoss
        from pytorch_metric_learning.miners import MultiSimilarityMiner

        self.loss = MultiSimilarityLoss(ALPHA, BETA, BASE, distance=DotProductSimilarity())
        self.miner = MultiSimilarityMiner(EPSILON, distance=CosineSimilarity())

    def forward(self, images: LabelledImages) -> Tensor:
        descriptors = images.described.descriptors
        loss: Tensor = self.loss(descriptors, images.places, self.miner(descriptors, images.places))
        return loss


@dataclass(frozen=True, kw_only=True)
class MultiSimilarityOptions(LossTermOptions):
    """``ms``."""

    weight: ClassVar[float] = 1.0

    def build(self) -> MultiSimilarity:
        return MultiSimilarity()
