"""OptiCorNet (arXiv 2507.14477): convolution, differentiable sequence delta, LSTM, fused with the mean of the steps."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from models.base import SequenceEncoder, check_traverse, moving_mean
from models.seqnet import apply_taps

SHRINKAGE = 0.01


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

    @torch.no_grad()
    def initialise(self, queries: Tensor, references: Tensor) -> None:
        """Start from a metric in which one place looks alike on both drives, seen through three temporal profiles.

        Every channel is an axis of :func:`place_whitening`, centred on the training frames. Half of the channels
        average the w frames under the kernel; a quarter take their slope and a quarter their curvature, where w
        allows. So the embedding holds changes as well, and the DSD output changes of changes, which an average over
        the window would lose.

        Args:
            queries, references: (P, D) training frames; rows i show the same place.
        """
        profiles = temporal_profiles(self.w).to(self.conv.weight)  # (K, w)
        whitening = place_whitening(queries, references)
        channels = self.conv.weight.split(profile_shares(self.out_dims, len(profiles)))
        for weight, profile in zip(channels, profiles, strict=True):  # (C_k, D, w), (w,)
            weight.copy_(whitening.rows(len(weight)).to(weight)[:, :, None] * profile)
        self.conv.bias.copy_(-self.conv.weight.sum(2) @ whitening.mean.to(self.conv.weight))

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
        steps = apply_taps(frames, self.conv.weight, self.conv.bias)  # (N - w + 1, C)
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
        return linear(differences, self.lstm.weight_ih, self.lstm.bias_ih + self.lstm.bias_hh)

    def refine(self, gates: Tensor) -> Tensor:
        """Run the LSTM over the gate inputs (B, S, 4 H); the projected mean of its hidden states, (B, C)."""
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


def temporal_profiles(w: int) -> Tensor:
    """The first min(w, 3) cosines over w frames (DCT-II), each with absolute sum one: (K, w) float32.

    They are the mean, the slope and the curvature; all but the mean sum to zero.
    """
    order, frame = torch.arange(min(w, 3))[:, None], torch.arange(w)
    cosines = torch.cos(torch.pi * order * (frame + 0.5) / w)
    return cosines / cosines.abs().sum(1, keepdim=True)


def profile_shares(channels: int, profiles: int) -> list[int]:
    """How many channels each profile gets: half for the first, the rest in equal parts."""
    if profiles == 1:
        return [channels]
    rest = channels // 2 // (profiles - 1)
    return [channels - rest * (profiles - 1)] + [rest] * (profiles - 1)


@dataclass(frozen=True)
class Whitening:
    """A centring and a linear map.

    Attributes:
        mean: (D,) float64.
        matrix: (D, D) float64, rows ordered by how much places differ along them, most first.
    """

    mean: Tensor
    matrix: Tensor

    def rows(self, count: int) -> Tensor:
        """(count, D): the first rows; above D all of them, spread by orthonormal columns, which keeps distances."""
        dims = len(self.matrix)
        if count <= dims:
            return self.matrix[:count]
        generator = torch.Generator().manual_seed(0)
        square = torch.randn(count, dims, dtype=torch.float64, generator=generator)
        return torch.linalg.qr(square.to(self.matrix.device)).Q @ self.matrix


@torch.no_grad()
def place_whitening(queries: Tensor, references: Tensor, shrinkage: float = SHRINKAGE, chunk: int = 4096) -> Whitening:
    """Whiten the differences within a place, then order the axes by the variance between places.

    The discriminative projection of Mikolajczyk and Matas (ICCV 2007), as used for retrieval by Radenovic et al.
    (TPAMI 2019): with C_w the mean of (q_i - r_i)(q_i - r_i)^T, the inverse Cholesky factor of C_w followed by the
    eigenvectors of the then whitened covariance of (q_i + r_i) / 2. Scaled so that centred frames have about unit
    mean square length.

    Args:
        queries, references: (P, D); rows i show the same place under two conditions.
        shrinkage: added to C_w as this share of its mean eigenvalue, which bounds the gain along any axis.
        chunk: rows turned into float64 at a time.

    Raises:
        ValueError: no pairs, or both sides are the same data.
    """
    if not len(queries) or queries.shape != references.shape:
        raise ValueError(f"wanted as many queries as references, found {len(queries)} and {len(references)}")
    dims = queries.shape[1]
    within = queries.new_zeros(dims, dims, dtype=torch.float64)
    between, total = within.clone(), within.new_zeros(dims)
    for query, reference in zip(queries.split(chunk), references.split(chunk), strict=True):
        difference, centre = (query - reference).double(), (query + reference).double() / 2
        within += difference.T @ difference
        between += centre.T @ centre
        total += centre.sum(0)
    mean = total / len(queries)
    within, between = within / len(queries), between / len(queries) - torch.outer(mean, mean)
    power = within.diagonal().mean()
    if not power > 0:
        raise ValueError("queries and references are the same: nothing changes within a place")
    within.diagonal().add_(shrinkage * power)
    whiten = torch.linalg.inv(torch.linalg.cholesky(within))
    axes = torch.linalg.eigh(whiten @ between @ whiten.T).eigenvectors.flip(1)
    matrix = axes.T @ whiten
    spread = (matrix @ (between + within / 4) @ matrix.T).diagonal().sum()
    return Whitening(mean, matrix / spread.sqrt())
