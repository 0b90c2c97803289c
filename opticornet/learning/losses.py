"""Losses over tuples of an anchor, its positive and its negatives."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pairwise_distance, relu


@dataclass(frozen=True)
class Tuples:
    """A batch of encoded tuples; O-dimensional unit rows.

    Attributes:
        anchors: (B, O).
        positives: (B, O).
        negatives: (B, M, O).
        mask: (B, M) bool, which negatives count.
        apart: (B, M, M) bool, whether two negatives show different places.
    """

    anchors: Tensor
    positives: Tensor
    negatives: Tensor
    mask: Tensor
    apart: Tensor


@dataclass(frozen=True)
class LossTerms:
    """A loss and what it was made of, detached but for ``loss``.

    Attributes:
        loss: scalar to be minimised; zero, with a gradient of zeros, where there is nothing to learn from.
        active: scalar, share of the terms above zero.
        positive_distance: (B,) Euclidean distances of the anchors to their positives.
        negative_distance: (n,) and to the negatives that count.
    """

    loss: Tensor
    active: Tensor
    positive_distance: Tensor
    negative_distance: Tensor

    def means(self) -> dict[str, float]:
        """The mean of each by name."""
        values = [mean(value.detach().float().flatten()) for value in vars(self).values()]
        return dict(zip(vars(self), torch.stack(values).tolist(), strict=True))  # one wait for the device


class TupleLoss(nn.Module, ABC):
    """Scores a batch of tuples.

    Attributes:
        violation: a negative is worth mining where d(a, n) < d(a, p) + violation.
        squared: whether d is the squared Euclidean distance there.
    """

    violation: float
    squared: bool

    @abstractmethod
    def forward(self, tuples: Tuples) -> LossTerms: ...


class TripletLoss(TupleLoss):
    """SeqNet's: the mean over all (anchor, negative) pairs of max(0, d(a, p) - d(a, n) + sqrt(margin)).

    d is the Euclidean distance (with torch's 1e-6 added to each difference, as in ``triplet_margin_loss``).
    """

    squared = False

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.violation = margin**0.5

    def forward(self, tuples: Tuples) -> LossTerms:
        positive = pairwise_distance(tuples.anchors, tuples.positives)  # (B,)
        negative = pairwise_distance(tuples.anchors[:, None], tuples.negatives)  # (B, M)
        hinges = relu(positive[:, None] - negative + self.violation)[tuples.mask]  # (pairs,)
        return LossTerms(mean(hinges), *statistics(tuples, hinges))


class QuadrupletLoss(TupleLoss):
    """Chen et al., CVPR 2017, eq. 8: the mean of [d(a,p) - d(a,n) + m1]+ plus that of [d(a,p) - d(n,n') + m2]+.

    d is the squared Euclidean distance and m1 > m2. n and n' run over all pairs of an anchor's negatives that show
    different places; neither shows the anchor's.
    """

    squared = True

    def __init__(self, margin: float, margin2: float) -> None:
        super().__init__()
        if not margin > margin2:
            raise ValueError(f"the first margin must exceed the second; found {margin:g} and {margin2:g}")
        self.violation, self.margin2 = margin, margin2

    def forward(self, tuples: Tuples) -> LossTerms:
        positive = (tuples.anchors - tuples.positives).square().sum(1)  # (B,)
        negative = (tuples.anchors[:, None] - tuples.negatives).square().sum(2)  # (B, M)
        first = relu(positive[:, None] - negative + self.violation)[tuples.mask]

        gram = tuples.negatives @ tuples.negatives.transpose(1, 2)  # (B, M, M)
        power = gram.diagonal(dim1=1, dim2=2)
        between = power[:, :, None] + power[:, None] - 2 * gram
        counted = (tuples.apart & tuples.mask[:, :, None] & tuples.mask[:, None]).triu(1)
        second = relu(positive[:, None, None] - between + self.margin2)[counted]
        return LossTerms(mean(first) + mean(second), *statistics(tuples, torch.cat([first, second])))


class MultiSimilarityLoss(TupleLoss):
    """Wang et al., CVPR 2019, through pytorch-metric-learning, over the mined pairs (anchor, positive or negative).

    ``violation`` is infinite: the loss weighs its pairs itself, so an anchor's nearest negatives are taken as they are.
    """

    squared = False
    violation = torch.inf

    def __init__(self, alpha: float = 2.0, beta: float = 50.0, base: float = 0.5) -> None:
        super().__init__()
        from pytorch_metric_learning.losses import MultiSimilarityLoss as Published

        self.published = Published(alpha, beta, base)

    def forward(self, tuples: Tuples) -> LossTerms:
        count, device = len(tuples.anchors), tuples.anchors.device
        anchors = torch.arange(count, device=device)
        owner, _ = tuples.mask.nonzero(as_tuple=True)
        negatives = tuples.negatives[tuples.mask]
        others = torch.cat([tuples.positives, negatives])
        pairs = (anchors, anchors, owner, count + torch.arange(len(negatives), device=device))
        if count:
            loss = self.published(tuples.anchors, indices_tuple=pairs, ref_emb=others)
        else:
            loss = nothing(tuples)
        return LossTerms(loss, *statistics(tuples, loss.new_ones(len(others))))


LOSSES: dict[str, Callable[[float, float], TupleLoss]] = {
    "quadruplet": lambda margin, margin2: QuadrupletLoss(margin, margin2),
    "triplet": lambda margin, margin2: TripletLoss(margin),
    "multi-similarity": lambda margin, margin2: MultiSimilarityLoss(),
}


def mean(terms: Tensor) -> Tensor:
    """Mean of (K,) terms; zero, still with a gradient, where there are none."""
    return terms.sum() / max(1, len(terms))


def nothing(tuples: Tuples) -> Tensor:
    """Zero, with a gradient of zeros."""
    return (tuples.anchors.sum() + tuples.positives.sum() + tuples.negatives.sum()) * 0


@torch.no_grad()
def statistics(tuples: Tuples, terms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Share of (K,) terms above zero, and Euclidean distances to positives (B,) and to negatives that count (n,)."""
    positive = (tuples.anchors - tuples.positives).norm(dim=1)
    negative = (tuples.anchors[:, None] - tuples.negatives).norm(dim=2)[tuples.mask]
    return mean((terms > 0).float()), positive, negative
