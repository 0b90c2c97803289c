"""The contract of every sequence encoder."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class SequenceEncoderOptions(ABC):
    """What a sequence encoder may be told: the entry of a method in ``SEQUENCE_ENCODERS``.

    A subclass is a frozen dataclass, whose fields are declared by :func:`opticornet.utils.options.option`.
    """

    learned: ClassVar[bool] = True  # whether it has weights to learn

    @abstractmethod
    def build(self, in_dims: int, length: int) -> "SequenceEncoder":
        """A freshly initialised encoder.

        Args:
            in_dims: D, of a frame descriptor.
            length: L, frames per window, for methods whose weights depend on it.
        """

    def weights(self, in_dims: int) -> int:
        """About how many numbers :meth:`build` has to hold, where that may be too many; else 0."""
        return 0

    @property
    def starts_from_places(self) -> bool:
        """Whether training begins with :meth:`SequenceEncoder.initialise`."""
        return False


class SequenceEncoder(nn.Module, ABC):
    """Turns a window of frame descriptors into one vector.

    A subclass implements :meth:`forward`. Where consecutive windows share work it also overrides
    :meth:`encode_traverse`, which must agree with :meth:`forward` up to rounding.

    Attributes:
        in_dims: D, dimensions of a frame descriptor.
        out_dims: O, dimensions of the encoding. Where it depends on the window, see :meth:`encoding_dims`.
        min_length: the shortest window the encoder takes.
    """

    def __init__(self, in_dims: int, out_dims: int, min_length: int = 1) -> None:
        super().__init__()
        if min(in_dims, out_dims, min_length) < 1:
            raise ValueError(f"dimensions and lengths must be positive: {in_dims}, {out_dims}, {min_length}")
        self.in_dims, self.out_dims, self.min_length = in_dims, out_dims, min_length

    @abstractmethod
    def forward(self, windows: Tensor) -> Tensor:
        """Encode windows (B, L, D) as unit rows (B, O).

        Raises:
            ValueError: the windows have another shape, or fewer than ``min_length`` frames.
        """

    def encode_traverse(self, frames: Tensor, starts: Tensor, length: int) -> Tensor:
        """Encode the windows ``[start, start + length)`` of consecutive frames.

        Args:
            frames: (N, D).
            starts: (M,) int64, each in ``[0, N - length]``.
            length: frames a window, L.

        Returns:
            (M, O) unit rows, as :meth:`forward` gives for each window.
        """
        check_traverse(self, frames, length)
        return self(frames[starts[:, None] + torch.arange(length, device=starts.device)])

    def initialise(self, queries: Tensor, references: Tensor) -> None:
        """Prepare the weights, before training, from training frames (P, D) of which rows i show the same place."""

    def check(self, windows: Tensor) -> None:
        """Raise :class:`ValueError` unless windows are (B, L, D) with L at least ``min_length``."""
        if windows.ndim != 3 or windows.shape[1] < self.min_length or windows.shape[2] != self.in_dims:
            raise ValueError(
                f"windows of shape {tuple(windows.shape)}; wanted (B, L, {self.in_dims}) with L >= {self.min_length}"
            )


def check_traverse(encoder: SequenceEncoder, frames: Tensor, length: int) -> None:
    """Raise :class:`ValueError` unless frames are (N, D) and windows of ``length`` fit both them and the encoder."""
    if frames.ndim != 2 or frames.shape[1] != encoder.in_dims or not encoder.min_length <= length <= len(frames):
        raise ValueError(
            f"frames of shape {tuple(frames.shape)} in windows of {length}; wanted (N, {encoder.in_dims}) with "
            f"{encoder.min_length} <= L <= N"
        )


def moving_mean(rows: Tensor, length: int) -> Tensor:
    """Mean of every ``length`` consecutive rows, (..., N, D) -> (..., N - length + 1, D).

    Adds shifted copies rather than subtracting cumulative sums, whose rounding would grow with N.
    """
    count = rows.shape[-2] - length + 1
    total = rows.narrow(-2, 0, count).clone()
    for shift in range(1, length):
        total += rows.narrow(-2, shift, count)
    return total / length
