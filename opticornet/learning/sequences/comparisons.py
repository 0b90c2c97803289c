"""Batches in which each anchor is compared with all of the batch's references."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from opticornet.datasets.positives import Positives
from opticornet.learning.augmentation.augmenter import Augmenter
from opticornet.learning.losses.base import ComparisonLoss, Comparisons
from opticornet.learning.sequences.batches import BatchSource
from opticornet.learning.sequences.encoding import BatchEncoder
from opticornet.learning.sequences.places import TrainingPlaces
from opticornet.learning.task import StepTerms
from opticornet.models.sequences.base import SequenceEncoder


@dataclass(frozen=True)
class Compared:
    """A batch, by windows.

    Attributes:
        anchors: (B,) int64 query windows.
        references: (R,) int64 reference windows, rising.
        positive: (B, R) bool, which show an anchor's place.
        negative: (B, R) bool, which show another place; those that do neither count for nothing.
    """

    anchors: Tensor
    references: Tensor
    positive: Tensor
    negative: Tensor


class ComparisonBatches(BatchSource[Compared]):
    """Anchors in random order, and for each batch of them references: all of their positives, and others at random.

    Args:
        encoder: what learns, on the frames' device.
        loss: of the comparisons.
        places: of the training split.
        batch_size: anchors per step.
        references: per step, at least; 0: all.
        generator: draws anchors, references and all that ``augmenter`` draws.
        augmenter: of the anchors' windows.
        per_epoch: anchors of an epoch; 0: all that have a positive.
    """

    def __init__(
        self,
        encoder: SequenceEncoder,
        loss: ComparisonLoss,
        places: TrainingPlaces,
        batch_size: int,
        references: int,
        generator: torch.Generator,
        augmenter: Augmenter | None = None,
        per_epoch: int = 0,
    ) -> None:
        self.comparison_loss, self.places = loss, places
        self.encoded = BatchEncoder(encoder, places.query, places.reference, augmenter)
        self.batch_size, self.generator = batch_size, generator
        self.count = min(references or len(places.reference), len(places.reference))
        self.anchors = torch.from_numpy(np.flatnonzero(places.positives.counts))
        self.per_epoch = min(per_epoch or len(self.anchors), len(self.anchors))
        self.order: Tensor | None = None

    def batches(self, done: int) -> Iterator[Compared]:
        """Go through the (rest of the) epoch's anchors."""
        if self.order is None:
            self.order = self.anchors[torch.randperm(len(self.anchors), generator=self.generator)][: self.per_epoch]
        for anchors in self.order.split(self.batch_size)[done:]:
            yield self.compared(anchors)
        self.order = None

    def known_batches(self) -> int:
        """All of them."""
        return math.ceil(self.per_epoch / self.batch_size)

    def most_windows(self) -> tuple[int, int]:
        """The anchors of a batch, and the references drawn for it or, where there are more, its positives."""
        anchors = min(self.batch_size, self.per_epoch)
        positives = int(np.sort(self.places.positives.counts)[-anchors:].sum())
        return anchors, min(max(self.count, positives), len(self.places.reference))

    def compared(self, anchors: Tensor) -> Compared:
        """The batch of some anchors (B,)."""
        places, rows = self.places, anchors.numpy()
        positives, excluded = places.positives.of(rows), places.excluded.of(rows)
        chosen = torch.zeros(len(places.reference), dtype=torch.bool)
        chosen[torch.from_numpy(positives.rows)] = True
        wanted = self.count - int(chosen.sum())
        if wanted > 0:
            others = (~chosen).nonzero()[:, 0]
            chosen[others[torch.randperm(len(others), generator=self.generator)[:wanted]]] = True
        references = chosen.nonzero()[:, 0]
        positive = listed_among(positives, references)
        return Compared(anchors, references, positive, ~(positive | listed_among(excluded, references)))

    def loss(self, batch: Compared) -> StepTerms:
        """The batch encoded, in the run's precision, and its loss, in full precision."""
        vectors = self.encoded(batch.anchors, batch.references)  # (B + R, O)
        masks = (mask.to(vectors.device, non_blocking=True) for mask in (batch.positive, batch.negative))
        count = len(batch.anchors)
        with torch.autocast(vectors.device.type, enabled=False):
            terms = self.comparison_loss(Comparisons(vectors[:count], vectors[count:], *masks))
        return StepTerms(terms.loss, count, terms.values)

    def state(self) -> dict[str, Any]:
        return {"order": self.order}

    def restore(self, state: dict[str, Any]) -> None:
        self.order = state["order"]


def listed_among(lists: Positives, references: Tensor) -> Tensor:
    """(B, R) bool: which of some references (R,), rising, are on each of B lists."""
    among = lists.among(references.numpy())
    mask = torch.zeros(len(lists), len(references), dtype=torch.bool)
    mask[torch.from_numpy(among.queries), torch.from_numpy(among.rows)] = True
    return mask
