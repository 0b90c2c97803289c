"""The task of learning an image encoder from images whose places are known."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from opticornet.datasets.images.frames import ImageFrames
from opticornet.learning.images.cost import ImageCost, cost_notes
from opticornet.learning.images.describing import describe
from opticornet.learning.images.frozen import FrozenImages
from opticornet.learning.images.loss import LOSS, WeightedTerm, total
from opticornet.learning.images.sampling import PlaceBatch, PlaceSampler
from opticornet.learning.images.teacher import Teacher
from opticornet.learning.images.terms.base import LabelledImages
from opticornet.learning.images.validating import ImageValidation
from opticornet.learning.optimizers.base import trainable
from opticornet.learning.task import LearningTask, StepTerms, Validation
from opticornet.models.images.trainable import Described, TrainableImageEncoder
from opticornet.utils.errors import UserError

SHOWN_PLACES = 3  # of a batch, in a message
STARTING_IMAGES = 512  # that the head's first weights are worked out from
Alteration = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class NumberedBatch:
    """A batch and which one it is: everything that is drawn for it follows from its number.

    Attributes:
        batch: rows and places.
        number: of the epoch and of the batch in it, from 0.
    """

    batch: PlaceBatch
    number: tuple[int, int]


@dataclass(frozen=True)
class ImageSettings:
    """How images are learned from.

    Attributes:
        images_at_once: images whose gradients are in memory at a time; 0: all of a batch.
        alter: what makes an image another one, uint8 (1, 3, H, W) to the same, drawing from PyTorch's generator of the
            CPU; None: images stay as they are, and what does not learn sees each of them once.
        amp: matrix products in bfloat16.
        seed: of everything that is drawn for a batch.
    """

    images_at_once: int = 0
    alter: Alteration | None = None
    amp: bool = False
    seed: int = 0


class PlaceTask(LearningTask[NumberedBatch]):
    """Batches of some images of some places.

    Args:
        method: what the encoder is called.
        encoder: on the device of ``images``.
        terms: of the loss.
        images: of the sampler's place set, in its order, prepared for training.
        sampler: says which images a batch holds.
        validation: scores the encoder.
        settings: of batches.
        teacher: whose descriptors are targets; None: there are none.
    """

    module: TrainableImageEncoder
    counted = "images"

    def __init__(
        self,
        method: str,
        encoder: TrainableImageEncoder,
        terms: Sequence[WeightedTerm],
        images: ImageFrames,
        sampler: PlaceSampler,
        validation: ImageValidation,
        settings: ImageSettings,
        teacher: Teacher | None = None,
    ) -> None:
        self.method, self.module, self.terms, self.sampler = method, encoder, tuple(terms), sampler
        self.images, self.validation, self.settings, self.teacher = images, validation, settings, teacher
        self.device = images.device
        self.frozen = FrozenImages(images, encoder, amp=settings.amp)
        own = teacher is not None and not teacher.shares_frozen
        self.teachers_frozen = FrozenImages(images, teacher.encoder, amp=settings.amp) if teacher and own else None
        self.places: np.ndarray = np.empty(0, np.int64)  # of the last batch
        self.epoch = 0

    def start(self) -> None:
        """Work out the weights that the encoder's head starts from, where it has such.

        Raises:
            UserError: the images do not suffice.
        """
        rows = np.random.default_rng(self.settings.seed).permutation(len(self.images))[:STARTING_IMAGES]
        batches = torch.from_numpy(np.sort(rows)).split(16)
        images = (self.images.windows(part, 1)[:, 0] for part in batches)
        try:
            self.module.start_from_images(images, torch.Generator().manual_seed(self.settings.seed))
        except ValueError as error:
            raise UserError(f"{self.method} cannot start from {self.sampler.places.name}: {error}") from error

    def describe(self) -> str:
        """Encoder, data and device."""
        parameters = sum(p.numel() for p in self.module.parameters())
        learning = sum(p.numel() for p in trainable(self.module))
        some = "" if learning == parameters else f" ({learning:,} learning)"
        places = self.sampler.places
        return (
            f"{self.method}, {parameters:,} parameters{some}, on {places.name}: {len(places)} images of "
            f"{len(places.labels)} places, loss {' + '.join(map(str, self.terms))}, {self.device}"
        )

    def batches(self, epoch: int, done: int) -> Iterator[NumberedBatch]:
        """As the sampler gives them."""
        self.epoch = epoch
        for number, batch in enumerate(self.sampler.batches(epoch, done), done):
            yield NumberedBatch(batch, (epoch, number))

    def known_batches(self) -> int:
        """All of the epoch."""
        return self.sampler.known_batches(self.epoch)

    def loss(self, batch: NumberedBatch) -> StepTerms:
        """The weighted sum of the terms, worked out in full precision."""
        self.places = batch.batch.places
        images = self.altered(batch)
        frozen, size = self.frozen_of(batch, images), self.frozen.size
        described = self.module.relate(describe(self.module, frozen, size, self.settings.images_at_once))
        targets = None
        if self.teacher is not None:
            shared = self.teachers_frozen is None
            targets = self.teacher.targets(
                frozen if shared else self.frozen_of(batch, images, self.teachers_frozen), size
            )
        with torch.autocast(self.device.type, enabled=False):
            loss, values = total(
                self.terms,
                LabelledImages(
                    described,
                    torch.from_numpy(batch.batch.places).to(self.device),
                    size,
                    torch.Generator().manual_seed(self.seed_of(batch.number, 1)),
                    targets,
                ),
            )
        return StepTerms(loss, len(batch.batch), values)

    @torch.no_grad()
    def of_two_images(self) -> Described:
        """What the encoder makes of the first images, which shows whether they are as it wants them.

        Raises:
            ValueError: they are not.
        """
        training = self.module.training
        self.module.eval()
        frozen = self.frozen.of(self.images.windows(torch.arange(2), 1)[:, 0])
        described = self.module.relate(self.module.describe(frozen, self.frozen.size))
        self.module.train(training)
        return described

    def cost_notes(self) -> list[str]:
        """What an image, a step and an epoch take (:func:`opticornet.learning.images.cost.cost_notes`); nothing of an
        encoder whose work depends on values."""
        try:
            cost = ImageCost.of(self.module, self.images.frame_shape)
            taught = None if self.teacher is None else ImageCost.of(self.teacher.encoder, self.images.frame_shape)
        except RuntimeError:  # it cannot be counted
            return []
        sampler, settings = self.sampler, self.settings
        return cost_notes(
            cost,
            sampler.places_per_batch * sampler.images_per_place,
            settings.images_at_once,
            steps=sampler.known_batches(0),
            frozen_kept=settings.alter is None and self.frozen.keeps,
            amp=settings.amp,
            device=self.device,
            teacher=taught,
            frozen_shared=self.teachers_frozen is None,
        )

    def frozen_of(self, batch: NumberedBatch, images: Tensor | None, source: FrozenImages | None = None) -> Tensor:
        """What does not learn makes of a batch: of altered ``images`` (B, 3, H, W), or None for those of its rows."""
        source = self.frozen if source is None else source
        if images is None:
            return source.rows(batch.batch.rows.tolist())
        return torch.cat([source.of(part) for part in images.split(self.settings.images_at_once or len(images))])

    def altered(self, batch: NumberedBatch) -> Tensor | None:
        """The images of a batch (B, 3, H, W), each altered on its own; None where they are not to be."""
        alter = self.settings.alter
        if alter is None:
            return None
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed_of(batch.number, 0))
            return self.images.altered(batch.batch.rows[:, None], alter)[:, 0]

    def seed_of(self, number: tuple[int, int], stream: int) -> int:
        """A seed for one kind of draws of a batch."""
        return int(np.random.default_rng((self.settings.seed, *number, stream)).integers(2**62))

    def validate(self) -> Validation:
        """Score the validation split."""
        return self.validation()

    def not_finite(self, numbers: Mapping[str, float]) -> str:
        """Which term it was, of which places."""
        term = next((name for name in numbers if name.startswith(LOSS)), None)
        what = f"the term {term.removeprefix(LOSS)} became {numbers[term]}" if term else super().not_finite(numbers)
        labels = [self.sampler.places.labels[place] for place in dict.fromkeys(self.places.tolist())]
        more = f" and {len(labels) - SHOWN_PLACES} more" if len(labels) > SHOWN_PLACES else ""
        return f"{what} on the places {', '.join(labels[:SHOWN_PLACES])}{more}"

    def state(self) -> dict[str, Any]:
        """What tells whether a run continues on the same images, and is judged by the same."""
        own = {"sampling": self.sampler.state(), "validation": self.validation.digest}
        return own | {"out_dims": self.module.out_dims}

    def restore(self, state: dict[str, Any], source: str) -> None:
        """Continue from :meth:`state`."""
        self.sampler.restore(state["sampling"], source)
        if state["validation"] != self.validation.digest:
            raise UserError(
                f"{source}: validated by other images than those of {self.validation.scene.dataset}, or by other "
                "correct references, so that its best is not comparable; put those back, or start anew"
            )
