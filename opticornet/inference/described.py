"""The frames of a traverse as an encoder of images describes them, each described once as far as memory allows."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from opticornet.datasets.frames import FrameSource
from opticornet.models.sequences import base
from opticornet.models.sequences.base import ImageSequenceEncoder

CACHE_BYTES = 256 << 20  # of described frames that one source keeps


class DescribedFrames:
    """What ``describe_frames`` makes of the N images of a traverse, served in rows and windows: a ``FrameSource``.

    The described frames used last stay in memory, up to ``cache_bytes`` of them. They are those of the weights at hand:
    a source does not outlive a change of what ``describe_frames`` uses. Nothing that it serves has a gradient.

    Args:
        images: the frames, (3, H, W).
        encoder: of these images, on their device; it is in evaluation mode while it describes.
        amp: describe in bfloat16.
        cache_bytes: the most that described frames kept in memory take; 0 keeps none.
    """

    def __init__(
        self,
        images: FrameSource,
        encoder: ImageSequenceEncoder,
        *,
        amp: bool = False,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.images, self.encoder, self.amp, self.cache_bytes = images, encoder, amp, cache_bytes
        self._kept: OrderedDict[int, Tensor] = OrderedDict()  # by row, the one used last at the end

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def frame_shape(self) -> tuple[int, ...]:
        """G of every frame: that of the first one, which this describes."""
        return tuple(self._described([0])[0].shape)

    @property
    def block(self) -> int:
        """As many windows as of images."""
        return self.images.block

    def rows(self, start: int, stop: int) -> Tensor:
        """Frames ``[start, stop)``: (stop - start, *G) float32.

        Raises:
            UserError: an image cannot be read.
        """
        return self._frames(range(start, stop))

    def windows(self, starts: Tensor, length: int) -> Tensor:
        """The windows ``[starts, starts + length)``: (B,) int64 on the CPU to (B, length, *G) float32.

        Raises:
            UserError: as :meth:`rows`.
        """
        distinct, place = (starts[:, None] + torch.arange(length)).unique(return_inverse=True)  # (B, L)
        frames = self._frames(distinct.tolist())
        return frames[place.to(frames.device)]

    def around(self, starts: np.ndarray, length: int) -> tuple[Tensor, Tensor]:
        """The frames of the windows and no others: (M, *G), and (B,) starts among them.

        Raises:
            UserError: as :meth:`rows`.
        """
        distinct = np.unique(starts[:, None] + np.arange(length))  # rising, so a window's frames stay neighbours
        frames = self._frames(distinct.tolist())
        return frames, torch.from_numpy(np.searchsorted(distinct, starts)).to(frames.device)

    def _frames(self, rows: Sequence[int]) -> Tensor:
        """Distinct rows, (U,) to (U, *G)."""
        found = {row: self._kept[row] for row in rows if row in self._kept}
        missing = [row for row in rows if row not in found]
        for first in range(0, len(missing), base.IMAGES_AT_ONCE):
            part = missing[first : first + base.IMAGES_AT_ONCE]
            found.update(zip(part, self._described(part), strict=True))
        for row in rows:
            self._keep(row, found[row])
        return torch.stack([found[row] for row in rows])

    @torch.inference_mode(False)  # what is kept may be trained on
    @torch.no_grad()
    def _described(self, rows: Sequence[int]) -> list[Tensor]:
        """Some images, each described in a tensor (*G) of its own."""
        images = self.images.windows(torch.tensor(rows), 1)[:, 0]  # (U, 3, H, W)
        training = self.encoder.training
        self.encoder.eval()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.amp):
            described = self.encoder.describe_frames(images).float()
        self.encoder.train(training)
        return [frame.clone() for frame in described]

    def _keep(self, row: int, frame: Tensor) -> None:
        """Note a frame as the one used last."""
        most = self.cache_bytes // (4 * frame.numel())
        if most:
            self._kept[row] = frame
            self._kept.move_to_end(row)
        while len(self._kept) > most:
            self._kept.popitem(last=False)
