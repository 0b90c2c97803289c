"""FoL in the registry of image encoders."""

from dataclasses import dataclass
from typing import ClassVar

from opticornet.models.images.base import Published, ResizingOptions
from opticornet.models.images.dinov2 import VARIANTS, DinoV2
from opticornet.models.images.fol.aggregator import GuidedAggregator
from opticornet.models.images.fol.encoder import PUBLISHED_SIZE, FoL

SIZES = {"base": "vitb14", "large": "vitl14"}


def build_fol(*, size: str = "large", image_size: tuple[int, int] | None = PUBLISHED_SIZE) -> FoL:
    """FoL on DINOv2 ViT-B (``base``) or ViT-L (``large``), in eval mode, untrained.

    504x504 pixels is the published evaluation; 322x322 is its faster variant and the size of its training.
    """
    model = DinoV2(*VARIANTS[SIZES[size]])
    return FoL(model, GuidedAggregator(model.dim), image_size=image_size).eval()


@dataclass(frozen=True, kw_only=True)
class FoLOptions(ResizingOptions):
    """``fol``."""

    size: ClassVar[str] = "large"
    published: ClassVar[Published | None] = Published("FoL_large.pth", "FoL", "github.com/chenshunpeng/FoL")

    def build(self) -> FoL:
        return build_fol(size=self.size, **self.resizing())


class FoLBaseOptions(FoLOptions):
    """``fol-base``."""

    size = "base"
    published = Published("FoL_base.pth", "FoL", "github.com/chenshunpeng/FoL")
