"""Classification networks cut before their classifier, with a global pooling: the baselines of the field."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from opticornet.models.heads.pooling import CLUSTERS, POOLS, Pool, build_pool
from opticornet.models.images.base import Preprocess, Published
from opticornet.models.images.pooled import POOL, PooledEncoder, PooledOptions
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

CHANNELS = {"resnet18": 512, "resnet50": 2048, "vgg16": 512}  # of the last feature map, by torchvision's names
CLASSIFIERS = ("fc.", "classifier.")


class PooledBackbone(PooledEncoder):
    """Convolutions of a network, then a pooling: (B, 3, H, W) -> (B, ``out_dims``), unit rows.

    Args:
        layers: the network's modules under the names of its checkpoint.
        stem, blocks: the same modules in the order in which they work; a block is what is trained or not.
        pool: takes what the last block gives.
        image_size: (height, width) in pixels that images are resized to; None keeps theirs.
    """

    def __init__(
        self,
        layers: nn.Module,
        stem: nn.Module,
        blocks: Sequence[nn.Module],
        pool: Pool,
        image_size: tuple[int, int] | None,
    ) -> None:
        super().__init__()
        self.layers = layers
        self.pool = pool
        self.steps = Steps(stem, tuple(blocks))
        self.first_trained = len(blocks)
        self.out_dims = pool.out_dims
        self.preprocess = Preprocess(image_size)

    def train_blocks(self, count: int) -> None:
        blocks = self.steps.blocks
        if not 0 <= count <= len(blocks):
            raise ValueError(f"it has {len(blocks)} blocks")
        self.first_trained = len(blocks) - count
        self.layers.requires_grad_(False)
        for block in blocks[self.first_trained :]:
            block.requires_grad_(True)

    def frozen(self, images: Tensor) -> Tensor:
        """The map before the first block that learns."""
        return self.steps.run(self.steps.stem(images), 0, self.first_trained)

    def feature_map(self, frozen: Tensor, size: tuple[int, int]) -> Tensor:
        return self.steps.run(frozen, self.first_trained)

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A classifier is left out."""
        return {
            key if key.startswith(("layers.", POOL)) else f"layers.{key}": value
            for key, value in state.items()
            if not key.startswith(CLASSIFIERS)
        }


@dataclass(frozen=True)
class Steps:
    """The modules of a network in the order in which they work; not its own modules, which another holds."""

    stem: nn.Module
    blocks: tuple[nn.Module, ...]

    def run(self, features: Tensor, start: int, stop: int | None = None) -> Tensor:
        """Maps through the blocks ``[start, stop)``."""
        for block in self.blocks[start:stop]:
            features = block(features)
        return features


def build_backbone(
    *, network: str, pool: str = "gem", clusters: int = CLUSTERS, image_size: tuple[int, int] | None = (480, 640)
) -> PooledBackbone:
    """``resnet18``, ``resnet50`` or ``vgg16`` up to its last convolution and the ReLU behind it, weights random.

    Images are resized to 480x640, bilinear, antialiased (the common protocol of the deep visual geo-localization
    benchmark, CVPR 2022); None keeps their own size. A block is a residual block of ``resnet18`` (8) and ``resnet50``
    (16), a convolution of ``vgg16`` (13), with the pooling before it.
    """
    from torchvision import models as networks

    whole = networks.get_model(network, weights=None)
    head = build_pool(pool, CHANNELS[network], clusters=clusters)
    if network == "vgg16":
        layers = nn.Sequential(OrderedDict(features=whole.features[:-1]))  # without the last max pooling
        return PooledBackbone(layers, nn.Identity(), _convolutions(whole.features[:-1]), head, image_size)
    layers = nn.Sequential(OrderedDict(list(whole.named_children())[:-2]))  # without average pooling and fc
    blocks = [block for stage in layers[-4:] for block in stage.children()]
    return PooledBackbone(layers, layers[:-4], blocks, head, image_size)


def _convolutions(features: nn.Sequential) -> list[nn.Module]:
    """VGG's layers, cut behind each ReLU."""
    blocks: list[nn.Module] = []
    block: list[nn.Module] = []
    for layer in features:
        block.append(layer)
        if isinstance(layer, nn.ReLU):
            blocks.append(nn.Sequential(*block))
            block = []
    return blocks


def fetch_weights(*, network: str) -> Path:
    """Path of torchvision's ImageNet weights, downloaded by torchvision into PyTorch's hub folder if not there yet.

    Raises:
        UserError: the download fails.
    """
    from torchvision import models as networks

    weights = networks.get_model_weights(network)["IMAGENET1K_V1"]
    path = Path(torch.hub.get_dir(), "checkpoints", Path(weights.url).name)
    try:
        weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"cannot download {network}'s ImageNet weights: wanted {path.name}, published by torchvision "
            f"(its page 'Models and pre-trained weights'); put it at {path} or name it with `weights`, "
            "or try things out with `weights` random"
        ) from error
    return path


@dataclass(frozen=True, kw_only=True)
class BackboneOptions(PooledOptions):
    """A network of torchvision, cut before its classifier."""

    network: ClassVar[str]
    pool: str = option("--pool", "gem", "pooling of the last feature map", choices=POOLS)

    def build(self) -> PooledBackbone:
        return build_backbone(network=self.network, pool=self.pool, clusters=self.vlad_clusters, **self.resizing())

    def fetch(self) -> Path:
        return fetch_weights(network=self.network)


def _published(file: str) -> Published:
    return Published(file, "torchvision", "its page 'Models and pre-trained weights'")


class ResNet18Options(BackboneOptions):
    """``resnet18``."""

    network = "resnet18"
    trained_blocks = 2
    published = _published("resnet18-f37072fd.pth")


class ResNet50Options(BackboneOptions):
    """``resnet50``."""

    network = "resnet50"
    trained_blocks = 3
    published = _published("resnet50-0676ba61.pth")


class Vgg16Options(BackboneOptions):
    """``vgg16``."""

    network = "vgg16"
    trained_blocks = 3
    published = _published("vgg16-397923af.pth")
