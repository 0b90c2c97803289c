"""Augmentation of images, before they become frames."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from opticornet.learning.augmentation.base import AugmentationOptions
from opticornet.learning.augmentation.kinds import TimeAugmentation
from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra
from opticornet.utils.options import option

STRONGEST = 30  # of torchvision's scale


@dataclass(frozen=True, kw_only=True)
class ImageAugmentation(AugmentationOptions):
    """``images``: RandAugment (Cubuk et al., 2020), one draw for all frames of a window."""

    changes_images: ClassVar[bool] = True
    operations: int = option("--randOperations", 2, "alterations of a window's images, one after the other", minimum=1)
    magnitude: int = option("--randMagnitude", 9, "their strength, 0 to 30")

    def __post_init__(self) -> None:
        if self.magnitude > STRONGEST:
            raise UserError(f"`magnitude` {self.magnitude}: wanted a strength of 0 to {STRONGEST}")

    def alteration(self) -> Callable[[Tensor], Tensor]:
        with needs_extra("images"):
            from torchvision.transforms import v2
        bins, bilinear = STRONGEST + 1, v2.InterpolationMode.BILINEAR
        return v2.RandAugment(self.operations, self.magnitude, num_magnitude_bins=bins, interpolation=bilinear)


@dataclass(frozen=True, kw_only=True)
class TimeAndImageAugmentation(TimeAugmentation, ImageAugmentation):
    """``time+images``."""

    def __post_init__(self) -> None:
        TimeAugmentation.__post_init__(self)
        ImageAugmentation.__post_init__(self)
