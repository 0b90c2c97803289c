"""Encoding many windows of a traverse: each frame's matrix products once, in blocks bounded by a memory budget."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from opticornet.datasets.frames import DescriptorFrames, FrameSource
from opticornet.datasets.traverse import Traverse
from opticornet.inference.described import DescribedFrames
from opticornet.models.sequences.base import ImageSequenceEncoder, SequenceEncoder


def frames_of(
    traverse: Traverse, encoder: SequenceEncoder, device: torch.device, keep_all: bool = False
) -> FrameSource:
    """The frames of a traverse as the encoder takes them: descriptors, or images that it has prepared; with
    ``keep_all``, to be asked for again and in any order.

    Raises:
        UserError: the traverse has no such frames.
    """
    if isinstance(encoder, ImageSequenceEncoder):
        from opticornet.datasets.images.frames import ImageFrames

        return ImageFrames.of(traverse, encoder.preprocess, device, keep_all)
    return DescriptorFrames(traverse.need_descriptors(), device)


@torch.inference_mode()
def encode(
    encoder: SequenceEncoder,
    frames: FrameSource,
    starts: np.ndarray,
    length: int,
    *,
    backwards: bool = False,
    amp: bool = False,
    block: int | None = None,
) -> Tensor:
    """Encode the windows ``[starts, starts + length)``.

    Args:
        encoder: on the device of ``frames``; put into evaluation mode for the call.
        frames: the traverse; where the encoder describes frames, images or what it made of them.
        starts: (M,) int64.
        length: frames per window, L.
        backwards: read each window from its last frame to its first.
        amp: compute matrix products in bfloat16.
        block: windows encoded at a time, by default as many as ``frames`` advises; bounds the memory, never changes the
            result beyond rounding.

    Returns:
        (M, O) float32 unit rows on the encoder's device.

    Raises:
        UserError: a frame cannot be read.
        ValueError: there are no windows.
    """
    training = encoder.training
    encoder.eval()
    encoded = None
    block = block or frames.block
    joined: Callable[[Tensor, Tensor, int], Tensor] = encoder.encode_traverse
    if isinstance(encoder, ImageSequenceEncoder) and encoder.describes_frames:
        joined = encoder.join_traverse
        if not isinstance(frames, DescribedFrames):
            frames = DescribedFrames(frames, encoder, amp=amp)  # one block's last frames are the next one's first
    order = np.argsort(starts, kind="stable")  # neighbours share frames
    for first in range(0, len(starts), block):
        chosen = order[first : first + block]
        rows, begins = frames.around(starts[chosen], length)
        if backwards:
            rows, begins = rows.flip(0), len(rows) - length - begins
        with torch.autocast(rows.device.type, torch.bfloat16, enabled=amp):
            vectors = joined(rows, begins, length).float()
        if encoded is None:
            encoded = vectors.new_empty(len(starts), vectors.shape[1])
        encoded[torch.from_numpy(chosen).to(encoded.device)] = vectors
    encoder.train(training)
    if encoded is None:
        raise ValueError("no windows to encode")
    return encoded
