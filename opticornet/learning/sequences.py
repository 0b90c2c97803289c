"""The task of learning a sequence encoder from tuples of windows: an anchor, its positive and its hardest negatives."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from opticornet.datasets.descriptors.identity import SplitIdentity
from opticornet.datasets.frames import FrameSource
from opticornet.datasets.positives import Positives
from opticornet.datasets.windows import Windows
from opticornet.evaluation.metrics import recall_at
from opticornet.evaluation.scene import Scene, side_of
from opticornet.evaluation.validated import Validated
from opticornet.inference.encode import encode
from opticornet.inference.load import check_dims
from opticornet.learning.history import recall_name
from opticornet.learning.losses.base import TupleLoss, Tuples
from opticornet.learning.mining import MinedTuples, Miner
from opticornet.learning.same_places import same_places
from opticornet.learning.task import LearningTask, StepTerms, Validation
from opticornet.matching.search import search
from opticornet.models.sequences.base import SequenceEncoder
from opticornet.utils.errors import UserError

RECALLS = (1, 5, 10, 20)


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


class Side:
    """The windows of one drive and the source of their frames, which may keep them on the device."""

    def __init__(self, windows: Windows, frames: FrameSource) -> None:
        self.windows, self.frames = windows, frames
        self.starts = torch.from_numpy(windows.starts)

    def __len__(self) -> int:
        return len(self.windows)

    def gather(self, rows: Tensor) -> Tensor:
        """The windows of some rows (B,): (B, L, *F) float32."""
        return self.frames.windows(self.starts[rows], self.windows.length)

    def encode(self, encoder: SequenceEncoder, amp: bool) -> Tensor:
        """All windows as (N, O) float32 unit rows on the device."""
        return encode(encoder, self.frames, self.windows.starts, self.windows.length, amp=amp)

    def encode_rows(self, encoder: SequenceEncoder, rows: Tensor, amp: bool) -> Tensor:
        """The windows of some distinct rows (A,), and no others: (A, O) float32 unit rows on the device.

        Windows are encoded together where :meth:`encode` would, so that no more frames are read than for all of them,
        and the same numbers come out where the rows are all there are.
        """
        ordered, place = rows.sort()
        block = self.frames.block
        edges = np.searchsorted(ordered.numpy(), np.arange(block, len(self), block))
        encoded = [
            encode(encoder, self.frames, self.windows.starts[part], self.windows.length, amp=amp)
            for part in np.split(ordered.numpy(), edges)
            if len(part)
        ]
        return torch.cat(encoded)[place.argsort().to(encoded[0].device)]


def sides(scene: Scene, encoder: SequenceEncoder) -> tuple[Side, Side]:
    """Queries and references of a scene, with frames as the encoder takes them.

    Raises:
        UserError: a traverse has no such frames, or frames of the two drives differ in size.
    """
    reference, query = scene.frames(encoder)
    return Side(scene.query, query), Side(scene.reference, reference)


@dataclass(frozen=True)
class SequenceSettings:
    """How tuples are mined and batched.

    Attributes:
        batch_size: anchors per step.
        n_neg: hardest violating negatives per anchor.
        n_neg_sample: random references searched for negatives; 0: all of them.
        cache_refresh_rate: anchors between two minings; 0: once per epoch.
        seed: of the order of anchors and the random references.
        amp: matrix products of mining and validation in bfloat16.
        start_from_places: whether :meth:`SequenceTask.start` prepares the encoder from frames of the same places.
    """

    batch_size: int
    n_neg: int
    n_neg_sample: int = 0
    cache_refresh_rate: int = 0
    seed: int = 0
    amp: bool = False
    start_from_places: bool = False


class SequenceTask(LearningTask[MinedTuples]):
    """Tuples of windows of frames, mined with the encoder that learns from them.

    Args:
        method: what the encoder is called.
        encoder: moved to the device of ``scene``.
        loss: of the tuples; says what a violation is.
        scene: the training split.
        validation: the validation split.
        settings: of mining and batches.

    Raises:
        UserError: the split says nothing of negatives, or a traverse has no frames that the encoder takes.
    """

    module: SequenceEncoder

    def __init__(
        self,
        method: str,
        encoder: SequenceEncoder,
        loss: TupleLoss,
        scene: Scene,
        validation: Scene,
        settings: SequenceSettings,
    ) -> None:
        self.method, self.tuple_loss, self.settings = method, loss, settings
        self.scene, self.validation, self.device = scene, validation, scene.device
        self.module = encoder.to(self.device)
        self.query, self.reference = sides(scene, self.module)
        self.validation_query, self.validation_reference = sides(validation, self.module)
        in_rows = scene.split.positives is not None  # a table counts in reference rows, and so does the radius
        places = scene.reference.rows[:, None].astype(np.float64) if in_rows else scene.reference.positions
        self.reference_places = torch.from_numpy(places)  # (N, P)
        self.negative_radius = negative_radius(scene)
        takes_images = self.module.takes == "images"
        self.descriptors = SplitIdentity() if takes_images else SplitIdentity.of(scene.split)
        self.miner = make_miner(scene, loss, settings.n_neg, settings.n_neg_sample)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.remembered = torch.full((len(scene.query), settings.n_neg), -1) if settings.n_neg_sample else None
        self.mining = Mining()
        self.recalls: dict[int, float] = {}  # of the last validation

    def start(self) -> None:
        """Prepare the encoder from frames of the same places, where the settings say so."""
        if self.settings.start_from_places:
            try:
                self.module.initialise(same_places(self.scene).pairs())
            except ValueError as error:
                raise UserError(f"`init` whitening: {error}; use `init` random") from error

    def describe(self) -> str:
        """Encoder, data and device."""
        parameters = sum(p.numel() for p in self.module.parameters())
        return (
            f"{self.method}, {parameters:,} parameters, on {self.scene.dataset}: "
            f"{len(self.scene.query)} query and {len(self.scene.reference)} reference windows of "
            f"{self.scene.query.length} frames, {self.device}"
        )

    def batches(self, epoch: int, done: int) -> Iterator[MinedTuples]:
        """Go through the (rest of the) epoch's anchors, part by part, mining before each."""
        order = self.mining.order
        if order is None:
            order = torch.randperm(len(self.query), generator=self.generator)
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

    def known_batches(self) -> int | None:
        """Those of the parts mined so far."""
        tuples = self.mining.tuples
        return None if tuples is None else self.mining.before + math.ceil(len(tuples) / self.settings.batch_size)

    def finished(self) -> bool:
        """An exhaustive search found no tuple that violates the margin, so none ever will."""
        return self.mining.found == 0 and not self.settings.n_neg_sample

    def mine(self, queries: Tensor) -> MinedTuples:
        """Encode some anchors (A,) and all references, and search."""
        amp = self.settings.amp
        references = self.reference.encode(self.module, amp)
        anchors = self.query.encode_rows(self.module, queries, amp)
        return self.miner.mine(queries, anchors, references, self.generator, self.remembered)

    def loss(self, batch: MinedTuples) -> StepTerms:
        """The tuples encoded, in the run's precision, and their loss, in full precision."""
        tuples = self.encode_batch(batch)
        with torch.autocast(self.device.type, enabled=False):
            terms = self.tuple_loss(tuples)
        values = {
            "active": terms.active,
            "positive_distance": terms.positive_distance,
            "negative_distance": terms.negative_distance,
        }
        return StepTerms(terms.loss, len(batch), values)

    def encode_batch(self, batch: MinedTuples) -> Tuples:
        """Encode a batch with gradients, each distinct reference window once.

        What is selected is worked out on the CPU, where the tuples are, so that no result of the device is waited for.
        """
        wanted = torch.cat([batch.positives, batch.negatives[batch.mask]])
        distinct, place = wanted.unique(return_inverse=True)
        windows = torch.cat([self.query.gather(batch.anchors), self.reference.gather(distinct)])  # (B + R, L, *F)
        vectors = self.module(windows).float()  # (B + R, O)
        anchors = vectors[: len(batch)]  # (B, O)
        references = vectors[len(batch) :][place.to(self.device, non_blocking=True)]  # (B + n, O)
        rows, columns = (index.to(self.device, non_blocking=True) for index in batch.mask.nonzero(as_tuple=True))
        negatives = vectors.new_zeros(*batch.mask.shape, vectors.shape[1])  # (B, M, O)
        negatives[rows, columns] = references[len(batch) :]
        places = self.reference_places[batch.negatives]  # (B, M, P)
        return Tuples(
            anchors=anchors,
            positives=references[: len(batch)],
            negatives=negatives,
            mask=batch.mask,
            apart=torch.cdist(places, places) > self.negative_radius,
        )

    def validate(self) -> Validation:
        """Score the validation split by exact search: recall@5, recall@1 breaking ties."""
        scene, amp = self.validation, self.settings.amp
        reference, query = (
            side_of(side.windows, side.encode(self.module, amp).cpu().numpy())
            for side in (self.validation_reference, self.validation_query)
        )
        ks = [k for k in RECALLS if k <= len(scene.reference)]
        ranking = search(reference.vectors, query.vectors, max(ks), device=scene.device)
        correct = scene.truth.correct(ranking.indices, scene.radius)
        self.recalls = recall_at(correct, scene.has_positive(), ks)
        shown = Validated(reference, query, ranking.distances[:, 0], correct[:, 0], scene.truth.nearest_reference)
        score = (self.recalls.get(5, self.recalls[1]), self.recalls[1])
        return Validation(score, {recall_name(k): recall for k, recall in self.recalls.items()}, shown)

    def state(self) -> dict[str, Any]:
        """What seqNet's checkpoints hold beside the weights, where mining stands, and what a running mean of frames to
        come begins from."""
        begin = self.validation.adaptation.begin
        return {
            "in_dims": self.module.in_dims,
            "recalls": dict(self.recalls),
            "parallel": False,
            "descriptors": self.descriptors.saved(),
            "adaptation": begin and begin.saved(),
            "mining": self.mining.state(),
            "remembered": self.remembered,
            "generator": self.generator.get_state(),
        }

    def restore(self, state: dict[str, Any], source: str) -> None:
        """Continue from :meth:`state`."""
        check_dims(state, self.module.in_dims, source, self.scene.dataset)
        self.recalls = dict(state["recalls"])
        self.mining = Mining.of(state["mining"])
        self.remembered = state["remembered"]
        self.generator.set_state(state["generator"])


