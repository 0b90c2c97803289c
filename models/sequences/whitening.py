"""A start for learned encoders: a metric, learned in closed form, in which one place looks alike on both drives."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Self

import torch
from torch import Tensor, nn

from opticornet.models.sequences.base import SequenceEncoderOptions
from opticornet.utils.options import option

MAX_CHANNELS = 1024  # more found no more places of a validation split (3136-D HOG), and cost in proportion
SHRINKAGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


@torch.no_grad()
def whiten_convolution(conv: nn.Conv1d, queries: Tensor, references: Tensor) -> None:
    """Set a temporal convolution to axes of :func:`place_whitening`, seen through :func:`temporal_profiles`.

    Half of the channels average the w frames under the kernel; a quarter take their slope and a quarter their
    curvature, where w allows. The bias centres on the training frames.

    Args:
        conv: weight (O, D, w), with a bias.
        queries, references: (P, D) training frames; rows i show the same place.

    Raises:
        ValueError: no pairs, or both sides are the same data.
    """
    assert conv.bias is not None
    profiles = temporal_profiles(conv.weight.shape[2]).to(conv.weight)  # (K, w)
    whitening = place_whitening(queries, references)
    channels = conv.weight.split(profile_shares(len(conv.weight), len(profiles)))
    for weight, profile in zip(channels, profiles, strict=True):  # (C_k, D, w), (w,)
        weight.copy_(whitening.rows(len(weight)).to(weight)[:, :, None] * profile)
    conv.bias.copy_(-conv.weight.sum(2) @ whitening.mean.to(conv.weight))


@dataclass(frozen=True, kw_only=True)
class WhitenedConvolutionOptions(SequenceEncoderOptions):
    """What methods share whose convolution can start from :func:`whiten_convolution`."""

    out_dims: int = option(
        "--outDims", 0, "channels of the convolution; 0: three per frame dimension (one where w is 1), at most 1024"
    )
    w: int = option("--w", 3, "frames under the convolution's kernel", minimum=1)
    init: str = option("--init", "whitening", "weights that training starts from", choices=("whitening", "random"))

    @property
    def starts_from_places(self) -> bool:
        return self.init == "whitening"

    def weight_count(self, in_dims: int) -> int:
        return self.channels(in_dims) * self.w * in_dims

    def channels(self, in_dims: int) -> int:
        """Channels of the convolution; where nobody chose, room for each temporal profile, at most 1024."""
        return self.out_dims or min(in_dims * min(self.w, 3), MAX_CHANNELS)


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
class Scatter:
    """The sum of x x^T over rows x. Of fewer rows than dimensions the rows themselves are held, which is less.

    Attributes:
        count: rows.
        held: (P, D) float64, the rows, or (D, D), their sum of outer products.
        summed: whether it is the sum.
    """

    count: int
    held: Tensor
    summed: bool

    @classmethod
    def of(cls, count: int, dims: int, chunks: Iterable[Tensor]) -> "Scatter":
        """Of ``count`` rows that come in chunks (n, D) float64."""
        if count < dims:
            return cls(count, torch.cat(list(chunks)), summed=False)
        return cls(count, reduce(add, (chunk.T @ chunk for chunk in chunks)), summed=True)

    def __add__(self, other: "Scatter") -> "Scatter":
        count, dims = self.count + other.count, self.held.shape[1]
        if self.summed or other.summed:
            return Scatter(count, self.sum() + other.sum(), summed=True)
        return Scatter.of(count, dims, (self.held, other.held))

    def sum(self) -> Tensor:
        """(D, D)."""
        return self.held if self.summed else self.held.T @ self.held

    def through(self, root: Tensor) -> "Scatter":
        """Of the rows after a symmetric map (D, D)."""
        return replace(self, held=root @ self.held @ root if self.summed else self.held @ root)

    def eigen(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues (K,) of the mean of x x^T, greatest first, and vectors (D, K): those that are above zero."""
        gram = self.held if self.summed else self.held @ self.held.T  # the two have the same eigenvalues
        values, vectors = torch.linalg.eigh(gram)
        positive = values > len(values) * torch.finfo(values.dtype).eps * values[-1]
        values, vectors = values[positive].flip(0), vectors[:, positive].flip(1)
        if not self.summed:
            vectors = self.held.T @ vectors / values.sqrt()
        return values / self.count, vectors


