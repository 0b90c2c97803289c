"""The temporal difference module OptiCorNet released (arXiv 2507.14477): one difference vector through an LSTM."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from opticornet.models.sequences.averages import delta_weights
from opticornet.models.sequences.base import SequenceEncoder, SequenceEncoderOptions
from opticornet.utils.options import option


class DeltaLSTM(SequenceEncoder):
    """delta = sum_t w_t x_t with fixed w, then h + delta (or h + Linear(delta) where the size changes), then L2.

    h is the output of an LSTM that sees delta as a sequence of one step. Unlike every other encoder this one is made
    for a single L, because its ``weight`` is stored per frame. State dict as released: ``weight`` (L,), ``lstm.*``,
    ``proj.*``.
    """

    weight: Tensor

    def __init__(self, in_dims: int, out_dims: int, length: int, *, layers: int = 1, residual: bool = True) -> None:
        super().__init__(in_dims, out_dims, min_length=length)
        self.length, self.residual = length, residual
        self.register_buffer("weight", delta_weights(length))
        self.lstm = nn.LSTM(in_dims, out_dims, layers, batch_first=True)
        self.proj = nn.Linear(in_dims, out_dims) if residual and in_dims != out_dims else None

    def forward(self, windows: Tensor) -> Tensor:
        self.check(windows)
        if windows.shape[1] != self.length:
            raise ValueError(f"windows of {windows.shape[1]} frames; these weights are for {self.length}")
        return normalize(self.refine(torch.einsum("bld,l->bd", windows, self.weight)), dim=1)

    def refine(self, delta: Tensor) -> Tensor:
        """(B, D) differences to (B, O), before the L2 norm."""
        refined = self.lstm(delta[:, None])[0][:, -1]  # (B, O)
        if not self.residual:
            return refined
        return refined + (delta if self.proj is None else self.proj(delta))


@dataclass(frozen=True, kw_only=True)
class DeltaLSTMOptions(SequenceEncoderOptions):
    """``delta-lstm``."""

    out_dims: int = option("--outDims", 0, "dimensions of the encoding; 0: those of a frame")

    def build(self, in_dims: int, length: int) -> DeltaLSTM:
        return DeltaLSTM(in_dims, self.out_dims or in_dims, length)
