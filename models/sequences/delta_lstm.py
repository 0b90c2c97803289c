"""The temporal difference module OptiCorNet released (arXiv 2507.14477): one difference vector through an LSTM."""

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from opticornet.models.sequences.averages import delta_weights
from opticornet.models.sequences.base import EncoderSpec, SequenceEncoder


class DeltaLSTM(SequenceEncoder):
    """delta = sum_t w_t x_t with fixed w, then h + delta (or h + Linear(delta) where the size changes), then L2.

    h is the output of an LSTM that sees delta as a sequence of one step. Unlike every other encoder this one is made
    for a single L, because its ``weight`` is stored per frame. State dict as released: ``weight`` (L,), ``lstm.*``,
    ``proj.*``.
    """

    def __init__(self, in_dims: int, out_dims: int, length: int, *, layers: int = 1, residual: bool = True) -> None:
        super().__init__(in_dims, out_dims, min_length=length)
        self.length, self.residual = length, residual
        self.register_buffer("weight", delta_weights(length))
        self.lstm = nn.LSTM(in_dims, out_dims, layers, batch_first=True)
        self.proj = nn.Linear(in_dims, out_dims) if residual and in_dims != out_dims else None

    @classmethod
    def of(cls, spec: EncoderSpec) -> Self:
        return cls(spec.in_dims, spec.out_dims or spec.in_dims, spec.length)

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
