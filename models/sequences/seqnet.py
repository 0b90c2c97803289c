"""SeqNet (Garg and Milford, RA-L 2021, arXiv 2102.11603): a convolution over the frames, its mean over time, L2."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from opticornet.models.sequences.base import SequenceEncoder, check_traverse, moving_mean
from opticornet.models.sequences.place_pairs import PlacePairs
from opticornet.models.sequences.whitening import (
    MAX_CHANNELS,
    MAX_FRAME_CHANNELS,
    WhitenedStartOptions,
    whiten_convolution,
)
from opticornet.utils.options import option


class SeqNet(SequenceEncoder):
    """Conv1d over the frames (kernel w, no padding), mean over its L - w + 1 outputs, L2.

    Both steps are linear in the frames, so the mean over time is taken first: one product with w moving means instead
    of L - w + 1 products with w frames each. State dict as seqNet's: ``pool.0.conv.weight`` (O, D, w) and
    ``pool.0.conv.bias`` (O,).
    """

    def __init__(self, in_dims: int, out_dims: int, w: int) -> None:
        super().__init__(in_dims, out_dims, min_length=w)
        self.pool = nn.Sequential(nn.ModuleDict({"conv": nn.Conv1d(in_dims, out_dims, w)}))

    @property
    def conv(self) -> nn.Conv1d:
        conv = self.pool.get_submodule("0.conv")
        assert isinstance(conv, nn.Conv1d)
        return conv

    def initialise(self, pairs: PlacePairs) -> None:
        """Start the convolution from :func:`.whitening.whiten_convolution`."""
        whiten_convolution(self.conv, pairs)

    def forward(self, windows: Tensor) -> Tensor:
        self.check(windows)
        weight = self.conv.weight  # (O, D, w)
        steps = windows.shape[1] - weight.shape[2] + 1
        means = moving_mean(windows, steps)  # (B, w, D)
        return normalize(linear(means.transpose(1, 2).flatten(1), weight.flatten(1), self.conv.bias), dim=1)

    def encode_traverse(self, frames: Tensor, starts: Tensor, length: int) -> Tensor:
        check_traverse(self, frames, length)
        w = self.conv.weight.shape[2]
        means = moving_mean(frames, length - w + 1)  # (N - L + w, D)
        encoded = convolve(means, self.conv)  # (N - L + 1, O)
        return normalize(encoded[starts], dim=1)


def convolve(frames: Tensor, conv: nn.Conv1d) -> Tensor:
    """Conv1d of frames (N, D) with weight (O, D, w) as one matrix product, (N - w + 1, O): each frame meets each of
    the w taps once, and the weights are read where they are."""
    weight = conv.weight
    return linear(frames.unfold(0, weight.shape[2], 1).flatten(1), weight.flatten(1), conv.bias)


@dataclass(frozen=True, kw_only=True)
class SeqNetOptions(WhitenedStartOptions):
    """``seqnet``."""

    out_dims: int = option(
        "--outDims", 0, "numbers of the encoding; 0: as many as the kernel's frames have, at most 1024"
    )
    w: int = option("--w", 0, "frames under the convolution's kernel; 0: the whole window")

    def weight_count(self, in_dims: int, length: int) -> int:
        w = self.w or length
        return self.channels(in_dims, w) * w * in_dims

    def channels(self, in_dims: int, w: int) -> int:
        """Channels of a convolution over w frames."""
        return self.out_dims or min(in_dims * w, MAX_FRAME_CHANNELS if w == 1 else MAX_CHANNELS)

    def decided(self, in_dims: int, length: int) -> Self:
        w = self.w or length
        return replace(self, w=w, out_dims=self.channels(in_dims, w))

    def frame_dims(self, state: Mapping[str, Tensor]) -> int:
        weight = state.get("pool.0.conv.weight", state.get("module.pool.0.conv.weight"))
        return super().frame_dims(state) if weight is None else weight.shape[1]  # (O, D, w)

    def build(self, in_dims: int, length: int) -> SeqNet:
        w = self.w or length
        return SeqNet(in_dims, self.channels(in_dims, w), w)
