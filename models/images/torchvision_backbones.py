"""Classification networks cut before their classifier, with a global pooling: the baselines of the field."""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from opticornet.models.heads.pooling import CLUSTERS, POOLS, build_pool
from opticornet.models.images.base import Preprocess, Published
from opticornet.models.images.convolutions import PooledConvolutions
from opticornet.models.images.pooled import PooledOptions
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

CHANNELS = {"resnet18": 512, "resnet50": 2048, "vgg16": 512}  # of the last feature map, by torchvision's names


def build_backbone(
    *, network: str, pool: str = "gem", clusters: int = CLUSTERS, image_size: tuple[int, int] | None = (480, 640)
) -> PooledConvolutions:
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
        return PooledConvolutions(
            layers, nn.Identity(), _convolutions(whole.features[:-1]), head, Preprocess(image_size)
        )
    layers = nn.Sequential(OrderedDict(list(whole.named_children())[:-2]))  # without average pooling and fc
    blocks = [block for stage in layers[-4:] for block in stage.children()]
    return PooledConvolutions(layers, layers[:-4], blocks, head, Preprocess(image_size))


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

    def build(self) -> PooledConvolutions:
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
