"""A start for learned encoders: a metric, learned in closed form, in which one place looks alike on both drives."""

from dataclasses import dataclass
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn

from opticornet.models.sequences.base import SequenceEncoderOptions
from opticornet.models.sequences.place_pairs import PlacePairs
from opticornet.models.sequences.scatter import NO_CHANGE, Change, Scatter
from opticornet.models.sequences.temporal_noise import Persistence, autocorrelations
from opticornet.utils.options import option

MAX_CHANNELS = 1024  # where nobody says how many: on the route of training far fewer do, on others more find no more
MAX_FRAME_CHANNELS = 4096  # of windows of one step, whose encoding is no longer than a frame
SHRINKAGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
FEW_PAIRS_TOLERANCE = 0.02  # of the mean reciprocal rank, given for a metric nearer to the identity where P < D
MOTION = 0.1  # share of a frame's motion in what is whitened, where the next frame shows the same place still


@torch.no_grad()
def whiten_convolution(conv: nn.Conv1d, pairs: PlacePairs) -> Persistence:
    """Set a temporal convolution to the whitening of the frames it sees, in space and time; the bias centres them.

    In space the axes of :func:`place_whitening`, in time those of the change's correlation over the w frames under the
    kernel, each divided by the root of its eigenvalue. Of all D w products of an axis of either the channels are those
    along which places differ most.

    Args:
        conv: weight (O, D, w), with a bias.
        pairs: training frames of the same places.

    Returns:
        What lasts of the change from frame to frame.

    Raises:
        ValueError: no pairs, or both sides are the same data.
    """
    assert conv.bias is not None
    return _whiten(conv.weight, conv.bias, pairs)


def _whiten(weight: Tensor, bias: Tensor, pairs: PlacePairs) -> Persistence:
    """Set weight (O, D, w) and bias (O,) as :func:`whiten_convolution` says."""
    channels, _, w = weight.shape
    whitening = place_whitening(pairs)
    noise = Persistence.of(pairs, whitening.matrix)
    if w == 1:
        weight.copy_(whitening.rows(channels)[:, :, None])
    else:
        weight.copy_(space_time_axes(whitening, noise, pairs, channels, w))
    bias.copy_(-weight.sum(2) @ whitening.mean.to(weight))
    return noise


