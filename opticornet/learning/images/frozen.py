"""What the part of an encoder that does not learn makes of images, worked out once where that can be kept."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from opticornet.datasets.images.frames import ImageFrames
from opticornet.datasets.images.kept import most_scratch_bytes
from opticornet.learning.kept_rows import TOGETHER, KeptRows
from opticornet.models.images.trainable import TrainableImageEncoder


class FrozenImages:
    """Images as ``frozen`` of an encoder gives them, (N, *G) float32.

    They are kept as far as memory or half of the free space for temporary files holds all of them, and ``frozen`` does
    work: what learns from the images themselves has their pixels kept already.

    Args:
        images: the images.
        encoder: on their device; what ``frozen`` uses does not change any more.
        amp: work in bfloat16.
        memory: the most bytes to keep in memory; more of them are kept on the disk.
    """

    def __init__(
        self, images: ImageFrames, encoder: TrainableImageEncoder, *, amp: bool = False, memory: int | None = None
    ) -> None:
        self.images, self.encoder, self.amp = images, encoder, amp
        what = f"{len(images)} images before the part that learns"
        self._kept = KeptRows(len(images), lambda *part: self.of(images.rows(*part)), what, "use `train_size`", memory)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the images."""
        height, width = self.images.frame_shape[-2:]
        return height, width

    @cached_property
    def keeps(self) -> bool:
        """Whether what was worked out is kept."""
        images = self.images.rows(0, 1)
        first = self.of(images)
        return first is not images and 4 * first.numel() * len(self) <= max(self._kept.memory, most_scratch_bytes())

    def rows(self, rows: Sequence[int]) -> Tensor:
        """Some images (U,) to (U, *G), on the device.

        Raises:
            UserError: an image cannot be read, or the disk has no room.
        """
        if self.keeps:
            return self._kept[rows].to(self.images.device)
        images = self.images.windows(torch.tensor(rows), 1)[:, 0]
        return torch.cat([self.of(part) for part in images.split(TOGETHER)])

    @torch.inference_mode(False)  # what is kept is trained on
    @torch.no_grad()
    def of(self, images: Tensor) -> Tensor:
        """Of images (B, 3, H, W) at hand: (B, *G) float32."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.amp):
            return self.encoder.frozen(images).float()
