"""``contrast``: FoL's contrast of foreground and background, which makes images of a place agree on what both are.

Despite its name nothing is pushed apart: each image's foreground is drawn to that of another image of the place, and
its background likewise.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from opticornet.learning.images.terms.base import LabelledImages, LossTerm, LossTermOptions
from opticornet.learning.images.terms.partners import random_of_place
from opticornet.models.images.fol.encoder import DescribedFoL

FOREGROUND, BACKGROUND = 0.7, 0.3  # shares of the term


class ForegroundContrast(LossTerm):
    """Of each image and another one of its place, drawn at random, by what the patches' confidence and importance call
    foreground; only these learn, the local features do not. From Wang et al., "Focus on Local", AAAI 2025."""

    takes = DescribedFoL

    def forward(self, images: LabelledImages) -> Tensor:
        described = images.described
        assert isinstance(described, DescribedFoL)
        mix = (described.confidence + described.importance).view_as(described.cells)  # (B, h, w)
        size = described.local.shape[-2:]
        foreground = F.interpolate(mix.unsqueeze(1), size=size, mode="bilinear", align_corners=True)[:, 0]
        return contrast(described.local, foreground, random_of_place(images.places, images.generator))


def contrast(features: Tensor, foreground: Tensor, partners: Tensor) -> Tensor:
    """1 - the cosine of two images' foregrounds and of their backgrounds, weighted, mean over the images; scalar.

    Args:
        features: (B, C, H, W) unit local features, which get no gradient.
        foreground: (B, H, W), how much of each position is foreground; the rest is background.
        partners: (B,) int64, the image that each one is compared with; itself: none.
    """
    dense = features.detach().flatten(2)  # (B, C, H * W)
    weights = foreground.flatten(1).unsqueeze(2)  # (B, H * W, 1)
    paired = (partners != torch.arange(len(partners), device=partners.device)).nonzero()[:, 0]
    distances = []
    for of in (weights, 1 - weights):
        prototypes = F.normalize((dense @ of).squeeze(2), dim=1)  # (B, C)
        distances.append(1 - (prototypes[paired] * prototypes[partners[paired]]).sum(1))
    return (FOREGROUND * distances[0] + BACKGROUND * distances[1]).sum() / max(len(paired), 1)


@dataclass(frozen=True, kw_only=True)
class ContrastOptions(LossTermOptions):
    """``contrast``."""

    weight: ClassVar[float] = 1.0

    def build(self) -> ForegroundContrast:
        return ForegroundContrast()
