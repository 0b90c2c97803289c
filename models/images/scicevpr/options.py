"""SciceVPR and Super-CricaVPR in the registry of image encoders."""

from dataclasses import dataclass
from typing import ClassVar

from opticornet.models.images.base import ImageEncoderOptions, Published, ResizingOptions
from opticornet.models.images.dinov2 import (
    PATCH,
    VARIANTS,
    DinoV2,
    DinoV2BaseOptions,
    DinoV2LargeOptions,
    DinoV2SmallOptions,
)
from opticornet.models.images.scicevpr.encoder import SciceVPR, Student
from opticornet.models.images.scicevpr.parts import FusedLayers
from opticornet.utils.options import option

IMAGE_SIZE = (224, 224)
# size: (DINOv2 variant, 0-based blocks whose outputs are fused)
SIZES = {
    "small": ("vits14", (5, 6, 7, 8)),
    "base": ("vitb14", (8, 9, 10, 11)),
    "large": ("vitl14", (20, 21, 22, 23)),
}
MIXERS = 2


def build_scicevpr(
    *,
    size: str = "base",
    mixers: int = MIXERS,
    mixer_ratio: int = 1,
    layers: tuple[int, ...] = (),
    image_size: tuple[int, int] = IMAGE_SIZE,
) -> SciceVPR:
    """SciceVPR on DINOv2 ViT-B (``base``, 10752-D), ViT-L (``large``, 14336-D) or ViT-S (``small``, 5376-D).

    In eval mode, untrained. ``layers`` are those that are fused, in place of the size's own; blocks behind the last one
    are left out of ``small``.

    Raises:
        ValueError: the backbone has no such layer, or it cannot take images of that size.
    """
    backbone, grid = _backbone(size, layers), _grid(image_size)
    return Student(
        backbone,
        backbone.channels,
        backbone.dino_model.dim,
        mixers=mixers,
        mixer_ratio=mixer_ratio,
        encoder_layers=1,
        context=1,
        training_context=1,
        grid=grid,
    ).eval()


def build_super_cricavpr(
    *,
    size: str = "base",
    mixers: int = MIXERS,
    mixer_ratio: int = 1,
    context: int | None = 1,
    training_context: int | None = None,
    layers: tuple[int, ...] = (),
    image_size: tuple[int, int] = IMAGE_SIZE,
) -> SciceVPR:
    """Super-CricaVPR, the teacher of SciceVPR, same sizes, in eval mode, untrained.

    The original attends across whatever images share a batch, so its recall depends on the batch size and the
    order of the data set. By default each image is alone here (``context=1``), which makes a descriptor its
    image's own; ``context=c`` is the original with batches of c.

    Raises:
        ValueError: as of :func:`build_scicevpr`.
    """
    backbone, grid = _backbone(size, layers), _grid(image_size)
    return SciceVPR(
        backbone,
        backbone.channels,
        backbone.dino_model.dim,
        mixers=mixers,
        mixer_ratio=mixer_ratio,
        encoder_layers=2,
        context=context,
        training_context=training_context,
        grid=grid,
    ).eval()


def _backbone(size: str, layers: tuple[int, ...]) -> FusedLayers:
    variant, own = SIZES[size]
    dim, depth, heads = VARIANTS[variant]
    fused = tuple(sorted({*(layers or own)}))
    if fused[-1] >= depth or fused[0] < 0:
        raise ValueError(f"`fused_layers` {' '.join(map(str, layers))}: its backbone has 0 to {depth - 1}")
    return FusedLayers(DinoV2(dim, fused[-1] + 1 if size == "small" else depth, heads), fused)


def _grid(image_size: tuple[int, int]) -> tuple[int, int]:
    height, width = image_size
    if height % PATCH or width % PATCH:
        raise ValueError(f"`image_size` {height} {width}: wanted multiples of {PATCH} pixels")
    return height // PATCH, width // PATCH


def _published(file: str) -> Published:
    return Published(file, "SciceVPR", "github.com/shuimushan/SciceVPR")


@dataclass(frozen=True, kw_only=True)
class SciceVPROptions(ImageEncoderOptions):
    """``scicevpr``."""

    size: ClassVar[str] = "base"
    published: ClassVar[Published | None] = _published("SciceVPR_base.pth")
    backbone: ClassVar[Published | None] = DinoV2BaseOptions.published
    terms: ClassVar[tuple[str, ...]] = ("ms", "distillation")

    def build(self) -> SciceVPR:
        return build_scicevpr(size=self.size)


class SciceVPRLargeOptions(SciceVPROptions):
    """``scicevpr-large``."""

    size = "large"
    published = _published("SciceVPR_large.pth")
    backbone = DinoV2LargeOptions.published


@dataclass(frozen=True, kw_only=True)
class SmallOptions(ResizingOptions):
    """What the small ones share, of which no weights are published."""

    size: ClassVar[str] = "small"
    published: ClassVar[Published | None] = None
    backbone: ClassVar[Published | None] = DinoV2SmallOptions.published
    keeps_size: ClassVar[bool] = False
    fused_layers: tuple[int, ...] = option(
        "--fusedLayers", SIZES["small"][1], "blocks of the backbone, from 0, whose outputs are fused"
    )

    def chosen(self) -> tuple[tuple[int, ...], tuple[int, int]]:
        """The layers and the image size."""
        height, width = self.image_size or IMAGE_SIZE
        return self.fused_layers, (height, width)


@dataclass(frozen=True, kw_only=True)
class SciceVPRSmallOptions(SmallOptions, SciceVPROptions):
    """``scicevpr-small``."""

    def build(self) -> SciceVPR:
        layers, image_size = self.chosen()
        return build_scicevpr(size=self.size, layers=layers, image_size=image_size)


@dataclass(frozen=True, kw_only=True)
class SuperCricaVPROptions(ImageEncoderOptions):
    """``super-cricavpr``."""

    size: ClassVar[str] = "base"
    published: ClassVar[Published | None] = _published("Super-CricaVPR_base.pth")
    backbone: ClassVar[Published | None] = DinoV2BaseOptions.published
    terms: ClassVar[tuple[str, ...]] = ("ms",)
    context: int = option(
        "--context",
        0,
        "images that attend to one another, consecutive ones of a batch; 0: all of a batch in training, none otherwise",
    )

    def contexts(self) -> tuple[int, int | None]:
        """In evaluation and in training."""
        return self.context or 1, self.context or None

    def build(self) -> SciceVPR:
        alone, together = self.contexts()
        return build_super_cricavpr(size=self.size, context=alone, training_context=together)


class SuperCricaVPRLargeOptions(SuperCricaVPROptions):
    """``super-cricavpr-large``."""

    size = "large"
    published = _published("Super-CricaVPR_large.pth")
    backbone = DinoV2LargeOptions.published


@dataclass(frozen=True, kw_only=True)
class SuperCricaVPRSmallOptions(SmallOptions, SuperCricaVPROptions):
    """``super-cricavpr-small``."""

    def build(self) -> SciceVPR:
        alone, together = self.contexts()
        layers, image_size = self.chosen()
        return build_super_cricavpr(
            size=self.size, context=alone, training_context=together, layers=layers, image_size=image_size
        )
