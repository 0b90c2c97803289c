"""OptiCorNet (arXiv 2507.14477): convolution, differentiable sequence delta, LSTM with a residual, fusion."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from opticornet.models.sequences.base import SequenceEncoder, check_traverse
from opticornet.models.sequences.place_pairs import PlacePairs
from opticornet.models.sequences.seqnet import convolve
from opticornet.models.sequences.temporal_noise import TemporalDifferencing
from opticornet.models.sequences.whitening import (
    MAX_CHANNELS,
    MAX_FRAME_CHANNELS,
    WhitenedStartOptions,
    whiten_convolution,
)
from opticornet.utils.options import option, option_fields


class DSDNet(SequenceEncoder):
    """Conv1d over the frames -> differences of the encoded steps -> LSTM with a residual -> fusion -> L2.

    With y_1 .. y_T the T = L - w + 1 encoded steps of the convolution:

    - temporal differencing: d_t = (y_t - what y_1 .. y_(t-1) let expect of the change in y_t) / its deviation, a
      :class:`.temporal_noise.TemporalDifferencing`; d_1 = y_1;
    - refinement: r_t = d_t + P h_t for t > 1, h the hidden states of an LSTM over d_2 .. d_T, P a projection back to
      the size of d. P starts at zero, so training starts from the plain differences. The LSTM is narrower than the
      convolution, so that it has fewer weights at every D, out_dims and w;
    - fusion: r_1 .. r_T side by side, in order ("concat", T x out_dims), or added ("sum", out_dims).

    A window of exactly w frames (T = 1) has no differences: its encoding is y_1. With w = 1 that is a linear frame
    encoder; training on such windows leaves the LSTM as it starts. No weight depends on L.

    Args:
        in_dims: D.
        out_dims: channels of the convolution.
        w: kernel of the convolution, frames.
        delta: without it r = y.
        lstm: without it r = d.
        residual: without it r_t = P h_t for t > 1.
        fusion: "concat" or "sum".
    """

    differencing: TemporalDifferencing | None
    lstm: nn.LSTMCell | None
    proj: nn.Linear | None

    def __init__(
        self,
        in_dims: int,
        out_dims: int,
        w: int,
        *,
        delta: bool = True,
        lstm: bool = True,
        residual: bool = True,
        fusion: Literal["concat", "sum"] = "concat",
    ) -> None:
        super().__init__(in_dims, out_dims, min_length=w)
        if fusion not in ("concat", "sum"):
            raise ValueError(f"fusion {fusion!r}; wanted 'concat' or 'sum'")
        self.w, self.residual, self.fusion = w, residual, fusion
        self.conv = nn.Conv1d(in_dims, out_dims, w)
        self.differencing = TemporalDifferencing() if delta else None
        self.lstm = self.proj = None
        if delta and lstm:
            hidden = max(1, min(out_dims, in_dims * w) // 8)
            self.lstm = nn.LSTMCell(out_dims, hidden)
            self.proj = nn.Linear(hidden, out_dims, bias=False)
            if residual:
                nn.init.zeros_(self.proj.weight)

    def encoding_dims(self, length: int) -> int:
        """O for windows of ``length`` frames."""
        return self.out_dims * (length - self.w + 1 if self.fusion == "concat" else 1)

    def initialise(self, pairs: PlacePairs) -> None:
        """Start the convolution from :func:`.whitening.whiten_convolution`, and the differencing from what lasts of
        the change within a place."""
        noise = whiten_convolution(self.conv, pairs)
        if self.differencing is not None:
            self.differencing.start(noise)

    def forward(self, windows: Tensor) -> Tensor:
        self.check(windows)
        steps = self.conv(windows.transpose(1, 2)).permute(2, 0, 1)  # (T, B, C)
        return self.fuse(steps, None if self.lstm is None else linear(steps, self.lstm.weight_ih))

    def encode_traverse(self, frames: Tensor, starts: Tensor, length: int) -> Tensor:
        """As the base class says; convolution and LSTM inputs are computed once for all windows."""
        check_traverse(self, frames, length)
        steps = convolve(frames, self.conv)  # (N - w + 1, C)
        order = torch.arange(length - self.w + 1, device=starts.device)[:, None] + starts  # (T, M)
        return self.fuse(steps[order], None if self.lstm is None else linear(steps, self.lstm.weight_ih)[order])

    def fuse(self, steps: Tensor, gates: Tensor | None) -> Tensor:
        """The encoding (B, O) of steps y (T, B, C), of which the LSTM's gates see ``gates`` (T, B, 4 H)."""
        if self.differencing is not None and len(steps) > 1:
            matrix = self.differencing.matrix(len(steps)).to(steps.dtype)  # (T, T)
            steps = (matrix @ steps.flatten(1)).view_as(steps)
            if gates is not None:
                steps = self.refine(steps, (matrix @ gates.flatten(1)).view_as(gates))
        fused = steps.transpose(0, 1).flatten(1) if self.fusion == "concat" else steps.sum(0)
        return normalize(fused, dim=1)

    def refine(self, differences: Tensor, gates: Tensor) -> Tensor:
        """The differences (T, B, C) and what the LSTM adds to all but the first, from what its gates see of them."""
        assert self.lstm is not None
        assert self.proj is not None
        hidden = cell = gates.new_zeros(gates.shape[1], self.lstm.hidden_size)
        states = [hidden]
        for step in (gates[1:] + (self.lstm.bias_ih + self.lstm.bias_hh)).unbind(0):
            update, forget, candidate, output = (step + linear(hidden, self.lstm.weight_hh)).chunk(4, dim=1)
            cell = forget.sigmoid() * cell + update.sigmoid() * candidate.tanh()
            hidden = output.sigmoid() * cell.tanh()
            states.append(hidden)
        kept = differences if self.residual else torch.cat([differences[:1], torch.zeros_like(differences[1:])])
        added = torch.addmm(kept.flatten(0, 1), torch.cat(states), self.proj.weight.T)
        return added.view_as(differences)


