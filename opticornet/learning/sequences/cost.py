"""What training on images takes, counted before it starts, on images that have no pixels."""

import copy
from dataclasses import dataclass

import torch

from opticornet.inference.described import DescribedFrames
from opticornet.learning.counting import Cost, counted, memory_in_words, places_of_weights
from opticornet.learning.sequences.batches import BatchSource
from opticornet.learning.sequences.sides import Side
from opticornet.models.sequences.base import ImageSequenceEncoder
from opticornet.utils.device import memory_of
from opticornet.utils.errors import UserError


@dataclass(frozen=True)
class WindowCost:
    """What a window costs.

    Attributes:
        frame: of describing one of its frames.
        window: of joining them.
        length: L.
    """

    frame: Cost
    window: Cost
    length: int

    @classmethod
    def of(cls, encoder: ImageSequenceEncoder, shape: tuple[int, ...], length: int, *, described: bool) -> "WindowCost":
        """Of windows of ``length`` frames of a shape (3, H, W); nothing is computed.

        Args:
            described: frames are described without gradients, as where that part is frozen and its results are kept.

        Raises:
            RuntimeError: what the encoder does depends on values.
        """
        encoder = copy.deepcopy(encoder).to("meta").train()
        weights = places_of_weights(encoder)
        images = torch.empty(length, *shape, device="meta")
        frame, frames = counted(encoder.describe_frames, images, weights)
        window, _ = counted(encoder.join, (frames.detach() if described else frames).unflatten(0, (1, length)), weights)
        kept = 0 if described else frame.gradient_bytes // length
        return cls(Cost(frame.operations // length, kept), window, length)

    @property
    def operations(self) -> int:
        """Of a window that shares no frames."""
        return self.length * self.frame.operations + self.window.operations

    def gradient_bytes(self, windows: int, frames: int) -> int:
        """Of a step on some windows that hold so many distinct frames."""
        return windows * self.window.gradient_bytes + frames * self.frame.gradient_bytes


def cost_notes(
    encoder: ImageSequenceEncoder,
    source: BatchSource[object],
    query: Side,
    reference: Side,
    *,
    amp: bool,
    device: torch.device,
) -> list[str]:
    """What a window and a step take, in a line; a second one where memory may not do. None for an encoder whose work
    depends on values.

    Args:
        amp: in bfloat16, which takes half of the memory at the least.

    Raises:
        UserError: there is not the memory for a batch of anchors alone.
    """
    frames = query.frames
    described = isinstance(frames, DescribedFrames)
    shape = frames.images.frame_shape if isinstance(frames, DescribedFrames) else frames.frame_shape
    try:
        cost = WindowCost.of(encoder, shape, query.windows.length, described=described)
    except RuntimeError:  # it cannot be counted
        return []
    anchors, references = source.most_windows()
    of_anchors = cost.gradient_bytes(anchors, _frames(query, anchors))
    of_references = cost.gradient_bytes(references, _frames(reference, references))
    least, most = ((size // 2 if amp else size) for size in (of_anchors, of_anchors + of_references))
    memory = memory_of(device)
    less = "a smaller `batch_size` with `accumulate`, `checkpointing` or `freeze_spatial`"
    if least > memory:
        raise UserError(
            f"`batch_size` {anchors}: the windows of so many anchors alone need "
            f"{memory_in_words(least)} for their gradients, of {memory_in_words(memory)} that there are; choose {less}"
        )
    lines = [
        f"note: a window takes {cost.operations / 1e9:.3g} GFLOP on the way forward; a step holds at most "
        f"{anchors} + {references} windows, {memory_in_words(most)} for their gradients"
    ]
    if most > memory:
        lines.append(f"warning: that may be more than the {memory_in_words(memory)} of memory here: choose {less}")
    return lines


def _frames(side: Side, windows: int) -> int:
    """The most distinct frames that some windows of a side hold."""
    return min(windows * side.windows.length, len(side.frames))
