"""The windows of the two drives that are learned from, with the frames that they hold."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from opticornet.datasets.frames import FrameSource
from opticornet.datasets.windows import Windows
from opticornet.evaluation.scene import Scene
from opticornet.inference.encode import encode
from opticornet.models.sequences.base import SequenceEncoder


class Side:
    """The windows of one drive and the source of their frames, which may keep them on the device."""

    def __init__(self, windows: Windows, frames: FrameSource) -> None:
        self.windows, self.frames = windows, frames
        self.starts = torch.from_numpy(windows.starts)

    def __len__(self) -> int:
        return len(self.windows)

    def gather(self, rows: Tensor) -> Tensor:
        """The windows of some rows (B,): (B, L, *F) float32."""
        return self.frames.windows(self.starts[rows], self.windows.length)

    def gather_frames(self, frames: Tensor) -> Tensor:
        """Any frames of the drive, by their rows (B, L) int64: (B, L, *F) float32."""
        rows = self.frames.windows(frames.flatten(), 1)  # (B L, 1, *F)
        return rows.reshape(*frames.shape, *rows.shape[2:])

    @property
    def has_pixels(self) -> bool:
        """Whether frames are images that :meth:`altered_frames` can alter."""
        from opticornet.datasets.images.frames import ImageFrames

        return isinstance(self.frames, ImageFrames) and self.frames.has_pixels

    def altered_frames(self, frames: np.ndarray, alter: Callable[[Tensor], Tensor]) -> Tensor:
        """Any frames of the drive, by their rows (B, L) int64, the images of each window altered together, uint8
        (L, 3, H, W) to the same: (B, L, 3, H, W) float32."""
        from opticornet.datasets.images.frames import ImageFrames

        assert isinstance(self.frames, ImageFrames)  # as has_pixels says
        return self.frames.altered(frames, alter)

    def encode(self, encoder: SequenceEncoder, amp: bool) -> Tensor:
        """All windows as (N, O) float32 unit rows on the device."""
        return encode(encoder, self.frames, self.windows.starts, self.windows.length, amp=amp)

    def encode_rows(self, encoder: SequenceEncoder, rows: Tensor, amp: bool) -> Tensor:
        """The windows of some distinct rows (A,), and no others: (A, O) float32 unit rows on the device.

        Windows are encoded together where :meth:`encode` would, so that no more frames are read than for all of them,
        and the same numbers come out where the rows are all there are.
        """
        ordered, place = rows.sort()
        block = self.frames.block
        edges = np.searchsorted(ordered.numpy(), np.arange(block, len(self), block))
        encoded = [
            encode(encoder, self.frames, self.windows.starts[part], self.windows.length, amp=amp)
            for part in np.split(ordered.numpy(), edges)
            if len(part)
        ]
        return torch.cat(encoded)[place.argsort().to(encoded[0].device)]


def as_they_are(frames: FrameSource) -> FrameSource:
    """The frames."""
    return frames


def sides(
    scene: Scene, encoder: SequenceEncoder, served: Callable[[FrameSource], FrameSource] = as_they_are
) -> tuple[Side, Side]:
    """Queries and references of a scene, with frames as the encoder takes them, and as ``served`` serves these.

    Raises:
        UserError: a traverse has no such frames, or frames of the two drives differ in size.
    """
    reference, query = scene.frames(encoder)
    return Side(scene.query, served(query)), Side(scene.reference, served(reference))
