"""The frames of a traverse as the part of an encoder that does not learn describes them, each described once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from opticornet.datasets.frames import FrameSource
from opticornet.inference.described import DescribedFrames
from opticornet.learning.kept_rows import KeptRows
from opticornet.models.sequences.base import ImageSequenceEncoder


class KeptFrames(DescribedFrames):
    """Described frames that are all kept, in float32.

    Args:
        images: the frames, (3, H, W).
        encoder: of these images, on their device; its part that describes frames does not change any more.
        amp: describe in bfloat16.
        memory: the most bytes to keep in memory; more of them are kept on the disk.
    """

    def __init__(
        self, images: FrameSource, encoder: ImageSequenceEncoder, *, amp: bool = False, memory: int | None = None
    ) -> None:
        super().__init__(images, encoder, amp=amp, cache_bytes=0)
        what = f"`freeze_spatial`: {len(images)} described frames"
        self._rows = KeptRows(len(images), self._of, what, "leave it out", memory)

    def _of(self, start: int, stop: int) -> Tensor:
        return torch.stack(self._described(range(start, stop)))

    def _frames(self, rows: Sequence[int]) -> Tensor:
        return self._rows[rows].to(next(self.encoder.parameters()).device)
