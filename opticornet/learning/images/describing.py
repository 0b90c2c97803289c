"""A batch of images described a few at a time, as if at once."""

from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from opticornet.models.images.trainable import Described, TrainableImageEncoder


def describe(encoder: TrainableImageEncoder, frozen: Tensor, size: tuple[int, int], at_once: int = 0) -> Described:
    """What an encoder makes of a batch, before its images see one another, with its gradient.

    More than ``at_once`` images are described in parts, of which nothing is remembered but what comes out: on the way
    back each part is described once more, with the same random numbers. The gradient is that of the undivided batch,
    in the memory that a part needs.

    Args:
        frozen: (B, *G).
        size: (H, W) of the images.
        at_once: images of a part; 0: all of them.
    """
    if not at_once or len(frozen) <= at_once:
        return encoder.describe(frozen, size)
    if not torch.is_grad_enabled():
        return joined([encoder.describe(part, size) for part in frozen.split(at_once)])
    parts = [checkpoint(encoder.describe, part, size, use_reentrant=False) for part in frozen.split(at_once)]
    return joined(parts)


def joined(parts: Sequence[Described]) -> Described:
    """Those of several parts as one."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return type(first)(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(first)})
