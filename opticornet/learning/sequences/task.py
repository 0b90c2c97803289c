"""The task of learning a sequence encoder from windows that show the same or other places."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from opticornet.datasets.descriptors.identity import SplitIdentity
from opticornet.datasets.frames import FrameSource
from opticornet.evaluation.scene import Scene, side_of
from opticornet.evaluation.stress import altered
from opticornet.evaluation.validated import EncodedSide, Validated
from opticornet.inference.load import check_dims
from opticornet.learning.augmentation.augmenter import Augmenter
from opticornet.learning.augmentation.base import AugmentationOptions
from opticornet.learning.judging import judge
from opticornet.learning.losses.base import ComparisonLoss, TupleLoss
from opticornet.learning.optimizers.base import trainable
from opticornet.learning.selection import OTHER_PACES, recalls_of, score_of
from opticornet.learning.sequences.batches import BatchSource
from opticornet.learning.sequences.comparisons import ComparisonBatches
from opticornet.learning.sequences.cost import cost_notes
from opticornet.learning.sequences.kept import KeptFrames
from opticornet.learning.sequences.places import TrainingPlaces
from opticornet.learning.sequences.sides import Side, sides
from opticornet.learning.sequences.start import start_from_data
from opticornet.learning.sequences.tuples import MiningSettings, TupleBatches
from opticornet.learning.task import LearningTask, StepTerms, Validation
from opticornet.models.sequences.base import ImageSequenceEncoder, SequenceEncoder
from opticornet.utils.errors import UserError


@dataclass(frozen=True)
class SequenceSettings:
    """What a task learns from and how it is judged.

    Attributes:
        mining: of a loss over tuples; its batch size and its anchors per epoch are any loss's.
        references: per step of a loss over comparisons; 0: all.
        augmentation: of the anchors' windows.
        seed: of the order of anchors, the references drawn and the augmentation.
        amp: matrix products of validation in bfloat16.
        select_by: what decides which validation is best, of ``opticornet.learning.selection.MEASURES``.
        start_from_data: whether :meth:`SequenceTask.start` prepares the encoder from training frames.
        keep_described: describe each frame once and keep it: what describes them, of an encoder of images, is frozen.
    """

    mining: MiningSettings
    references: int = 0
    augmentation: AugmentationOptions = field(default_factory=AugmentationOptions)
    seed: int = 0
    amp: bool = False
    select_by: str = "mean-recall"
    start_from_data: bool = False
    keep_described: bool = False


class SequenceTask(LearningTask[Any]):
    """Windows of frames, in batches of the kind that the loss takes.

    Args:
        method: what the encoder is called.
        encoder: moved to the device of ``scene``.
        loss: of tuples or comparisons.
        scene: the training split.
        validation: the validation split.
        settings: of batches and validation.

    Raises:
        UserError: the split says nothing of negatives, a traverse has no frames that the encoder takes, or the
            augmentation does not fit the data.
    """

    module: SequenceEncoder

    def __init__(
        self,
        method: str,
        encoder: SequenceEncoder,
        loss: TupleLoss | ComparisonLoss,
        scene: Scene,
        validation: Scene,
        settings: SequenceSettings,
    ) -> None:
        self.method, self.settings = method, settings
        self.scene, self.validation, self.device = scene, validation, scene.device
        self.module = encoder.to(self.device)
        self.places = TrainingPlaces.of(scene, self.module, self.kept)
        self.validation_query, self.validation_reference = sides(validation, self.module, self.kept)
        self.altered_query = self.validation_at_other_paces()
        takes_images = self.module.takes == "images"
        self.descriptors = SplitIdentity() if takes_images else SplitIdentity.of(scene.split)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.source = self.make_source(loss)
        self.recalls: dict[int, float] = {}  # of the last validation

    def kept(self, frames: FrameSource) -> FrameSource:
        """The frames as they are, or, where the settings say so, as the encoder describes them."""
        if isinstance(self.module, ImageSequenceEncoder) and self.settings.keep_described:
            return KeptFrames(frames, self.module, amp=self.settings.amp)
        return frames

    def make_source(self, loss: TupleLoss | ComparisonLoss) -> BatchSource[Any]:
        """The kind of batches that a loss takes."""
        settings, augmenter = self.settings, self.make_augmenter()
        shared = (self.generator, augmenter)
        if isinstance(loss, TupleLoss):
            return TupleBatches(self.module, loss, self.places, settings.mining, *shared)
        size, count = settings.mining.batch_size, settings.mining.queries_per_epoch
        return ComparisonBatches(self.module, loss, self.places, size, settings.references, *shared, count)

    def make_augmenter(self) -> Augmenter | None:
        """What makes the anchors' windows otherwise; None: they stay as they were recorded.

        Raises:
            UserError: it does not fit the data.
        """
        wanted = self.settings.augmentation
        if not (wanted.changes_pace or wanted.changes_descriptors or wanted.changes_images):
            return None
        try:
            return Augmenter(wanted, self.scene, self.places.query, self.places.reference, self.generator)
        except ValueError as error:
            what = "images: {}; leave out" if wanted.changes_images else "descriptors: {}; give `noise` 0, or leave out"
            raise UserError(f"`augment` {what.format(error)} `augment`") from error

    def validation_at_other_paces(self) -> Side | None:
        """The validation queries as training augments its own in time, the same each time; None: it does not."""
        pace, scene = self.settings.augmentation.pace(), self.validation
        if pace is None:
            return None
        return sides(altered(scene, pace, scene.query.length, self.settings.seed), self.module, self.kept)[0]

    def start(self) -> None:
        """Prepare the encoder from training frames, where the settings say so."""
        if self.settings.start_from_data:
            start_from_data(self.module, self.scene, self.places, self.generator)

    def cost_notes(self) -> list[str]:
        """What a step takes, of an encoder of images (:func:`opticornet.learning.sequences.cost.cost_notes`)."""
        if not isinstance(self.module, ImageSequenceEncoder):
            return []
        query, reference = self.places.query, self.places.reference
        amp = self.settings.amp
        return cost_notes(self.module, self.source, query, reference, amp=amp, device=self.device)

    def describe(self) -> str:
        """Encoder, data and device."""
        parameters = sum(p.numel() for p in self.module.parameters())
        learning = sum(p.numel() for p in trainable(self.module))
        some = "" if learning == parameters else f" ({learning:,} learning)"
        return (
            f"{self.method}, {parameters:,} parameters{some}, on {self.scene.dataset}: "
            f"{len(self.scene.query)} query and {len(self.scene.reference)} reference windows of "
            f"{self.scene.query.length} frames, {self.device}"
        )

    def batches(self, epoch: int, done: int) -> Iterator[Any]:
        """As the source of the loss's kind gives them."""
        return self.source.batches(done)

    def known_batches(self) -> int | None:
        """As far as the source knows."""
        return self.source.known_batches()

    def finished(self) -> bool:
        """Whether the source has nothing to learn from any more."""
        return self.source.finished()

    def loss(self, batch: Any) -> StepTerms:
        """As the source says."""
        return self.source.loss(batch)

    def validate(self) -> Validation:
        """Score the validation split by exact search, as the settings' ``select_by`` says; where training augments in
        time, by the mean of the queries as recorded and of those at other paces."""
        reference, query = (self.encoded(side) for side in (self.validation_reference, self.validation_query))
        found = judge(self.validation, reference.vectors, query.vectors)
        judged = metrics = found.metrics
        self.recalls = recalls_of(metrics)
        if self.altered_query is not None:
            others = judge(self.validation, reference.vectors, self.encoded(self.altered_query).vectors).metrics
            judged = {name: (metrics[name] + others[name]) / 2 for name in others}
            metrics = metrics | {f"{OTHER_PACES}{name}": value for name, value in others.items()}
        shown = Validated(reference, query, found.distances, found.correct, self.validation.truth.nearest_reference)
        return Validation(score_of(judged, self.settings.select_by), metrics, shown)

    def encoded(self, side: Side) -> EncodedSide:
        """A side of the validation split, on the CPU."""
        return side_of(side.windows, side.encode(self.module, self.settings.amp).cpu().numpy())

    def state(self) -> dict[str, Any]:
        """What seqNet's checkpoints hold beside the weights, where the source stands, and what a running mean of frames
        to come begins from."""
        begin = self.validation.adaptation.begin
        return self.source.state() | {
            "in_dims": self.module.in_dims,
            "recalls": dict(self.recalls),
            "parallel": False,
            "descriptors": self.descriptors.saved(),
            "adaptation": begin and begin.saved(),
            "generator": self.generator.get_state(),
        }

    def restore(self, state: dict[str, Any], source: str) -> None:
        """Continue from :meth:`state`."""
        check_dims(state, self.module.in_dims, source, self.scene.dataset)
        self.recalls = dict(state["recalls"])
        self.source.restore(state)
        self.generator.set_state(state["generator"])
