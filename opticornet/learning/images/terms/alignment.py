"""``alignment``: FoL's spatial alignment, which brings what the backbone attends to and what is aggregated together."""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from opticornet.learning.images.terms.base import LabelledImages, LossTerm, LossTermOptions
from opticornet.models.images.fol.encoder import DescribedFoL


class SpatialAlignment(LossTerm):
    """Kullback-Leibler divergences between confidence and importance, mean over the images: each is drawn to the other,
    held fixed. From Wang et al., "Focus on Local", AAAI 2025."""

    takes = DescribedFoL

    def forward(self, images: LabelledImages) -> Tensor:
        assert isinstance(images.described, DescribedFoL)
        return alignment(images.described.confidence, images.described.importance)


def alignment(confidence: Tensor, importance: Tensor) -> Tensor:
    """(B, N) distributions over the patches, above 0 everywhere -> the sum of both divergences, scalar."""
    to_importance = F.kl_div(confidence.log(), importance.detach(), reduction="batchmean")
    to_confidence = F.kl_div(importance.log(), confidence.detach(), reduction="batchmean")
    return to_importance + to_confidence


@dataclass(frozen=True, kw_only=True)
class AlignmentOptions(LossTermOptions):
    """``alignment``."""

    weight: ClassVar[float] = 5e-3

    def build(self) -> SpatialAlignment:
        return SpatialAlignment()
