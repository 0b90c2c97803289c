"""The numbers of a step, read from the device at once."""

from dataclasses import dataclass

import torch
from torch import Tensor

from opticornet.learning.task import StepTerms


@dataclass(frozen=True)
class StepNumbers:
    """A step's numbers on the CPU.

    Attributes:
        means: the loss and the mean of each of the task's values; 0 of a value without numbers.
        values: the task's values by name, (K,) float32 each.
        gradient_norm: Euclidean norm of all gradients.
    """

    means: dict[str, float]
    values: dict[str, Tensor]
    gradient_norm: float

    @classmethod
    def read(cls, terms: StepTerms, gradient_norm: Tensor) -> "StepNumbers":
        """Everything in one transfer: waiting for the device is what a step can least afford."""
        flat = {name: value.detach().float().flatten() for name, value in terms.values.items()}
        means = [value.sum() / max(1, len(value)) for value in (terms.loss.detach().float().flatten(), *flat.values())]
        names = ("loss", *flat)
        sizes = [len(names) + 1, *map(len, flat.values())]
        scalars = torch.stack([*means, gradient_norm.float()])
        read, *values = torch.cat([scalars, *flat.values()]).cpu().split(sizes)
        *read_means, norm = read.tolist()
        return cls(dict(zip(names, read_means, strict=True)), dict(zip(flat, values, strict=True)), norm)
