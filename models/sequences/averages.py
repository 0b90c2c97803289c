"""The encoders without weights: the frame itself, the mean of a window, and the difference of its halves."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from opticornet.models.sequences.base import SequenceEncoder, SequenceEncoderOptions, check_traverse


class WeightedSum(SequenceEncoder):
    """A fixed weight for each frame of the window, then L2."""

    def __init__(self, in_dims: int, min_length: int = 1) -> None:
        super().__init__(in_dims, in_dims, min_length)

    def weights(self, length: int) -> Tensor:
        """(L,) float32 weight of each frame."""
        raise NotImplementedError

    def forward(self, windows: Tensor) -> Tensor:
        self.check(windows)
        weights = self.weights(windows.shape[1]).to(windows)
        return normalize(torch.einsum("bld,l->bd", windows, weights), dim=1)

    def encode_traverse(self, frames: Tensor, starts: Tensor, length: int) -> Tensor:
        check_traverse(self, frames, length)
        weights = self.weights(length).tolist()
        encoded = torch.zeros(len(starts), self.in_dims, dtype=frames.dtype, device=frames.device)
        for offset, weight in enumerate(weights):  # frame by frame: no (M, L, D) copy of the windows
            if weight:
                encoded.add_(frames[starts + offset], alpha=weight)
        return normalize(encoded, dim=1)


class Smooth(WeightedSum):
    """The mean of the window."""

    def weights(self, length: int) -> Tensor:
        return torch.full((length,), 1 / length)


class Single(WeightedSum):
    """The frame the window is centred on, number L // 2; with L = 1 the frame itself."""

    def weights(self, length: int) -> Tensor:
        return torch.nn.functional.one_hot(torch.tensor(length // 2), length).float()


class Delta(WeightedSum):
    """Second half minus first half: weight -1 / (L / 2) on the first L // 2 frames, 1 / (L / 2) on the others.

    For odd L the weights do not sum to zero; that is how the baseline is defined (SeqNet, arXiv 2102.11603).
    """

    def __init__(self, in_dims: int) -> None:
        super().__init__(in_dims, min_length=2)

    def weights(self, length: int) -> Tensor:
        return delta_weights(length)


def delta_weights(length: int) -> Tensor:
    """(L,) float32, -2 / L for the first L // 2 frames and 2 / L for the others."""
    weights = torch.full((length,), 2 / length)
    weights[: length // 2] *= -1
    return weights


@dataclass(frozen=True, kw_only=True)
class WeightedSumOptions(SequenceEncoderOptions):
    """A weighted sum has nothing to choose."""

    has_weights: ClassVar[bool] = False
    multiplies: ClassVar[bool] = False
    encoder: ClassVar[type[WeightedSum]]

    def build(self, in_dims: int, length: int) -> WeightedSum:
        return self.encoder(in_dims)


class SingleOptions(WeightedSumOptions):
    """``single``."""

    sees_order: ClassVar[bool] = False
    encoder = Single


class SmoothOptions(WeightedSumOptions):
    """``smooth``."""

    encoder = Smooth


class DeltaOptions(WeightedSumOptions):
    """``delta``."""

    encoder = Delta
