"""The run whose encoder teaches another one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from opticornet.inference.image_runs import load_image_run
from opticornet.inference.runs import find_run, named_checkpoint, read_flags
from opticornet.models.images.base import Preprocess, WeightsRecord
from opticornet.models.images.trainable import TrainableImageEncoder
from opticornet.options.modes import TrainImagesOptions
from opticornet.options.plugins import load_remembered
from opticornet.utils.errors import UserError


@dataclass(frozen=True)
class TeacherRun:
    """A trained encoder, at work in the training of another one.

    Attributes:
        path: of its run.
        named: the run, or the checkpoint of it that the options name.
        method: its name.
        encoder: on the device of training.
        weights: where they come from.
        batch: images of a step.
    """

    path: str
    named: str
    method: str
    encoder: TrainableImageEncoder
    weights: WeightsRecord
    batch: int

    @property
    def context(self) -> int:
        """How many images of a batch see one another in it."""
        return min(self.encoder.context or self.batch, self.batch)

    @classmethod
    def of(cls, options: TrainImagesOptions, device: torch.device) -> Self | None:
        """The run that the options name; None where they name none.

        Raises:
            UserError: there is no such run, it learned no image encoder, or from images that were prepared otherwise.
        """
        if not options.teacher:
            return None
        run = find_run(options.teacher, options.runs_path, options.save_path, "teacher")
        checkpoint = named_checkpoint(options.teacher)
        load_remembered(read_flags(run, options.save_path).get("plugins", {}), options.plugin, str(run))
        found = load_image_run(run, checkpoint=checkpoint or "best", save_path=options.save_path)
        if options.no_normalise != bool(found.flags.get("noNormalise")):
            change = "leave `no_normalise` out" if options.no_normalise else "give `no_normalise`"
            raise UserError(
                f"`teacher` {run}: it learned from images that were normalised otherwise, and sees those of its "
                f"student; {change}, or choose another"
            )
        together = options.places_per_batch * options.images_per_place
        named = options.teacher if checkpoint else str(run)
        return cls(str(run), named, found.method, found.encoder.to(device), found.encoder.weights, together)

    def teach(self, encoder: TrainableImageEncoder, name: str, context: int = 0) -> bool:
        """Let an encoder take over what it shares with this one, of which ``context`` images see one another (0: as
        many as when it was trained).

        Returns:
            Whether ``frozen`` of both then gives the same.

        Raises:
            UserError: their descriptors differ in size, they take differently prepared images, or no images see one
                another in this one.
        """
        if encoder.out_dims != self.encoder.out_dims:
            raise UserError(
                f"`teacher` {self.path}: {self.method} gives {self.encoder.out_dims} numbers and {name} "
                f"{encoder.out_dims}; wanted as many, as of the same backbone"
            )
        if _normalisation(encoder) != _normalisation(self.encoder):
            raise UserError(f"`teacher` {self.path}: {self.method} normalises images otherwise than {name}")
        try:
            shares_frozen = encoder.learn_from(self.encoder)
        except ValueError as error:
            raise UserError(f"`teacher` {self.path}: {name} cannot learn from it, {error}") from error
        if context and self.encoder.training_context == 1:
            raise UserError(f"`teacher_context` {context}: {self.method} sees each image alone; leave it out")
        self.encoder.context = context or self.encoder.training_context
        return shares_frozen

    @torch.no_grad()
    def check_images(self, images: Tensor) -> None:
        """Raise :class:`UserError` where it cannot take such images (B, 3, H, W)."""
        try:
            self.encoder(images)
        except ValueError as error:  # how encoders refuse image sizes
            raise UserError(f"`teacher` {self.path}: {self.method}: {error}; choose another `train_size`") from error

    def check_resumed(self, recorded: Mapping[str, Any], run: str) -> None:
        """Raise :class:`UserError` where it is not the one that ``run``, resumed, kept ``recorded`` of."""
        if not recorded:
            raise UserError(f"`teacher` {self.path}: {run} learned without one; leave it out")
        if recorded.get("sha256") != self.weights.sha256:
            raise UserError(
                f"`teacher` {self.path}: its weights are not those that {run} was taught by; put those back, or start "
                "a new run"
            )

    def notes(self) -> list[str]:
        """How many images the teacher sees together."""
        together = "sees each image alone" if self.context == 1 else f"sees {self.context} of them together"
        return [f"of the {self.batch} images of a batch the teacher, {self.method} of {self.path}, {together}"]

    def record(self) -> dict[str, Any]:
        """What a run keeps of it."""
        return {"path": self.path, "method": self.method, "sha256": self.weights.sha256, "context": self.context}


def _normalisation(encoder: TrainableImageEncoder) -> tuple[tuple[float, ...], ...]:
    prepare = encoder.preprocess
    return (prepare.mean, prepare.std) if isinstance(prepare, Preprocess) else ()