def space_time_axes(whitening: "Whitening", noise: Persistence, pairs: PlacePairs, channels: int, w: int) -> Tensor:
    """(channels, D, w) float64: products of an axis in space and one in time, those first along which places differ
    most; above D w all of them, spread as :meth:`Whitening.rows` does.

    The axes in time are found as those in space: the inverse root of the change's correlation over w frames, then the
    eigenvectors of the so whitened correlation of places.
    """
    centres = (pairs.queries + pairs.references).to(whitening.matrix) / 2 - whitening.mean
    lasting = autocorrelations(centres, pairs.following, w - 1)
    alike = torch.zeros(w, dtype=torch.float64)
    alike[0], alike[1 : 1 + len(lasting)] = 1.0, lasting
    frames = torch.arange(w)
    values, vectors = torch.linalg.eigh(noise.correlation(w))
    root = (vectors * values.rsqrt()) @ vectors.T
    spread, axes = torch.linalg.eigh(root @ alike[(frames[:, None] - frames).abs()] @ root)
    profiles = axes.T @ root  # (w, w), rows
    order = (whitening.spread[:, None].cpu() * spread).flatten().argsort(descending=True, stable=True)
    chosen = order[:channels].to(whitening.matrix.device)
    in_space = whitening.matrix[chosen // w]  # (O, D)
    in_time = profiles.to(whitening.matrix)[chosen % w]  # (O, w)
    return spread_rows((in_space[:, :, None] * in_time[:, None]).flatten(1), channels).unflatten(1, (-1, w))


class WhitenedFrames(nn.Linear):
    """A layer by which an encoder takes whitened frames, (..., D) to (..., C): it starts from the axes of
    :func:`place_whitening` and learns on. The encoder's ``initialise`` calls :meth:`start`, and its options derive
    from :class:`WhitenedStartOptions`.

    Args:
        in_dims: D.
        channels: C axes, those first along which places differ most; above D all of them, spread.
    """

    def __init__(self, in_dims: int, channels: int) -> None:
        super().__init__(in_dims, channels)

    @torch.no_grad()
    def start(self, pairs: PlacePairs) -> Persistence:
        """Set the weights; returns what lasts of the change from frame to frame.

        Raises:
            ValueError: no pairs, or both sides are the same data.
        """
        return _whiten(self.weight[:, :, None], self.bias, pairs)


@dataclass(frozen=True, kw_only=True)
class WhitenedStartOptions(SequenceEncoderOptions):
    """What methods share that can start from the whitening of training pairs."""

    init: str = option(
        "--init",
        "whitening",
        "weights that training starts from: worked out from the training pairs, or random",
        choices=("whitening", "random"),
    )

    @property
    def starts_from_data(self) -> bool:
        return self.init == "whitening"


def spread_rows(rows: Tensor, count: int) -> Tensor:
    """(count, D): the first rows of (R, D); above R all, spread by orthonormal columns, which keeps distances."""
    if count <= len(rows):
        return rows[:count]
    generator = torch.Generator().manual_seed(0)
    square = torch.randn(count, len(rows), dtype=torch.float64, generator=generator)
    return torch.linalg.qr(square.to(rows.device)).Q @ rows


@dataclass(frozen=True)
class Whitening:
    """A centring and a linear map.

    Attributes:
        mean: (D,) float64.
        matrix: (D, D) float64, rows ordered by how much places differ along them, most first.
        spread: (D,) float64, the variance of places along the rows.
    """

    mean: Tensor
    matrix: Tensor
    spread: Tensor

    def rows(self, count: int) -> Tensor:
        """(count, D): see :func:`spread_rows`."""
        return spread_rows(self.matrix, count)


@torch.no_grad()
def choose_shrinkage(pairs: PlacePairs, *, folds: int = 3, probes: int = 1000) -> float:
    """The :data:`SHRINKAGES` that finds places best on stretches of the route it was not computed from.

    The pairs are cut into ``folds`` stretches. Each is whitened with what the others say, and its queries are looked
    for among its references (at most ``probes`` of each, the first ones); the mean reciprocal rank of the right one,
    averaged over the stretches, decides. Few dimensions and many places want little, the opposite much. Fewer pairs
    than dimensions tell of their own route more than of others: then the largest shrinkage is taken that loses less
    than :data:`FEW_PAIRS_TOLERANCE`, which is nearer to the identity. The motion that :func:`place_whitening` adds is
    left out, as a probe's one right answer is its own pair; with it the choice is the same or the next larger value on
    splits of nordland-1k and on the thumbnails.
    """
    count, dims = pairs.queries.shape
    if count < 2 * folds:
        return SHRINKAGES[-1]
    stretches = [pairs.stretch(count * fold // folds, count * (fold + 1) // folds) for fold in range(folds)]
    scatters = [difference_scatter(stretch) for stretch in stretches]
    means = torch.stack([stretch.mean for stretch in stretches])  # (folds, D)
    scores = torch.zeros(len(SHRINKAGES), dtype=torch.float64)
    for fold, stretch in enumerate(stretches):
        others = [other for other in range(folds) if other != fold]
        change = Change.of(reduce(add, [scatters[other] for other in others]))
        counts = means.new_tensor([len(stretches[other]) for other in others])
        mean = counts @ means[others] / counts.sum()
        scores += reciprocal_ranks(change, mean, stretch.stretch(0, min(len(stretch), probes))) / folds
    if count >= dims:
        return SHRINKAGES[int(scores.argmax())]
    good = (scores >= scores.max() - FEW_PAIRS_TOLERANCE).tolist()
    return max(shrinkage for shrinkage, is_good in zip(SHRINKAGES, good, strict=True) if is_good)


def reciprocal_ranks(change: Change, mean: Tensor, pairs: PlacePairs) -> Tensor:
    """(S,) float64 on the CPU: for each of :data:`SHRINKAGES` the mean reciprocal rank of the right reference."""
    query, reference = (rows.double() - mean for rows in (pairs.queries, pairs.references))  # (K, D)
    query_seen, reference_seen = query @ change.vectors, reference @ change.vectors
    plain, lengths = query @ reference.T, reference.square().sum(1)
    scores = []
    for shrinkage in SHRINKAGES:
        # q^T (C + floor)^-1 r, times floor: the identity but for what is seen of the vectors' directions
        seen = change.values / (change.values + change.floor(shrinkage))
        similarity = plain - (query_seen * seen) @ reference_seen.T  # (K, K)
        similarity /= (lengths - reference_seen.square() @ seen).sqrt()  # the query's own length changes no rank
        ranks = (similarity >= similarity.diagonal()[:, None]).sum(1)
        scores.append((1 / ranks.double()).mean().cpu())
    return torch.stack(scores)


def difference_scatter(pairs: PlacePairs) -> Scatter:
    """The scatter of q - r."""
    changes = ((query - reference).double() for query, reference in pairs.chunks())
    return Scatter.of(len(pairs), pairs.queries.shape[1], changes)


def moved_scatter(pairs: PlacePairs) -> Scatter | None:
    """The scatter of q' - r, q' the query's next frame where that shows the same place still; None: it never does."""
    here = pairs.near.nonzero()[:, 0]
    if not len(here):
        return None
    after = pairs.following[here]
    chunks = zip(here.split(4096), after.split(4096), strict=True)
    changes = ((pairs.queries[j] - pairs.references[i]).double() for i, j in chunks)
    return Scatter.of(len(here), pairs.queries.shape[1], changes)


@torch.no_grad()
def place_whitening(pairs: PlacePairs, shrinkage: float | None = None) -> Whitening:
    """Whiten the differences within a place, then order the axes by the variance between places.

    The discriminative projection of Mikolajczyk and Matas (ICCV 2007), as used for retrieval by Radenovic et al.
    (TPAMI 2019): with C_w the mean of (q_i - r_i)(q_i - r_i)^T, its inverse root followed by the eigenvectors of the
    then whitened covariance of (q_i + r_i) / 2. Where the next frame shows the same place still, C_w holds a share
    :data:`MOTION` of the mean of (q_{i+1} - r_i)(q_{i+1} - r_i)^T: two drives never stop at exactly the same spots.
    Scaled so that centred frames have about unit mean square length. With fewer places than dimensions the last axes
    are those in which training places do not differ, in any order.

    Args:
        pairs: frames of the same places.
        shrinkage: added to C_w as this share of its mean eigenvalue, which bounds the gain along any axis; by
            default what :func:`choose_shrinkage` says. Above 0 where P < D.

    Raises:
        ValueError: no pairs, or both sides are the same data.
    """
    if not len(pairs) or pairs.queries.shape != pairs.references.shape:
        raise ValueError(f"wanted as many queries as references, found {len(pairs)} and {len(pairs.references)}")
    if torch.equal(pairs.queries, pairs.references):
        raise ValueError(NO_CHANGE)
    scatter, moved = difference_scatter(pairs), moved_scatter(pairs)
    if moved is not None:
        scatter = scatter.weighted(1 - MOTION) + moved.weighted(MOTION * scatter.count / moved.count)
    change = Change.of(scatter)
    root = change.root(choose_shrinkage(pairs) if shrinkage is None else shrinkage)
    mean = pairs.mean
    centred = ((query + reference).double() / 2 - mean for query, reference in pairs.chunks())
    centres = Scatter.of(len(pairs), pairs.queries.shape[1], centred)
    values, axes = centres.through(root).eigen()
    if len(values) < len(root):
        axes = torch.cat([axes, torch.linalg.qr(axes, mode="complete").Q[:, len(values) :]], dim=1)
        values = torch.cat([values, values.new_zeros(len(root) - len(values))])
    scale = values.sum() + len(root) / 4  # mean square length of (q + r) / 2 and (q - r) / 2, whitened
    return Whitening(mean, axes.T @ root / scale.sqrt(), values / scale)
