"""NetVLAD on VGG16, whitened: the frame descriptor most sequence methods are reported on.

Arandjelovic et al., "NetVLAD: CNN Architecture for Weakly Supervised Place Recognition", CVPR 2016. Module names are
those of the public PyTorch checkpoints (pytorch-NetVlad, Patch-NetVLAD): ``encoder.*``, ``pool.conv.weight``,
``pool.centroids`` and, where they hold the whitening, ``WPCA.0.*``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from opticornet.models.heads.vlad import NetVLADLayer
from opticornet.models.images.base import ImageEncoder, Preprocess, Published, ResizingOptions, load_state
from opticornet.utils.errors import UserError

# VGG16 up to conv5_3, without the ReLU behind it: output channels of the 3x3 convolutions, M a 2x2 max pooling.
VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512)


def vgg16_layers() -> nn.Sequential:
    """(B, 3, H, W) -> (B, 512, H/16, W/16); numbered as torchvision numbers them."""
    layers: list[nn.Module] = []
    channels = 3
    for width in VGG16:
        if isinstance(width, str):
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
    return nn.Sequential(*layers[:-1])


class NetVLAD(ImageEncoder):
    """VGG16, NetVLAD and, unless ``whitened_dims`` is None, whitening by PCA: (B, 3, H, W) -> (B, ``out_dims``).

    Loading a checkpoint gives the whitening the size it has there, or takes it away where there is none.

    Args:
        whitened_dims: dimensions of a whitened descriptor.
        clusters: of NetVLAD.
        image_size: (height, width) in pixels that images are resized to; None keeps theirs.
        backbone: in place of VGG16; (B, 3, H, W) -> (B, ``dim``, h, w).
        dim: channels of the backbone's features.
    """

    def __init__(
        self,
        whitened_dims: int | None = 4096,
        clusters: int = 64,
        image_size: tuple[int, int] | None = (480, 640),
        *,
        backbone: nn.Module | None = None,
        dim: int = 512,
    ) -> None:
        super().__init__()
        self.encoder = vgg16_layers() if backbone is None else backbone
        self.pool = NetVLADLayer(clusters, dim)
        self.preprocess = Preprocess(image_size)
        self._whiten_to(whitened_dims)

    def _whiten_to(self, dims: int | None) -> None:
        vlad_dims = self.pool.centroids.numel()
        self.WPCA = None if dims is None else nn.Sequential(nn.Conv2d(vlad_dims, dims, 1))
        self.out_dims = vlad_dims if dims is None else dims

    def forward(self, images: Tensor) -> Tensor:
        vlad = self.pool(self.encoder(images))  # (B, K * D)
        if self.WPCA is None:
            return vlad.float()
        return functional.normalize(self.WPCA(vlad[:, :, None, None]).flatten(1).float(), dim=1)

    def load(self, state: Mapping[str, Tensor], source: str | Path) -> None:
        whitening = state.get("WPCA.0.bias")
        dims = None if whitening is None else len(whitening)
        if dims != (None if self.WPCA is None else self.out_dims):
            self._whiten_to(dims)
        if self.encoder.state_dict() and not any(key.startswith("encoder.") for key in state):
            raise UserError(
                f"{source} holds only the pooling (keys such as {next(iter(state))}): wanted a checkpoint "
                "with the VGG16 weights encoder.* as well"
            )
        load_state(self, state, source)


def build_netvlad(*, image_size: tuple[int, int] | None = (480, 640)) -> NetVLAD:
    """NetVLAD, 4096-D, weights random. Images are resized to 480x640, bilinear, antialiased, as published."""
    return NetVLAD(image_size=image_size)


@dataclass(frozen=True, kw_only=True)
class NetVLADOptions(ResizingOptions):
    """``netvlad``."""

    published: ClassVar[Published | None] = Published(
        "pittsburgh_WPCA4096.pth.tar", "Patch-NetVLAD", "github.com/QVPR/Patch-NetVLAD"
    )

    def build(self) -> NetVLAD:
        return build_netvlad(**self.resizing())
