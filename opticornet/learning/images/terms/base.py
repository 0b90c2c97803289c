"""What a term of the loss of an image encoder is, and what it is given."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from opticornet.models.images.trainable import Described
from opticornet.utils.options import Choice


@dataclass(frozen=True)
class LabelledImages:
    """A batch of images whose places are known.

    Attributes:
        described: what the encoder makes of B images, in the order of their places.
        places: (B,) int64, equal for images of one place, which are neighbours.
        size: (H, W) in pixels of the images.
        generator: of the CPU; whatever a term draws comes from it.
        targets: (B, D) unit rows of a teacher; None: there is none.
    """

    described: Described
    places: Tensor
    size: tuple[int, int]
    generator: torch.Generator
    targets: Tensor | None = None


class LossTerm(nn.Module, ABC):
    """One term of the loss, in full precision.

    Attributes:
        takes: what it needs of an encoder; its class or one derived from it.
        needs_targets: whether it needs a teacher.
    """

    takes: ClassVar[type[Described]] = Described
    needs_targets: ClassVar[bool] = False

    @abstractmethod
    def forward(self, images: LabelledImages) -> Tensor:
        """A scalar to be minimised; zero, with a gradient of zeros, where there is nothing to learn from."""


@dataclass(frozen=True, kw_only=True)
class LossTermOptions(Choice, ABC):
    """The entry of a term in ``LOSS_TERMS``.

    Attributes:
        weight: of the term in the sum, as published.
    """

    weight: ClassVar[float] = 1.0

    @abstractmethod
    def build(self) -> LossTerm:
        """The term."""
