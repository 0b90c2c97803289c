"""A trained encoder whose descriptors another one learns to give."""

import torch
from torch import Tensor

from opticornet.learning.images.describing import describe
from opticornet.models.images.trainable import TrainableImageEncoder


class Teacher:
    """An encoder at rest: in evaluation mode, without gradients.

    Images of a batch see one another as far as the encoder lets them, so that targets are of a batch as a whole.

    Args:
        encoder: on the device of the images that it will see, prepared as for it.
        shares_frozen: whether ``frozen`` of it and of the encoder that learns give the same.
        images_at_once: that are described at a time; 0: all.
        amp: matrix products in bfloat16.
    """

    def __init__(
        self, encoder: TrainableImageEncoder, *, shares_frozen: bool = False, images_at_once: int = 0, amp: bool = False
    ) -> None:
        self.encoder, self.shares_frozen = encoder.eval().requires_grad_(False), shares_frozen
        self.images_at_once, self.amp = images_at_once, amp

    @torch.no_grad()
    def targets(self, frozen: Tensor, size: tuple[int, int]) -> Tensor:
        """What ``frozen`` gives of images (B, *G) of ``size`` = (H, W) to (B, D) float32 unit rows."""
        with torch.autocast(frozen.device.type, torch.bfloat16, enabled=self.amp):
            described = describe(self.encoder, frozen, size, self.images_at_once)
            return self.encoder.relate(described).descriptors.float()
