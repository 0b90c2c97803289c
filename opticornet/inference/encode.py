"""Encoding many windows of a traverse: each frame's matrix products once, in blocks bounded by a memory budget."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from opticornet.models.sequences.base import SequenceEncoder


class FrameSource(Protocol):
    """Whatever serves consecutive frames as a float32 tensor (``opticornet.datasets.frames.Frames`` does)."""

    def rows(self, start: int, stop: int) -> Tensor: ...


@torch.inference_mode()
def encode(
    encoder: SequenceEncoder,
    frames: FrameSource,
    starts: np.ndarray,
    length: int,
    *,
    amp: bool = False,
    block: int = 128,
) -> Tensor:
    """Encode the windows ``[starts, starts + length)``.

    Args:
        encoder: on the device of ``frames``; put into evaluation mode for the call.
        frames: the traverse.
        starts: (M,) int64, non-decreasing.
        length: frames a window, L.
        amp: compute matrix products in bfloat16.
        block: windows encoded at a time; bounds the memory, never changes the result beyond rounding.

    Returns:
        (M, O) float32 unit rows on the encoder's device.
    """
    training = encoder.training
    encoder.eval()
    encoded = None
    for first in range(0, len(starts), block):
        part = starts[first : first + block]
        low, high = int(part[0]), int(part[-1]) + length
        rows = frames.rows(low, high)
        with torch.autocast(rows.device.type, torch.bfloat16, enabled=amp):
            vectors = encoder.encode_traverse(rows, torch.from_numpy(part - low).to(rows.device), length).float()
        if encoded is None:
            encoded = vectors.new_empty(len(starts), vectors.shape[1])
        encoded[first : first + len(part)] = vectors
    encoder.train(training)
    if encoded is None:
        raise ValueError("no windows to encode")
    return encoded
