"""``distillation``: descriptors are drawn to those that a teacher gives of the same images.

Wan et al., "SciceVPR: Stable Cross-Image Correlation Enhanced Model for Visual Place Recognition", Neurocomputing.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from opticornet.learning.images.terms.base import LabelledImages, LossTerm, LossTermOptions


class Distillation(LossTerm):
    """Mean squared distance of unit rows, which is 2 - 2 cos."""

    needs_targets = True

    def forward(self, images: LabelledImages) -> Tensor:
        assert images.targets is not None
        difference = images.described.descriptors - images.targets
        return difference.square().sum(1).mean()


@dataclass(frozen=True, kw_only=True)
class DistillationOptions(LossTermOptions):
    """``distillation``."""

    weight: ClassVar[float] = 1.0

    def build(self) -> Distillation:
        return Distillation()
