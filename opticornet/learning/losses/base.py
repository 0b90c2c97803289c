"""What losses take and give: over tuples of an anchor, its positive and its negatives, or over anchors beside all of a
batch's references."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from opticornet.utils.options import Choice, option


@dataclass(frozen=True)
class Tuples:
    """A batch of encoded tuples; O-dimensional unit rows.

    The two masks are best left on the CPU, where mining makes them: what they select is then known without waiting for
    the device that holds the rows.

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

    @cached_property
    def counted(self) -> tuple[Tensor, ...]:
        """Where the negatives that count are, row after row: (n,) anchors and (n,) columns, int64."""
        return self._selected(self.mask)

    @cached_property
    def different(self) -> tuple[Tensor, ...]:
        """The pairs of an anchor's negatives that count and show different places, each once: (p,) anchors, (p,) and
        (p,) columns, int64."""
        return self._selected((self.apart & self.mask[:, :, None] & self.mask[:, None]).triu(1))

    def _selected(self, mask: Tensor) -> tuple[Tensor, ...]:
        device = self.anchors.device
        return tuple(index.to(device, non_blocking=True) for index in mask.nonzero(as_tuple=True))


@dataclass(frozen=True)
class Comparisons:
    """A batch of anchors, each compared with all of the batch's references; O-dimensional unit rows.

    Attributes:
        anchors: (B, O).
        references: (R, O).
        positive: (B, R) bool, which references show an anchor's place.
        negative: (B, R) bool, which show another place. Those that do neither are too near to be called wrong, and
            count for nothing.
    """

    anchors: Tensor
    references: Tensor
    positive: Tensor
    negative: Tensor

    @cached_property
    def similarity(self) -> Tensor:
        """(B, R) cosines."""
        return self.anchors @ self.references.T


@dataclass(frozen=True)
class LossTerms:
    """A loss and what it was made of, detached but for ``loss``.

    Attributes:
        loss: scalar to be minimised; zero, with a gradient of zeros, where there is nothing to learn from.
        active: scalar, share of the terms above zero; of comparisons, of the anchors that a negative is nearest to.
        positive_distance: (B,) Euclidean distances of the anchors to their positives; of comparisons, to the nearest.
        negative_distance: (n,) and to the negatives that count; of comparisons, to the nearest.
    """

    loss: Tensor
    active: Tensor
    positive_distance: Tensor
    negative_distance: Tensor

    @property
    def values(self) -> dict[str, Tensor]:
        """All but the loss, by name."""
        return {name: value for name, value in vars(self).items() if name != "loss"}


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


class ComparisonLoss(nn.Module, ABC):
    """Scores a batch of comparisons. An anchor without a positive or a negative in it has nothing to say."""

    @abstractmethod
    def forward(self, comparisons: Comparisons) -> LossTerms: ...


@dataclass(frozen=True, kw_only=True)
class LossOptions(Choice, ABC):
    """The options of a loss: its entry in ``LOSSES``.

    A subclass is a frozen dataclass, whose fields are declared by :func:`opticornet.utils.options.option`.

    Attributes:
        takes: which batches it is over.
        min_negatives: fewest negatives per anchor that it can learn from.
    """

    takes: ClassVar[Literal["tuples", "comparisons"]] = "tuples"
    min_negatives: ClassVar[int] = 1

    @abstractmethod
    def build(self) -> TupleLoss | ComparisonLoss:
        """The loss."""


@dataclass(frozen=True, kw_only=True)
class ComparisonLossOptions(LossOptions, ABC):
    """What losses over comparisons share."""

    takes: ClassVar[Literal["tuples", "comparisons"]] = "comparisons"
    references: int = option(
        "--references", 1024, "references per step, the anchors' positives and random others; 0: all of them"
    )

    @abstractmethod
    def build(self) -> ComparisonLoss:
        """The loss."""


def mean(terms: Tensor) -> Tensor:
    """Mean of (K,) terms; zero, still with a gradient, where there are none."""
    return terms.sum() / max(1, len(terms))


def comparison_terms(comparisons: Comparisons, losses: Tensor) -> LossTerms:
    """The mean of the losses (B,) over the anchors that have both a positive and a negative, and the distances there.

    The losses of other anchors may be anything finite.
    """
    telling = (comparisons.positive.any(1) & comparisons.negative.any(1)).to(losses)  # (B,)
    with torch.no_grad():
        positive, negative = (
            (2 - 2 * comparisons.similarity.masked_fill(~mask, -1).amax(1)).clamp_min(0).sqrt()
            if mask.shape[1]
            else losses.new_zeros(len(losses))
            for mask in (comparisons.positive, comparisons.negative)
        )
        active = ((negative <= positive) * telling).sum() / telling.sum().clamp_min(1)
    return LossTerms((losses * telling).sum() / telling.sum().clamp_min(1), active, positive, negative)


def zero_loss(tuples: Tuples) -> Tensor:
    """Zero, with a gradient of zeros."""
    return (tuples.anchors.sum() + tuples.positives.sum() + tuples.negatives.sum()) * 0


@torch.no_grad()
def statistics(tuples: Tuples, terms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Share of (K,) terms above zero, and Euclidean distances to positives (B,) and to negatives that count (n,)."""
    positive = (tuples.anchors - tuples.positives).norm(dim=1)
    negative = (tuples.anchors[:, None] - tuples.negatives).norm(dim=2)[tuples.counted]
    return mean((terms > 0).float()), positive, negative
