"""Classification networks cut before their classifier, with a global pooling: the baselines of the field."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models as networks

from opticornet.models.heads.gem import check_pool, global_pool
from opticornet.models.images.base import ImageEncoder, Preprocess, load_state
from opticornet.utils.errors import UserError

# name: (constructor, torchvision's weights, channels of the last feature map)
NETWORKS = {
    "resnet18": (networks.resnet18, networks.ResNet18_Weights.IMAGENET1K_V1, 512),
    "resnet50": (networks.resnet50, networks.ResNet50_Weights.IMAGENET1K_V1, 2048),
    "vgg16": (networks.vgg16, networks.VGG16_Weights.IMAGENET1K_V1, 512),
}
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
    constructor, _, channels = NETWORKS[network]
    whole = constructor(weights=None)
    if network == "vgg16":
        layers = nn.Sequential(OrderedDict(features=whole.features[:-1]))  # without the last max pooling
    else:
        layers = nn.Sequential(OrderedDict(list(whole.named_children())[:-2]))  # without average pooling and fc
    return PooledBackbone(layers, channels, pool=pool, image_size=image_size)


def fetch_weights(*, network: str) -> Path:
    """Path of torchvision's ImageNet weights, downloaded by torchvision into PyTorch's hub folder if not there yet.

    Raises:
        UserError: the download fails.
    """
    weights = NETWORKS[network][1]
    path = Path(torch.hub.get_dir(), "checkpoints", Path(weights.url).name)
    try:
        weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"cannot download {network}'s ImageNet weights: wanted {path.name}, published by torchvision "
            f"(its page 'Models and pre-trained weights'); put it at {path} or name it with --weights, "
            "or try things out with --weights random"
        ) from error
    return path
