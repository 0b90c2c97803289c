"""Classification networks cut before their classifier, with a global pooling: the baselines of the field."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from opticornet.models.heads.gem import POOLS, check_pool, global_pool
from opticornet.models.images.base import ImageEncoder, Preprocess, Published, ResizingOptions, load_state
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

CHANNELS = {"resnet18": 512, "resnet50": 2048, "vgg16": 512}  # of the last feature map, by torchvision's names
CLASSIFIERS = ("fc.", "classifier.")


class PooledBackbone(ImageEncoder):
    """Convolutional layers of a torchvision network, then pooling: (B, 3, H, W) -> (B, ``out_dims``), unit rows."""

    def __init__(self, layers: nn.Sequential, out_dims: int, *, pool: str, image_size: tuple[int, int] | None) -> None:
        super().__init__()
        check_pool(pool)
        self.layers = layers
        self.pool = pool
        self.out_dims = out_dims
        self.preprocess = Preprocess(image_size)

    def forward(self, images: Tensor) -> Tensor:
        return functional.normalize(global_pool(self.layers(images).float(), self.pool), dim=1)

    def load(self, state: Mapping[str, Tensor], source: str | Path) -> None:
        """Takes torchvision's own layout; the classifier in it is left out."""
        load_state(self.layers, {key: value for key, value in state.items() if not key.startswith(CLASSIFIERS)}, source)


def build_backbone(
    *, network: str, pool: str = "gem", image_size: tuple[int, int] | None = (480, 640)
) -> PooledBackbone:
    """``resnet18``, ``resnet50`` or ``vgg16`` up to its last convolution and the ReLU behind it, weights random.

    Images are resized to 480x640, bilinear, antialiased (the common protocol of the deep visual geo-localization
    benchmark, CVPR 2022); None keeps their own size.
    """
    from torchvision import models as networks

    whole = networks.get_model(network, weights=None)
    if network == "vgg16":
        layers = nn.Sequential(OrderedDict(features=whole.features[:-1]))  # without the last max pooling
    else:
        layers = nn.Sequential(OrderedDict(list(whole.named_children())[:-2]))  # without average pooling and fc
    return PooledBackbone(layers, CHANNELS[network], pool=pool, image_size=image_size)


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
class BackboneOptions(ResizingOptions):
    """A network of torchvision, cut before its classifier."""

    network: ClassVar[str]
    pool: str = option("--pool", "gem", "pooling of the last feature map", choices=POOLS)

    def build(self) -> PooledBackbone:
        return build_backbone(network=self.network, pool=self.pool, **self.resizing())

    def fetch(self) -> Path:
        return fetch_weights(network=self.network)


def _published(file: str) -> Published:
    return Published(file, "torchvision", "its page 'Models and pre-trained weights'")


class ResNet18Options(BackboneOptions):
    """``resnet18``."""

    network = "resnet18"
    published = _published("resnet18-f37072fd.pth")


class ResNet50Options(BackboneOptions):
    """``resnet50``."""

    network = "resnet50"
    published = _published("resnet50-0676ba61.pth")


class Vgg16Options(BackboneOptions):
    """``vgg16``."""

    network = "vgg16"
    published = _published("vgg16-397923af.pth")
