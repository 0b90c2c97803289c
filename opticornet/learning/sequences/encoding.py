"""The windows of a batch, encoded with gradients; of images each distinct frame is read and described once."""

from dataclasses import dataclass

import torch
from torch import Tensor

from opticornet.inference.described import DescribedFrames
from opticornet.learning.augmentation.augmenter import Augmenter
from opticornet.learning.sequences.sides import Side
from opticornet.models.sequences.base import ImageSequenceEncoder, SequenceEncoder


@dataclass(frozen=True)
class SharedFrames:
    """Windows by the frames that they hold.

    Attributes:
        frames: (U, *F), each of them once.
        index: (B, L) int64 on the CPU, which frames each window holds.
    """

    frames: Tensor
    index: Tensor

    @classmethod
    def of_rows(cls, side: Side, rows: Tensor) -> "SharedFrames":
        """The windows of some rows (B,) of a side."""
        index = side.starts[rows, None] + torch.arange(side.windows.length)  # (B, L)
        distinct, place = index.unique(return_inverse=True)
        return cls(side.frames.windows(distinct, 1)[:, 0], place)

    @classmethod
    def of_windows(cls, windows: Tensor) -> "SharedFrames":
        """Windows (B, L, *F) that share none."""
        count, length = windows.shape[:2]
        return cls(windows.flatten(0, 1), torch.arange(count * length).view(count, length))

    def __add__(self, other: "SharedFrames") -> "SharedFrames":
        """Those of both, one after the other."""
        index = torch.cat([self.index, other.index + len(self.frames)])
        return SharedFrames(torch.cat([self.frames, other.frames]), index)


@dataclass(frozen=True)
class BatchEncoder:
    """What turns the anchors and references of a batch into vectors.

    Attributes:
        encoder: what learns.
        query, reference: the windows of both drives; where an encoder's part that sees single frames does not learn,
            their frames may be those that it described.
        augmenter: of the anchors' windows; None: they stay as they were recorded.
    """

    encoder: SequenceEncoder
    query: Side
    reference: Side
    augmenter: Augmenter | None = None

    def __call__(self, anchors: Tensor, references: Tensor) -> Tensor:
        """The windows of some queries (B,) and references (R,): (B + R, O) float32 rows."""
        if isinstance(self.encoder, ImageSequenceEncoder):
            return self._of_images(self.encoder, anchors, references).float()
        make = self.augmenter.windows if self.augmenter else self.query.gather
        return self.encoder(torch.cat([make(anchors), self.reference.gather(references)])).float()

    def _of_images(self, encoder: ImageSequenceEncoder, anchors: Tensor, references: Tensor) -> Tensor:
        if self.augmenter:
            queries = SharedFrames.of_windows(self.augmenter.windows(anchors))
        else:
            queries = SharedFrames.of_rows(self.query, anchors)
        both = queries + SharedFrames.of_rows(self.reference, references)
        described = isinstance(self.query.frames, DescribedFrames)
        frames = both.frames if described else encoder.describe_frames(both.frames)  # (U, *G)
        return encoder.join(frames[both.index.to(frames.device, non_blocking=True)])
