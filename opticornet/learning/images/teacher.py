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
        images_at_once: that are described at a time; 0: all.
        amp: matrix products in bfloat16.
    """

    def __init__(self, encoder: TrainableImageEncoder, *, images_at_once: int = 0, amp: bool = False) -> None:
        self.encoder = encoder.eval().requires_grad_(False)
        self.images_at_once, self.amp = images_at_once, amp

    @torch.no_grad()
    def targets(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) to (B, D) float32 unit rows."""
        height, width = images.shape[-2:]
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.amp):
            parts = images.split(self.images_at_once or len(images))
            frozen = torch.cat([self.encoder.frozen(part) for part in parts])
            described = describe(self.encoder, frozen, (height, width), self.images_at_once)
            return self.encoder.relate(described).descriptors.float()
