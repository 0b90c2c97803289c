"""Another image of the same place, for each image of a batch."""

import torch
from torch import Tensor


def next_of_place(places: Tensor) -> Tensor:
    """The next image of each one's place, after the last the first; itself where it is alone.

    places (B,) int64, those of one place neighbours -> (B,) int64 positions in the batch.
    """
    first, place, size = _spans(places)
    return first + (place + 1) % size


def random_of_place(places: Tensor, generator: torch.Generator) -> Tensor:
    """Any other image of each one's place, all equally likely; itself where it is alone. As :func:`next_of_place`.

    Args:
        places: (B,) int64, those of one place neighbours.
        generator: of the CPU.
    """
    first, place, size = _spans(places)
    drawn = torch.rand(len(places), generator=generator, dtype=torch.float64).to(places.device)
    step = 1 + (drawn * (size - 1)).long()  # from 1 to size - 1; 1 of an image that is alone
    return first + (place + step) % size


def _spans(places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each image: where its place begins, its position from there, and how many images the place has; (B,) each."""
    _, group, sizes = places.unique_consecutive(return_inverse=True, return_counts=True)
    first = (sizes.cumsum(0) - sizes)[group]
    return first, torch.arange(len(places), device=places.device) - first, sizes[group]
