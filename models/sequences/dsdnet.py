"""OptiCorNet (arXiv 2507.14477): convolution, differentiable sequence delta, LSTM, fused with the mean of the steps."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from opticornet.models.sequences.base import SequenceEncoder, check_traverse, moving_mean
from opticornet.models.sequences.seqnet import convolve
from opticornet.models.sequences.whitening import WhitenedConvolutionOptions, whiten_convolution
from opticornet.utils.options import option, option_fields


class DSDNet(SequenceEncoder):
    """Conv1d over the frames -> differences of the encoded steps -> LSTM with a residual -> fusion -> L2.

    With y_1 .. y_T the T = L - w + 1 encoded steps of the convolution:

    - sequence-level embedding: the mean of y;
    - temporal differencing: d_t = y_{t+s} - y_t over the lag s = T // 2, T - s of them. Each sums to zero over the
      steps for odd T too, and for even T their mean is the second half of the steps minus the first;
    - refinement: r_t = d_t + P h_t, h the hidden states of an LSTM over the sequence d, P a projection back to the
      size of d. P starts at zero, so training starts from the plain differences. The LSTM is narrower than the
      convolution, so that it has fewer weights at every D, out_dims and w;
    - DSD output: the mean of r;
    - fusion: the two side by side ("concat", 2 x out_dims) or added ("sum", out_dims).

    A window of exactly w frames (T = 1) has no differences: its encoding is the sequence-level embedding alone. With
    w = 1 that is a linear frame encoder.

    Args:
        in_dims: D.
        out_dims: channels of the convolution.
        w: kernel of the convolution, frames.
        delta: without it the encoding is the sequence-level embedding.
        lstm: without it the DSD output is the mean of the differences.
        residual: without it the DSD output is the mean of P h alone.
        fusion: "concat" or "sum".
    """

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
        self.w, self.delta, self.residual, self.fusion = w, delta, residual, fusion
        self.conv = nn.Conv1d(in_dims, out_dims, w)
        self.lstm = self.proj = None
        if delta and lstm:
            hidden = max(1, min(out_dims, in_dims * w) // 8)
            self.lstm = nn.LSTMCell(out_dims, hidden)
            self.proj = nn.Linear(hidden, out_dims, bias=False)
            if residual:
                nn.init.zeros_(self.proj.weight)

    def encoding_dims(self, length: int) -> int:
        """O for windows of ``length`` frames."""
        return self.out_dims * (2 if self.delta and length > self.w and self.fusion == "concat" else 1)

    def initialise(self, queries: Tensor, references: Tensor) -> None:
        """Start the convolution from :func:`opticornet.models.sequences.whitening.whiten_convolution`.

        The embedding then holds changes as well, and the DSD output changes of changes, which an average over the
        window would lose.
        """
        whiten_convolution(self.conv, queries, references)

    def forward(self, windows: Tensor) -> Tensor:
        self.check(windows)
        steps = self.conv(windows.transpose(1, 2)).transpose(1, 2)  # (B, T, C)
        embedding = steps.mean(1)
        lag = steps.shape[1] // 2
        if not self.delta or lag == 0:
            return normalize(embedding, dim=1)
        differences = steps[:, lag:] - steps[:, :-lag]  # (B, T - lag, C)
        refined = None if self.lstm is None else self.refine(self.gates(differences))
        return self.fuse(embedding, differences.mean(1), refined)

    def encode_traverse(self, frames: Tensor, starts: Tensor, length: int) -> Tensor:
        """As the base class says; convolution, differences and LSTM inputs are computed once for all windows."""
        check_traverse(self, frames, length)
        steps = convolve(frames, self.conv)  # (N - w + 1, C)
        n_steps = length - self.w + 1
        lag = n_steps // 2
        embedding = moving_mean(steps, n_steps)[starts]
        if not self.delta or lag == 0:
            return normalize(embedding, dim=1)
        differences = steps[lag:] - steps[:-lag]  # (N - w + 1 - lag, C)
        refined = None
        if self.lstm is not None:
            order = starts[:, None] + torch.arange(n_steps - lag, device=starts.device)
            refined = self.refine(self.gates(differences)[order])
        return self.fuse(embedding, moving_mean(differences, n_steps - lag)[starts], refined)

    def gates(self, differences: Tensor) -> Tensor:
        """What the differences (..., C) add to the LSTM's four gates, (..., 4 H)."""
        assert self.lstm is not None
        return linear(differences, self.lstm.weight_ih, self.lstm.bias_ih + self.lstm.bias_hh)

    def refine(self, gates: Tensor) -> Tensor:
        """Run the LSTM over the gate inputs (B, S, 4 H); the projected mean of its hidden states, (B, C)."""
        assert self.lstm is not None
        assert self.proj is not None
        hidden = cell = total = gates.new_zeros(len(gates), self.lstm.hidden_size)
        for step in gates.unbind(1):
            update, forget, candidate, output = (step + linear(hidden, self.lstm.weight_hh)).chunk(4, dim=1)
            cell = forget.sigmoid() * cell + update.sigmoid() * candidate.tanh()
            hidden = output.sigmoid() * cell.tanh()
            total = total + hidden
        return self.proj(total / gates.shape[1])

    def fuse(self, embedding: Tensor, difference: Tensor, refined: Tensor | None) -> Tensor:
        """The encoding from embedding, mean difference and the LSTM's share, each (B, C)."""
        if refined is None:
            dsd = difference
        else:
            dsd = difference + refined if self.residual else refined
        fused = embedding + dsd if self.fusion == "sum" else torch.cat([embedding, dsd], dim=1)
        return normalize(fused, dim=1)


@dataclass(frozen=True, kw_only=True)
class DSDNetOptions(WhitenedConvolutionOptions):
    """``dsdnet``."""

    no_delta: bool = option("--noDelta", False, "without temporal differencing (nor the LSTM on it)")
    no_lstm: bool = option("--noLstm", False, "without the LSTM")
    no_residual: bool = option("--noResidual", False, "without the residual around the LSTM")
    dsd_fusion: Literal["concat", "sum"] = option(
        "--dsdFusion", "concat", "how mean and delta are joined", choices=("sum", "concat")
    )

    def unused(self) -> dict[str, str]:
        reasons: dict[str, str] = {}
        if self.no_delta:
            reasons |= dict.fromkeys(("no_lstm", "no_residual"), "`no_delta` leaves the LSTM out already")
            reasons["dsd_fusion"] = "with `no_delta` there is no difference to join"
        elif self.no_lstm:
            reasons["no_residual"] = "`no_lstm` leaves the LSTM out, and the residual is around it"
        # what is as by default says nothing and contradicts nothing, as in a file of all options
        defaults = {name: f.default for name, f in option_fields(type(self)).items()}
        return {name: reason for name, reason in reasons.items() if getattr(self, name) != defaults[name]}

    def build(self, in_dims: int, length: int) -> DSDNet:
        return DSDNet(
            in_dims,
            self.channels(in_dims),
            self.w,
            delta=not self.no_delta,
            lstm=not self.no_lstm,
            residual=not self.no_residual,
            fusion=self.dsd_fusion,
        )
