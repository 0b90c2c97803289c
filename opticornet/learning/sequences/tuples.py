"""Batches of mined tuples: an anchor, its positive and its hardest negatives."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from opticornet.learning.augmentation.augmenter import Augmenter
from opticornet.learning.losses.base import TupleLoss, Tuples
from opticornet.learning.sequences.batches import BatchSource
from opticornet.learning.sequences.encoding import BatchEncoder
from opticornet.learning.sequences.mining import MinedTuples, Miner
from opticornet.learning.sequences.places import TrainingPlaces
from opticornet.learning.task import StepTerms
from opticornet.models.sequences.base import SequenceEncoder


@dataclass(frozen=True)
class MiningSettings:
    """How tuples are mined and batched.

    Attributes:
        batch_size: anchors per step.
        n_neg: hardest violating negatives per anchor.
        n_neg_sample: random references searched for negatives; 0: all of them.
        cache_refresh_rate: anchors between two minings; 0: once per epoch.
        queries_per_epoch: anchors of an epoch, drawn among those that have a positive; 0: all.
        amp: matrix products of mining in bfloat16.
    """

    batch_size: int
    n_neg: int
    n_neg_sample: int = 0
    cache_refresh_rate: int = 0
    queries_per_epoch: int = 0
    amp: bool = False


@dataclass
class Mining:
    """Where the mining of an epoch stands.

    Attributes:
        order: (Q,) int64 the epoch's order of anchors; None before the epoch.
        part: which part of ``order`` is being trained on; each part is mined separately.
        before: batches of the epoch that came before this part.
        tuples: what was found for this part; None before it is mined.
        found: tuples found in the epoch so far.
    """

    order: Tensor | None = None
    part: int = 0
    before: int = 0
    tuples: MinedTuples | None = None
    found: int = 0

    def state(self) -> dict[str, Any]:
        """As plain values and tensors."""
        return vars(self) | {"tuples": None if self.tuples is None else asdict(self.tuples)}

    @classmethod
    def of(cls, state: dict[str, Any]) -> "Mining":
        """From :meth:`state`."""
        return cls(**state | {"tuples": state["tuples"] and MinedTuples(**state["tuples"])})


class TupleBatches(BatchSource[MinedTuples]):
    """Tuples mined with the encoder that learns from them.

    Anchors are encoded as they were recorded to be mined, and as ``augmenter`` makes them, where there is one, to be
    learned from; then their nearest negatives are taken whether or not they violate the loss's margin as recorded.

    Args:
        encoder: what learns, on the frames' device.
        loss: of the tuples; says what a violation is.
        places: of the training split.
        settings: of mining and batches.
        generator: draws the order of anchors, the references that are searched, and all that ``augmenter`` draws.
        augmenter: of the anchors' windows.
    """

    def __init__(
        self,
        encoder: SequenceEncoder,
        loss: TupleLoss,
        places: TrainingPlaces,
        settings: MiningSettings,
        generator: torch.Generator,
        augmenter: Augmenter | None = None,
    ) -> None:
        self.encoder, self.tuple_loss, self.settings, self.generator = encoder, loss, settings, generator
        self.places, self.encoded = places, BatchEncoder(encoder, places.query, places.reference, augmenter)
        self.query, self.reference = places.query, places.reference
        margin = torch.inf if augmenter else loss.violation
        self.miner = Miner(
            *(places.positives, places.excluded, settings.n_neg, margin, loss.squared, settings.n_neg_sample)
        )
        self.remembered = torch.full((len(self.query), settings.n_neg), -1) if settings.n_neg_sample else None
        self.mining = Mining()

    def batches(self, done: int) -> Iterator[MinedTuples]:
        """Go through the (rest of the) epoch's anchors, part by part, mining before each."""
        order = self.mining.order
        if order is None:
            order = self.draw_anchors()
            self.mining = Mining(order)
        mining, size = self.mining, self.settings.batch_size
        parts = order.split(self.settings.cache_refresh_rate or len(self.query))
        while mining.part < len(parts):
            if mining.tuples is None:
                mining.tuples = self.mine(parts[mining.part])
                mining.found += len(mining.tuples)
            for first in range((done - mining.before) * size, len(mining.tuples), size):
                yield mining.tuples[first : first + size]
                done += 1
            mining.part, mining.before, mining.tuples = mining.part + 1, done, None
        mining.order = None

    def draw_anchors(self) -> Tensor:
        """The anchors of an epoch in the order they come, (Q,) int64."""
        order = torch.randperm(len(self.query), generator=self.generator)
        if not self.settings.queries_per_epoch:
            return order
        has_positive = torch.from_numpy(self.places.positives.counts > 0)
        return order[has_positive[order]][: self.settings.queries_per_epoch]

    def known_batches(self) -> int | None:
        """Those of the parts mined so far."""
        tuples = self.mining.tuples
        return None if tuples is None else self.mining.before + math.ceil(len(tuples) / self.settings.batch_size)

    def most_windows(self) -> tuple[int, int]:
        """Anchors, and a positive and all negatives for each."""
        anchors = min(self.settings.batch_size, len(self.query))
        return anchors, min(anchors * (1 + self.settings.n_neg), len(self.reference))

    def finished(self) -> bool:
        """An exhaustive search found no tuple that violates the margin, so none ever will."""
        return self.mining.found == 0 and not (self.settings.n_neg_sample or self.settings.queries_per_epoch)

    def mine(self, queries: Tensor) -> MinedTuples:
        """Encode some anchors (A,) and the references that they are compared with, and search."""
        amp = self.settings.amp
        searched = self.miner.searched(queries, len(self.reference), self.generator, self.remembered)
        references = self.reference.encode_rows(self.encoder, searched.rows, amp)
        anchors = self.query.encode_rows(self.encoder, queries, amp)
        return self.miner.mine(queries, anchors, references, searched, self.remembered)

    def loss(self, batch: MinedTuples) -> StepTerms:
        """The tuples encoded, in the run's precision, and their loss, in full precision."""
        tuples = self.encode_batch(batch)
        with torch.autocast(tuples.anchors.device.type, enabled=False):
            terms = self.tuple_loss(tuples)
        return StepTerms(terms.loss, len(batch), terms.values)

    def encode_batch(self, batch: MinedTuples) -> Tuples:
        """Encode a batch with gradients, each distinct reference window once.

        What is selected is worked out on the CPU, where the tuples are, so that no result of the device is waited for.
        """
        wanted = torch.cat([batch.positives, batch.negatives[batch.mask]])
        distinct, place = wanted.unique(return_inverse=True)
        vectors = self.encoded(batch.anchors, distinct)  # (B + R, O)
        anchors = vectors[: len(batch)]  # (B, O)
        references = vectors[len(batch) :][place.to(vectors.device, non_blocking=True)]  # (B + n, O)
        rows, columns = (index.to(vectors.device, non_blocking=True) for index in batch.mask.nonzero(as_tuple=True))
        negatives = vectors.new_zeros(*batch.mask.shape, vectors.shape[1])  # (B, M, O)
        negatives[rows, columns] = references[len(batch) :]
        places = self.places.reference_places[batch.negatives]  # (B, M, P)
        return Tuples(
            anchors=anchors,
            positives=references[: len(batch)],
            negatives=negatives,
            mask=batch.mask,
            apart=torch.cdist(places, places) > self.places.negative_radius,
        )

    def state(self) -> dict[str, Any]:
        return {"mining": self.mining.state(), "remembered": self.remembered}

    def restore(self, state: dict[str, Any]) -> None:
        self.mining = Mining.of(state["mining"])
        self.remembered = state["remembered"]