@dataclass(frozen=True)
class Change:
    """The mean change within a place, C = mean of (q - r)(q - r)^T, by its eigenvalues (K,) and vectors (D, K)."""

    values: Tensor
    vectors: Tensor

    @classmethod
    def of(cls, scatter: Scatter) -> Self:
        """The change of which ``scatter`` is the sum.

        Raises:
            ValueError: nothing changes.
        """
        values, vectors = scatter.eigen()
        if not len(values):
            raise ValueError("queries and references are the same: nothing changes within a place")
        return cls(values, vectors)

    def floor(self, shrinkage: float) -> Tensor:
        """What ``shrinkage``, a share of the mean eigenvalue, adds to every eigenvalue."""
        return shrinkage * self.values.sum() / len(self.vectors)

    def root(self, shrinkage: float) -> Tensor:
        """(D, D): the symmetric R that makes the raised change round, R (C + floor) R = I."""
        floor, values, vectors = self.floor(shrinkage), self.values, self.vectors
        seen = (vectors * (values + floor).rsqrt()) @ vectors.T
        if len(values) == len(vectors):
            return seen
        unseen = torch.eye(len(vectors), dtype=seen.dtype, device=seen.device) - vectors @ vectors.T
        return seen + unseen * floor.rsqrt()


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
    sides = [(queries[stretch], references[stretch]) for stretch in stretches]
    scatters = [difference_scatter(*side) for side in sides]
    means = torch.stack([pair_mean(*side) for side in sides])  # (folds, D)
    scores = torch.zeros(len(SHRINKAGES), dtype=torch.float64)
    for fold, side in enumerate(sides):
        others = [other for other in range(folds) if other != fold]
        change = Change.of(reduce(add, [scatters[other] for other in others]))
        counts = means.new_tensor([len(sides[other][0]) for other in others])
        mean = counts @ means[others] / counts.sum()
        query, reference = (rows[:probes].double() - mean for rows in side)  # (K, D)
        query_seen, reference_seen = query @ change.vectors, reference @ change.vectors
        plain, lengths = query @ reference.T, reference.square().sum(1)
        for i, shrinkage in enumerate(SHRINKAGES):
            # q^T (C + floor)^-1 r, times floor: the identity but for what is seen of the vectors' directions
            seen = change.values / (change.values + change.floor(shrinkage))
            similarity = plain - (query_seen * seen) @ reference_seen.T  # (K, K)
            similarity /= (lengths - reference_seen.square() @ seen).sqrt()  # the query's own length changes no rank
            ranks = (similarity >= similarity.diagonal()[:, None]).sum(1)
            scores[i] += (1 / ranks).mean().cpu()
    return SHRINKAGES[int(scores.argmax())]


def difference_scatter(queries: Tensor, references: Tensor) -> Scatter:
    """The scatter of q - r over the pairs of :func:`pair_chunks`."""
    changes = ((query - reference).double() for query, reference in pair_chunks(queries, references))
    return Scatter.of(len(queries), queries.shape[1], changes)


def pair_chunks(queries: Tensor, references: Tensor, rows: int = 4096) -> Iterable[tuple[Tensor, Tensor]]:
    """Pairs of (n, D), as many as are turned into float64 at a time."""
    return zip(queries.split(rows), references.split(rows), strict=True)


def pair_mean(queries: Tensor, references: Tensor) -> Tensor:
    """(D,) float64: the mean of both sides."""
    return (queries.mean(0, dtype=torch.float64) + references.mean(0, dtype=torch.float64)) / 2


@torch.no_grad()
def place_whitening(queries: Tensor, references: Tensor, shrinkage: float | None = None) -> Whitening:
    """Whiten the differences within a place, then order the axes by the variance between places.

    The discriminative projection of Mikolajczyk and Matas (ICCV 2007), as used for retrieval by Radenovic et al.
    (TPAMI 2019): with C_w the mean of (q_i - r_i)(q_i - r_i)^T, its inverse root followed by the eigenvectors of the
    then whitened covariance of (q_i + r_i) / 2. Scaled so that centred frames have about unit mean square length.
    With fewer places than dimensions the last axes are those in which training places do not differ, in any order.

    Args:
        queries, references: (P, D); rows i show the same place under two conditions; rows in the order of the route.
        shrinkage: added to C_w as this share of its mean eigenvalue, which bounds the gain along any axis; by
            default what :func:`choose_shrinkage` says. Above 0 where P < D.

    Raises:
        ValueError: no pairs, or both sides are the same data.
    """
    if not len(queries) or queries.shape != references.shape:
        raise ValueError(f"wanted as many queries as references, found {len(queries)} and {len(references)}")
    change = Change.of(difference_scatter(queries, references))
    root = change.root(choose_shrinkage(queries, references) if shrinkage is None else shrinkage)
    mean = pair_mean(queries, references)
    centred = ((query + reference).double() / 2 - mean for query, reference in pair_chunks(queries, references))
    centres = Scatter.of(len(queries), queries.shape[1], centred)
    values, axes = centres.through(root).eigen()
    if len(values) < len(root):
        axes = torch.cat([axes, torch.linalg.qr(axes, mode="complete").Q[:, len(values) :]], dim=1)
    spread = values.sum() + len(root) / 4  # mean square length of (q + r) / 2 and (q - r) / 2, whitened
    return Whitening(mean, axes.T @ root / spread.sqrt())
