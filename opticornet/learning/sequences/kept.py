"""The frames of a traverse as the part of an encoder that does not learn describes them, each described once."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from opticornet.datasets.frames import FrameSource
from opticornet.inference.described import DescribedFrames
from opticornet.models.sequences.base import ImageSequenceEncoder
from opticornet.utils.device import physical_memory
from opticornet.utils.mapped import release, zeros_or_file

SHARE_OF_MEMORY = 1 / 8  # that the frames of one traverse may take; more of them are kept on the disk
TOGETHER = 8  # frames described in a batch, always the same ones: a resumed run gets the same numbers to the bit


class KeptFrames(DescribedFrames):
    """Described frames that are all kept, in float32: in memory, or where that is too little in a file that has no name
    and goes with the process. A frame is described when it is first asked for.

    Args:
        images: the frames, (3, H, W).
        encoder: of these images, on their device; its part that describes frames does not change any more.
        amp: describe in bfloat16.
        memory: the most bytes to keep in memory.
    """

    def __init__(
        self, images: FrameSource, encoder: ImageSequenceEncoder, *, amp: bool = False, memory: int | None = None
    ) -> None:
        super().__init__(images, encoder, amp=amp, cache_bytes=0)
        self.memory = int(physical_memory() * SHARE_OF_MEMORY) if memory is None else memory
        self.is_described = np.zeros(-(-len(images) // TOGETHER), bool)  # of each batch

    @cached_property
    def described(self) -> np.ndarray:
        """(N, *G) float32; where a frame is not described yet it means nothing.

        Raises:
            UserError: the disk has no room.
        """
        shape = (len(self), *self.frame_shape)
        return zeros_or_file(shape, self.memory, f"`freeze_spatial`: {len(self)} described frames", "leave it out")

    def _frames(self, rows: Sequence[int]) -> Tensor:
        wanted = np.asarray(rows, np.int64)
        batches = np.unique(wanted // TOGETHER)
        for batch in batches[~self.is_described[batches]].tolist():
            part = range(batch * TOGETHER, min((batch + 1) * TOGETHER, len(self)))
            self.described[part.start : part.stop] = torch.stack(self._described(part)).cpu().numpy()
            self.is_described[batch] = True
        frames = torch.from_numpy(np.asarray(self.described[wanted]))
        release(self.described)
        return frames.to(next(self.encoder.parameters()).device)
