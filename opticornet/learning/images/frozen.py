"""What the part of an encoder that does not learn makes of images, worked out once where that can be kept."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from opticornet.datasets.images.frames import ImageFrames
from opticornet.datasets.images.kept import most_scratch_bytes
from opticornet.models.images.trainable import TrainableImageEncoder
from opticornet.utils.device import physical_memory
from opticornet.utils.mapped import release, zeros_or_file

SHARE_OF_MEMORY = 1 / 8  # that may be taken by what is kept of one set of images; more is kept on the disk
TOGETHER = 8  # images that are always worked out together: a resumed run gets the same numbers to the bit


class FrozenImages:
    """Images as ``frozen`` of an encoder gives them, (N, *G) float32.

    They are kept as far as memory or half of the free space for temporary files holds all of them, and ``frozen`` does
    work: what learns from the images themselves has their pixels kept already.

    Args:
        images: the images.
        encoder: on their device; what ``frozen`` uses does not change any more.
        amp: work in bfloat16.
        memory: the most bytes to keep in memory.
    """

    def __init__(
        self, images: ImageFrames, encoder: TrainableImageEncoder, *, amp: bool = False, memory: int | None = None
    ) -> None:
        self.images, self.encoder, self.amp = images, encoder, amp
        self.memory = int(physical_memory() * SHARE_OF_MEMORY) if memory is None else memory
        self.is_known = np.zeros(-(-len(images) // TOGETHER), bool)  # of each TOGETHER

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the images."""
        height, width = self.images.frame_shape[-2:]
        return height, width

    @cached_property
    def first(self) -> Tensor:
        """(1, *G) of the first image."""
        return self.of(self.images.rows(0, 1))

    @cached_property
    def keeps(self) -> bool:
        """Whether what was worked out is kept."""
        images = self.images.rows(0, 1)
        does_work = self.of(images) is not images
        return does_work and self.bytes <= max(self.memory, most_scratch_bytes())

    @property
    def bytes(self) -> int:
        """Of all, in float32."""
        return 4 * self.first[0].numel() * len(self)

    @cached_property
    def kept(self) -> np.ndarray:
        """(N, *G) float32; where an image is not known yet it means nothing."""
        shape = (len(self), *self.first[0].shape)
        return zeros_or_file(shape, self.memory, f"{len(self)} images before the part that learns", "use `train_size`")

    def rows(self, rows: Sequence[int]) -> Tensor:
        """Some images (U,) to (U, *G), on the device.

        Raises:
            UserError: an image cannot be read.
        """
        if not self.keeps:
            images = self.images.windows(torch.tensor(rows), 1)[:, 0]
            return torch.cat([self.of(part) for part in images.split(TOGETHER)])
        wanted = np.asarray(rows, np.int64)
        parts = np.unique(wanted // TOGETHER)
        for part in parts[~self.is_known[parts]].tolist():
            start, stop = part * TOGETHER, min((part + 1) * TOGETHER, len(self))
            self.kept[start:stop] = self.of(self.images.rows(start, stop)).cpu().numpy()
            self.is_known[part] = True
        found = torch.from_numpy(np.asarray(self.kept[wanted]))
        release(self.kept)
        return found.to(self.images.device)

    @torch.inference_mode(False)  # what is kept is trained on
    @torch.no_grad()
    def of(self, images: Tensor) -> Tensor:
        """Of images (B, 3, H, W) at hand: (B, *G) float32."""
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.amp):
            return self.encoder.frozen(images).float()
