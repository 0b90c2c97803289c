"""FoL in the registry of image encoders."""

from dataclasses import dataclass
from typing import ClassVar

from opticornet.models.images.base import Published, ResizingOptions
from opticornet.models.images.dinov2 import (
    PATCH,
    VARIANTS,
    DinoV2,
    DinoV2BaseOptions,
    DinoV2LargeOptions,
    DinoV2SmallOptions,
    first_blocks,
)
from opticornet.models.images.fol.aggregator import GuidedAggregator
from opticornet.models.images.fol.encoder import PUBLISHED_SIZE, FoL
from opticornet.models.images.fol.local_features import CELLS
from opticornet.utils.options import option

SIZES = {"small": "vits14", "base": "vitb14", "large": "vitl14"}


@dataclass(frozen=True)
class HeadSizes:
    """Sizes of what lies behind the backbone, as published.

    Attributes:
        clusters: of patches; an image has more patches than these.
        cluster_dims: numbers of a cluster in the descriptor.
        token_dims: numbers of the CLS token in it.
        cells: patches that have local features.
    """

    clusters: int = 64
    cluster_dims: int = 128
    token_dims: int = 256
    cells: int = CELLS


PUBLISHED_HEAD = HeadSizes()


def build_fol(
    *,
    size: str = "large",
    image_size: tuple[int, int] | None = PUBLISHED_SIZE,
    blocks: int = 0,
    head: HeadSizes = PUBLISHED_HEAD,
) -> FoL:
    """FoL on DINOv2 ViT-S, ViT-B or ViT-L (``small``, ``base``, ``large``), in eval mode, untrained.

    504x504 pixels is the published evaluation; 322x322 is its faster variant and the size of its training. ``blocks``
    takes the backbone's first ones alone.

    Raises:
        ValueError: the backbone has fewer blocks, or images of that size have no more patches than there are clusters.
    """
    dim, depth, heads = VARIANTS[SIZES[size]]
    if image_size is not None and (patches := (image_size[0] // PATCH) * (image_size[1] // PATCH)) <= head.clusters:
        raise ValueError(
            f"`image_size` {image_size[0]} {image_size[1]} has {patches} patches of {PATCH}x{PATCH} pixels: wanted "
            f"more than its {head.clusters} clusters"
        )
    model = DinoV2(dim, first_blocks(blocks, depth), heads)
    aggregator = GuidedAggregator(dim, head.clusters, head.cluster_dims, head.token_dims)
    return FoL(model, aggregator, cells=head.cells, image_size=image_size).eval()


@dataclass(frozen=True, kw_only=True)
class FoLOptions(ResizingOptions):
    """``fol``."""

    size: ClassVar[str] = "large"
    published: ClassVar[Published | None] = Published("FoL_large.pth", "FoL", "github.com/chenshunpeng/FoL")
    terms: ClassVar[tuple[str, ...]] = ("ms", "local", "alignment", "contrast", "weak")
    trained_blocks: ClassVar[int] = 4
    backbone: ClassVar[Published | None] = DinoV2LargeOptions.published

    def build(self) -> FoL:
        return build_fol(size=self.size, **self.resizing())


class FoLBaseOptions(FoLOptions):
    """``fol-base``."""

    size = "base"
    published = Published("FoL_base.pth", "FoL", "github.com/chenshunpeng/FoL")
    backbone = DinoV2BaseOptions.published


@dataclass(frozen=True, kw_only=True)
class FoLSmallOptions(FoLOptions):
    """``fol-small``, of which no weights are published: its sizes are chosen."""

    size: ClassVar[str] = "small"
    published: ClassVar[Published | None] = None
    backbone: ClassVar[Published | None] = DinoV2SmallOptions.published
    backbone_blocks: int = option("--backboneBlocks", 0, "the backbone's first blocks alone; 0: all")
    fol_clusters: int = option(
        "--folClusters", 32, "clusters of patches; images have more patches than these", minimum=1
    )
    fol_cluster_dims: int = option("--folClusterDims", 128, "numbers of a cluster in the descriptor", minimum=1)
    fol_token_dims: int = option("--folTokenDims", 256, "numbers of the class token in the descriptor", minimum=1)
    fol_cells: int = option("--folCells", 100, "patches that have local features, at most", minimum=1)

    def build(self) -> FoL:
        head = HeadSizes(self.fol_clusters, self.fol_cluster_dims, self.fol_token_dims, self.fol_cells)
        sizes = {"image_size": (224, 224)} | self.resizing()
        return build_fol(size=self.size, blocks=self.backbone_blocks, head=head, **sizes)