def upgraded(state: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint in today's layout: where loop and task were one, ``progress`` held what is now either's."""
    progress = state.get("progress")
    if progress is None or "mining" in state:
        return state
    totals = dict(progress["totals"])
    samples = int(totals.pop("tuples", 0))
    mined = progress["tuples"]
    mining = {
        "order": progress["order"],
        "part": progress["part"],
        "before": 0,  # counting from the part that was being trained on
        "tuples": mined,
        "found": samples + (len(mined["anchors"]) if mined else 0),  # it matters only whether there were any
    }
    return state | {
        "progress": {
            "epoch": progress["epoch"],
            "step": progress["step"],
            "samples": samples,
            "totals": totals,
            "seconds": progress["seconds"],
            "best": tuple(progress["best"]) if progress["best_epoch"] >= 0 else (),
            "best_epoch": progress["best_epoch"],
            "stale": progress["stale"],
            "converged": progress["learned"],
            "metrics": {recall_name(k): recall for k, recall in progress["recalls"].items()},
        },
        "mining": mining,
        "generator": state["random"]["own"],
    }


def negative_radius(scene: Scene) -> float:
    """Beyond which a reference may be a negative.

    Raises:
        UserError: the split has none.
    """
    if scene.split.negative_radius is None:
        name = scene.split.name
        raise UserError(f"split {name} of {scene.dataset} has no negative_radius, so it cannot be trained on")
    return scene.split.negative_radius


def make_miner(scene: Scene, loss: TupleLoss, n_neg: int, n_neg_sample: int = 0) -> Miner:
    """The miner for a training scene: of ``n_neg`` negatives per anchor, among ``n_neg_sample`` references (0: all).

    Raises:
        UserError: the split says nothing of negatives, or some query has none.
    """
    split, query, reference = scene.split, scene.query, scene.reference
    radius = negative_radius(scene)
    if split.positives is None:
        excluded = Positives.within(query.positions, reference.positions, radius)
    else:  # in reference rows, as the table
        widened = split.positives.of(query.rows).widened(math.floor(radius), reference.traverse.drive_bounds)
        excluded = widened.among(reference.rows)
    if int(excluded.counts.max()) == len(reference):
        units = split.units if split.positives is None else "rows"
        raise UserError(f"a training query has no reference beyond {radius:g} {units}; lower negative_radius")
    return Miner(scene.positives(), excluded, n_neg, loss.violation, loss.squared, n_neg_sample)