@dataclass(frozen=True, kw_only=True)
class DSDNetOptions(WhitenedStartOptions):
    """``dsdnet``."""

    out_dims: int = option(
        "--outDims",
        0,
        "numbers per step of a window, whose --seqL - --w + 1 steps the encoding holds; 0: one per frame dimension, at "
        "most 1024 (4096 where that is one step)",
    )
    w: int = option("--w", 1, "frames under the convolution's kernel", minimum=1)
    no_delta: bool = option("--noDelta", False, "without temporal differencing (nor the LSTM on it)")
    no_lstm: bool = option("--noLstm", False, "without the LSTM")
    no_residual: bool = option("--noResidual", False, "without the residual around the LSTM")
    dsd_fusion: Literal["concat", "sum"] = option(
        "--dsdFusion",
        "concat",
        "how the steps of a window are joined: added, or side by side",
        choices=("sum", "concat"),
    )

    @property
    def encodes_frame_by_frame(self) -> bool:
        return self.w == 1 and self.dsd_fusion == "concat"

    def unused(self) -> dict[str, str]:
        reasons: dict[str, str] = {}
        if self.no_delta:
            reasons |= dict.fromkeys(("no_lstm", "no_residual"), "`no_delta` leaves the LSTM out already")
        elif self.no_lstm:
            reasons["no_residual"] = "`no_lstm` leaves the LSTM out, and the residual is around it"
        # what is as by default says nothing and contradicts nothing, as in a file of all options
        defaults = {name: f.default for name, f in option_fields(type(self)).items()}
        return {name: reason for name, reason in reasons.items() if getattr(self, name) != defaults[name]}

    def weight_count(self, in_dims: int, length: int) -> int:
        return self.channels(in_dims, length) * self.w * in_dims

    def channels(self, in_dims: int, length: int) -> int:
        """Channels of the convolution for windows of ``length`` frames."""
        return self.out_dims or min(in_dims, MAX_FRAME_CHANNELS if length == self.w else MAX_CHANNELS)

    def decided(self, in_dims: int, length: int) -> Self:
        return replace(self, out_dims=self.channels(in_dims, length))

    def is_earlier(self, flags: Mapping[str, Any]) -> bool:
        """Without differences the encoding was the mean of the steps, before runs recorded how frames are adapted."""
        return self.no_delta and "adaptScale" not in flags

    def build(self, in_dims: int, length: int) -> DSDNet:
        return DSDNet(
            in_dims,
            self.channels(in_dims, length),
            self.w,
            delta=not self.no_delta,
            lstm=not self.no_lstm,
            residual=not self.no_residual,
            fusion=self.dsd_fusion,
        )
