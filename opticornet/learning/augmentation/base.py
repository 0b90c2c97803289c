"""What an augmentation says."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from opticornet.datasets.altered import Pace
from opticornet.utils.options import Choice


@dataclass(frozen=True, kw_only=True)
class AugmentationOptions(Choice):
    """``none``, and the base of every entry of ``AUGMENTATIONS``: what it leaves as it is.

    Attributes:
        changes_pace: whether windows are of a drive at another pace.
        changes_descriptors: whether frame descriptors become others.
        changes_images: whether images do.
    """

    changes_pace: ClassVar[bool] = False
    changes_descriptors: ClassVar[bool] = False
    changes_images: ClassVar[bool] = False

    def pace(self) -> Pace | None:
        """The steps of windows at another pace; None: as they were recorded."""
        return None

    def alteration(self) -> Callable[[Tensor], Tensor] | None:
        """What alters the images of a window, uint8 (L, 3, H, W), and draws from PyTorch's generator of the CPU."""
        return None

    @property
    def noise_strength(self) -> float:
        """Standard deviation of the noise that is added, where 1 is what differs between two drives of a place."""
        return 0.0

    @property
    def mixed_share(self) -> float:
        """Share of a window's frames that become the reference drive's of the same place."""
        return 0.0
