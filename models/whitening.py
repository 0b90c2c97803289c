"""A start for learned encoders: a metric, learned in closed form, in which one place looks alike on both drives."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

SHRINKAGE = 0.01


@torch.no_grad()
def whiten_convolution(conv: nn.Conv1d, queries: Tensor, references: Tensor) -> None:
    """Set a temporal convolution to axes of :func:`place_whitening`, seen through :func:`temporal_profiles`.

    Half of the channels average the w frames under the kernel; a quarter take their slope and a quarter their
    curvature, where w allows. The bias centres on the training frames.

    Args:
        conv: weight (O, D, w).
        queries, references: (P, D) training frames; rows i show the same place.

    Raises:
        ValueError: no pairs, or both sides are the same data.
    """
    profiles = temporal_profiles(conv.weight.shape[2]).to(conv.weight)  # (K, w)
    whitening = place_whitening(queries, references)
    channels = conv.weight.split(profile_shares(len(conv.weight), len(profiles)))
    for weight, profile in zip(channels, profiles, strict=True):  # (C_k, D, w), (w,)
        weight.copy_(whitening.rows(len(weight)).to(weight)[:, :, None] * profile)
    conv.bias.copy_(-conv.weight.sum(2) @ whitening.mean.to(conv.weight))


def default_channels(in_dims: int, w: int) -> int:
    """Channels of a convolution that nobody chose: room for each temporal profile, at most 4096 (D where that is more).

    A kernel of one frame has one profile: D channels.
    """
    return in_dims if w == 1 else max(in_dims, min(3 * in_dims, 4096))


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
    identity = torch.eye(dims, dtype=within.dtype, device=within.device)
    whiten = torch.linalg.solve_triangular(torch.linalg.cholesky(within), identity, upper=False)
    axes = torch.linalg.eigh(whiten @ between @ whiten.T).eigenvectors.flip(1)
    matrix = axes.T @ whiten
    spread = ((matrix @ (between + within / 4)) * matrix).sum()  # the trace of what centred frames become
    return Whitening(mean, matrix / spread.sqrt())
