"""What an image encoder is that can be trained."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from opticornet.models.images.base import ImageEncoder


@dataclass(frozen=True)
class Described:
    """What B images become in training.

    A method whose loss terms need more derives from it; each field is a tensor whose first dimension is B, with its
    gradient.

    Attributes:
        descriptors: (B, D) float32 unit rows.
    """

    descriptors: Tensor


class TrainableImageEncoder(ImageEncoder):
    """An image encoder that learns, in three parts::

        images (B, 3, H, W) --frozen--> (B, *G) --describe--> Described, each of its image alone --relate--> Described

    ``frozen`` does not learn: what it gives of an image may be kept. ``describe`` may be called for a few images of a
    batch at a time; ``relate`` gets all of the batch. Rows of ``forward`` are those of ``relate`` in evaluation mode.
    What does not learn stays in evaluation mode, whatever :meth:`train` says, and so does all batch normalisation.

    Attributes:
        context, training_context: consecutive images of a batch that see one another, in evaluation mode and in
            training; None: all of them.
        starts_from_teacher: whether :meth:`learn_from` gives it its backbone.
    """

    context: int | None = 1
    training_context: int | None = 1
    starts_from_teacher: ClassVar[bool] = False

    @abstractmethod
    def train_blocks(self, count: int) -> None:
        """Let the last ``count`` blocks of the backbone learn, with what lies behind them, and no others.

        The head always learns.

        Raises:
            ValueError: the backbone has fewer.
        """

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self.children() if mode else ():
            _rest(module)
        return self

    @abstractmethod
    def load_backbone(self, state: Mapping[str, Tensor], source: str | Path) -> None:
        """Take the weights of the backbone's own checkpoint; the head keeps what it has.

        Raises:
            UserError: they do not fit; ``source`` names them.
        """

    def start_from_images(self, images: Iterator[Tensor], generator: torch.Generator) -> None:
        """Give the head the weights that training starts from, worked out from batches (N, 3, H, W) of training images;
        by default it keeps those it has."""

    def learn_from(self, teacher: "TrainableImageEncoder") -> bool:
        """Take over from a trained encoder what this one shares with it, and keep it from learning; by default nothing.

        Returns:
            Whether ``frozen`` of both then gives the same, so that one of them will do.

        Raises:
            ValueError: it shares nothing with that one, but should.
        """
        return False

    def frozen(self, images: Tensor) -> Tensor:
        """What does not learn: (B, 3, H, W) to (B, *G); by default the images. Called without gradients."""
        return images

    @abstractmethod
    def describe(self, frozen: Tensor, size: tuple[int, int]) -> Described:
        """What learns, of each image alone: (B, *G) of images of ``size`` = (H, W)."""

    def relate(self, described: Described) -> Described:
        """The images of a whole batch, where they see one another; by default they do not."""
        return described

    def descriptors(self, frozen: Tensor, size: tuple[int, int]) -> Tensor:
        """What :meth:`frozen` gives of images of ``size`` to unit rows (B, ``out_dims``), by no more work than these
        need."""
        return self.relate(self.describe(frozen, size)).descriptors

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        return self.descriptors(self.frozen(images), (height, width))


def _rest(module: nn.Module) -> None:
    """Put into evaluation mode what has weights of which none learns, and batch normalisation."""
    weights = list(module.parameters())
    if isinstance(module, _BatchNorm) or (weights and not any(weight.requires_grad for weight in weights)):
        module.eval()
    else:
        for part in module.children():
            _rest(part)
