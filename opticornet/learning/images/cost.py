"""What training an image encoder takes, counted before it starts, on images that have no pixels."""

import copy
from dataclasses import dataclass, fields

import torch

from opticornet.learning.counting import Cost, counted, memory_in_words, places_of_weights, work_in_words
from opticornet.learning.optimizers.base import trainable
from opticornet.models.images.trainable import Described, TrainableImageEncoder
from opticornet.utils.device import memory_of

WAY_BACK = 2  # times the operations of the way forward
PER_WEIGHT = 3 * 4  # bytes: its gradient and an optimizer's two moments of it


@dataclass(frozen=True)
class ImageCost:
    """What an image costs.

    Attributes:
        frozen: before the part that learns.
        described: in it.
        described_bytes: of what comes out of it.
        weight_bytes: of all weights, with what is beside those that learn.
    """

    frozen: Cost
    described: Cost
    described_bytes: int
    weight_bytes: int

    @classmethod
    def of(cls, encoder: TrainableImageEncoder, shape: tuple[int, ...]) -> "ImageCost":
        """Of an image (3, H, W); nothing is computed.

        Raises:
            RuntimeError: what the encoder does depends on values.
        """
        encoder = copy.deepcopy(encoder).to("meta").train()
        weights, height, width = places_of_weights(encoder), *shape[-2:]
        image = torch.empty(1, *shape, device="meta")
        with torch.no_grad():
            frozen, given = counted(encoder.frozen, image, weights)
        found, described = counted(lambda given: encoder.describe(given, (height, width)), given, weights)
        learning = sum(parameter.numel() for parameter in trainable(encoder))
        size = 4 * sum(parameter.numel() for parameter in encoder.parameters()) + PER_WEIGHT * learning
        return cls(frozen, found, _bytes(described), size)

    def operations(self, images: int, at_once: int, frozen_kept: bool) -> int:
        """Of a step on some images, ``at_once`` of them at a time (0: all)."""
        forward = 2 if 0 < at_once < images else 1
        known = 0 if frozen_kept else self.frozen.operations
        return images * (known + (forward + WAY_BACK) * self.described.operations)

    def memory(self, images: int, at_once: int) -> int:
        """Bytes of a step: weights, what is remembered for the way back, and what comes out with its gradient."""
        together = min(at_once, images) if at_once else images
        return self.weight_bytes + together * self.described.gradient_bytes + 2 * images * self.described_bytes


def _bytes(described: Described) -> int:
    return sum(getattr(described, f.name).untyped_storage().nbytes() for f in fields(described))


def cost_notes(
    cost: ImageCost,
    images: int,
    at_once: int,
    *,
    steps: int,
    frozen_kept: bool,
    amp: bool,
    device: torch.device,
    teacher: ImageCost | None = None,
    frozen_shared: bool = False,
) -> list[str]:
    """What an image, a step and an epoch take, in a line; a second one where memory may not do.

    Args:
        images: of a step, ``at_once`` at a time (0: all).
        steps: of an epoch.
        frozen_kept: whether what comes before the part that learns is worked out once for all epochs.
        amp: in bfloat16, which takes half of the memory at the least.
        teacher: which describes the images, too.
        frozen_shared: whether it takes them from where the part that learns does.
    """
    operations = cost.operations(images, at_once, frozen_kept)
    need = cost.memory(images, at_once)
    in_teacher = ""
    if teacher is not None:
        own = 0 if frozen_shared or frozen_kept else teacher.frozen.operations
        of_teacher = own + teacher.described.operations
        operations, need = operations + images * of_teacher, need + teacher.weight_bytes
        in_teacher = f", {work_in_words(of_teacher)} in the teacher"
    once = ", once," if frozen_kept else ""
    lines = [
        f"note: an image takes {work_in_words(cost.frozen.operations)}{once} before the part that learns and "
        f"{work_in_words(cost.described.operations)} in it{in_teacher}; a step of {images} images takes "
        f"{work_in_words(operations)} and {memory_in_words(need)}, the {steps} of an epoch "
        f"{work_in_words(steps * operations)}"
    ]
    least = need // 2 if amp else need
    if least > memory_of(device):
        lines.append(
            f"warning: that may be more than the {memory_in_words(memory_of(device))} of memory here: choose a smaller "
            "`images_at_once` or `train_size`"
        )
    return lines
