"""A start for learned encoders: a metric, learned in closed form, in which one place looks alike on both drives."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

SHRINKAGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


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


@dataclass(frozen=True)
class Moments:
    """Sums over pairs of frames of the same places, which may be added.

    Attributes:
        count: pairs.
        within: (D, D) float64, sum of (q - r)(q - r)^T.
        total: (D,) float64, sum of (q + r) / 2.
    """

    count: int
    within: Tensor
    total: Tensor

    @classmethod
    def of(cls, queries: Tensor, references: Tensor, chunk: int = 4096) -> "Moments":
        """Of (P, D) pairs, ``chunk`` rows in float64 at a time."""
        dims = queries.shape[1]
        within = queries.new_zeros(dims, dims, dtype=torch.float64)
        total = within.new_zeros(dims)
        for query, reference in zip(queries.split(chunk), references.split(chunk), strict=True):
            difference = (query - reference).double()
            within += difference.T @ difference
            total += (query + reference).double().sum(0) / 2
        return cls(len(queries), within, total)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.count + other.count, self.within + other.within, self.total + other.total)

    def change(self, shrinkage: float) -> Tensor:
        """(D, D): mean change within a place, its diagonal raised by ``shrinkage`` of its mean eigenvalue.

        Raises:
            ValueError: nothing changes within a place.
        """
        change = self.within / self.count
        power = change.diagonal().mean()
        if not power > 0:
            raise ValueError("queries and references are the same: nothing changes within a place")
        change.diagonal().add_(shrinkage * power)
        return change


@torch.no_grad()
def choose_shrinkage(queries: Tensor, references: Tensor, *, folds: int = 3, probes: int = 1000) -> float:
    """The :data:`SHRINKAGES` that finds places best on stretches of the route it was not computed from.

    The pairs are cut into ``folds`` stretches. Each is whitened with what the others say, and its queries are looked
    for among its references (at most ``probes`` of each, the first ones); the mean reciprocal rank of the right one,
    averaged over the stretches, decides. Few dimensions and many places want little, the opposite much.

    Args:
        queries, references: (P, D); rows i show the same place; rows in the order of the route.
    """
    count = len(queries)
    if count < 2 * folds:
        return SHRINKAGES[-1]
    stretches = [slice(count * fold // folds, count * (fold + 1) // folds) for fold in range(folds)]
    moments = [Moments.of(queries[stretch], references[stretch]) for stretch in stretches]
    scores = torch.zeros(len(SHRINKAGES), dtype=torch.float64)
    for fold, stretch in enumerate(stretches):
        nothing = Moments.of(queries[:0], references[:0])
        others = sum((part for i, part in enumerate(moments) if i != fold), start=nothing)
        mean = others.total / others.count
        seen = [(side[stretch][:probes].double() - mean).T for side in (queries, references)]  # (D, K) each
        for i, shrinkage in enumerate(SHRINKAGES):
            root = torch.linalg.cholesky(others.change(shrinkage))
            query, reference = (normalize(torch.linalg.solve_triangular(root, x, upper=False), dim=0) for x in seen)
            similarity = query.T @ reference  # (K, K)
            ranks = (similarity >= similarity.diagonal()[:, None]).sum(1)
            scores[i] += (1 / ranks).mean().cpu()
    return SHRINKAGES[int(scores.argmax())]


@torch.no_grad()
def place_whitening(queries: Tensor, references: Tensor, shrinkage: float | None = None) -> Whitening:
    """Whiten the differences within a place, then order the axes by the variance between places.

    The discriminative projection of Mikolajczyk and Matas (ICCV 2007), as used for retrieval by Radenovic et al.
    (TPAMI 2019): with C_w the mean of (q_i - r_i)(q_i - r_i)^T, the inverse Cholesky factor of C_w followed by the
    eigenvectors of the then whitened covariance of (q_i + r_i) / 2. Scaled so that centred frames have about unit
    mean square length.

    Args:
        queries, references: (P, D); rows i show the same place under two conditions; rows in the order of the route.
        shrinkage: added to C_w as this share of its mean eigenvalue, which bounds the gain along any axis; by
            default what :func:`choose_shrinkage` says.

    Raises:
        ValueError: no pairs, or both sides are the same data.
    """
    if not len(queries) or queries.shape != references.shape:
        raise ValueError(f"wanted as many queries as references, found {len(queries)} and {len(references)}")
    moments = Moments.of(queries, references)
    moments.change(0.0)  # fails where nothing changes
    change = moments.change(choose_shrinkage(queries, references) if shrinkage is None else shrinkage)
    mean = moments.total / moments.count
    between = torch.zeros_like(change)
    for query, reference in zip(queries.split(4096), references.split(4096), strict=True):
        centre = (query + reference).double() / 2 - mean
        between += centre.T @ centre / len(queries)
    identity = torch.eye(len(change), dtype=change.dtype, device=change.device)
    whiten = torch.linalg.solve_triangular(torch.linalg.cholesky(change), identity, upper=False)
    axes = torch.linalg.eigh(whiten @ between @ whiten.T).eigenvectors.flip(1)
    matrix = axes.T @ whiten
    spread = ((matrix @ (between + change / 4)) * matrix).sum()  # the trace of what centred frames become
    return Whitening(mean, matrix / spread.sqrt())
