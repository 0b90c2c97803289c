"""SciceVPR and Super-CricaVPR: DINOv2 layers fused, mixed over tokens, pooled in 14 regions, then correlated.

Wan et al., "SciceVPR: Stable Cross-Image Correlation Enhanced Model for Visual Place Recognition",
Neurocomputing. Super-CricaVPR (the teacher) lets each region attend to the same region of the other images of
its context; SciceVPR (the student) has learnt to do without other images. Both are one network here: the
student is the case of one encoder layer and a context of one image.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from opticornet.models.images.base import ImageEncoder, ImageEncoderOptions, Preprocess, Published, load_state
from opticornet.models.images.dinov2 import VARIANTS, DinoV2

SIDE = 16  # patches along each side of the 224-pixel input
BOUNDS = ((0, 16), (0, 8), (8, 16), (0, 5), (5, 11), (11, 16))  # spans of a side: whole, halves, thirds
REGIONS = 14  # 1 + 2 * 2 + 3 * 3
# size: (DINOv2 variant, 0-based blocks whose outputs are fused)
SIZES = {"base": ("vitb14", (8, 9, 10, 11)), "large": ("vitl14", (20, 21, 22, 23))}


class FusedLayers(nn.Module):
    """Maps of several DINOv2 blocks side by side: (B, 3, H, W) -> (B, len(layers) * dim, H/14, W/14)."""

    def __init__(self, dino_model: DinoV2, layers: tuple[int, ...]) -> None:
        super().__init__()
        self.dino_model = dino_model
        self.layers = layers
        self.channels = len(layers) * dino_model.dim

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat(self.dino_model.feature_maps(images, self.layers), dim=1)


class TokenMixer(nn.Module):
    """x + W2 relu(W1 LN(x)): (B, C, N) -> same; norm over the channels, linear maps over the positions."""

    def __init__(self, channels: int, tokens: int, ratio: int = 1) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        hidden = tokens * ratio
        self.mix = nn.Sequential(nn.Linear(tokens, hidden), nn.ReLU(), nn.Linear(hidden, tokens))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mix(self.norm(x.transpose(1, 2)).transpose(1, 2))


class RegionGeM(nn.Module):
    """Generalised mean over regions, of unit length; one learnt power, entries below ``eps`` raised to it."""

    def __init__(self, power: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), power))
        self.eps = eps

    def forward(self, x: Tensor, regions: Tensor) -> Tensor:
        """(B, C, N) tokens, (R, N) averaging weights -> (B, R, C)."""
        powers = x.clamp(min=self.eps).pow(self.p)
        return F.normalize((regions @ powers.transpose(1, 2)).pow(1 / self.p), dim=2)


def region_weights() -> Tensor:
    """Averaging weights (14, 256) of the regions on the 16x16 map: the whole, 2x2, 3x3 cells, row-major."""
    spans = torch.zeros(len(BOUNDS), SIDE)
    for span, (start, stop) in zip(spans, BOUNDS, strict=True):
        span[start:stop] = 1 / (stop - start)
    levels = (spans[:1], spans[1:3], spans[3:])
    return torch.cat([torch.einsum("ih,jw->ijhw", level, level).reshape(-1, SIDE**2) for level in levels])


class SciceVPR(ImageEncoder):
    """Image encoder (B, 3, 224, 224) -> (B, 14 * C), rows of unit length.

    ``context`` is how many consecutive images of a batch attend to one another. With 1 a descriptor depends on
    its own image alone. With c a batch is cut into groups of c, the last of which may be smaller: give batches
    of a multiple of c. None makes the whole batch one group, as the original network does.
    """

    regions: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        in_channels: int,
        channels: int,
        *,
        mixers: int,
        mixer_ratio: int = 1,
        encoder_layers: int,
        context: int | None = 1,
    ) -> None:
        super().__init__()
        if context is not None and context < 1:
            raise ValueError(f"context must be at least 1 image, got {context}")
        self.backbone = backbone
        self.conv = nn.Conv2d(in_channels, channels, kernel_size=1)
        self.tokenmix = nn.Sequential(*(TokenMixer(channels, SIDE**2, mixer_ratio) for _ in range(mixers)))
        self.gem = RegionGeM()
        layer = nn.TransformerEncoderLayer(channels, nhead=16, dim_feedforward=2048, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, encoder_layers, enable_nested_tensor=False)
        self.register_buffer("regions", region_weights(), persistent=False)
        self.context = context
        self.out_dims = REGIONS * channels
        # The published evaluation resizes the normalised tensor bilinearly without antialiasing; it commutes.
        self.preprocess = Preprocess(size=(224, 224), interpolation="bilinear", antialias=False)

    def load(self, state: Mapping[str, Tensor], source: str | Path) -> None:
        """Takes as many token mixers, as wide, as the checkpoint has: the published large models do not say."""
        hidden = [len(value) for key, value in state.items() if re.fullmatch(r"tokenmix\.\d+\.mix\.0\.bias", key)]
        if hidden:
            channels = self.conv.out_channels
            self.tokenmix = nn.Sequential(*(TokenMixer(channels, SIDE**2, width // SIDE**2) for width in hidden))
        load_state(self, state, source)

    def region_vectors(self, images: Tensor) -> Tensor:
        """Unit vectors (B, 14, C) of the regions, before the images see one another."""
        fused = self.backbone(images)
        if fused.shape[-2:] != (SIDE, SIDE):
            raise ValueError(f"expected images of 224x224 pixels, got {images.shape[-2]}x{images.shape[-1]}")
        x = self.tokenmix(self.conv(fused).relu().flatten(2))  # (B, C, 256)
        return self.gem(x.float(), self.regions)

    def correlate(self, regions: Tensor) -> Tensor:
        """Attention of each region to itself across the images of a group: (B, 14, C) -> same."""
        batch = len(regions)
        group = min(self.context or batch, batch)
        whole = batch - batch % group
        parts = (regions[:whole].unflatten(0, (-1, group)), regions[whole:].unsqueeze(0))
        return torch.cat([self._attend(part) for part in parts if part.numel()])

    def _attend(self, groups: Tensor) -> Tensor:
        """(groups, images, 14, C) -> (groups * images, 14, C); the images of a group are the sequence."""
        sequence = groups.transpose(0, 1)  # (images, groups, 14, C)
        attended = self.encoder(sequence.flatten(1, 2)).view_as(sequence)
        return attended.transpose(0, 1).flatten(0, 1)

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(self.correlate(self.region_vectors(images)).flatten(1).float(), dim=1)


def build_scicevpr(*, size: str = "base", mixers: int = 2, mixer_ratio: int = 1) -> SciceVPR:
    """SciceVPR on DINOv2 ViT-B (``base``, 10752-D) or ViT-L (``large``, 14336-D), in eval mode, untrained."""
    return _build(size, mixers, mixer_ratio, encoder_layers=1, context=1)


def build_super_cricavpr(
    *, size: str = "base", mixers: int = 2, mixer_ratio: int = 1, context: int | None = 1
) -> SciceVPR:
    """Super-CricaVPR, the teacher of SciceVPR, same sizes, in eval mode, untrained.

    The original attends across whatever images share a batch, so its recall depends on the batch size and the
    order of the data set. By default each image is alone here (``context=1``), which makes a descriptor its
    image's own; ``context=c`` is the original with batches of c.
    """
    return _build(size, mixers, mixer_ratio, encoder_layers=2, context=context)


def _build(size: str, mixers: int, mixer_ratio: int, encoder_layers: int, context: int | None) -> SciceVPR:
    variant, layers = SIZES[size]
    backbone = FusedLayers(DinoV2(*VARIANTS[variant]), layers)
    channels = backbone.dino_model.dim
    return SciceVPR(
        backbone,
        backbone.channels,
        channels,
        mixers=mixers,
        mixer_ratio=mixer_ratio,
        encoder_layers=encoder_layers,
        context=context,
    ).eval()


def _published(file: str) -> Published:
    return Published(file, "SciceVPR", "github.com/shuimushan/SciceVPR")


@dataclass(frozen=True, kw_only=True)
class SciceVPROptions(ImageEncoderOptions):
    """``scicevpr``."""

    size: ClassVar[str] = "base"
    published: ClassVar[Published | None] = _published("SciceVPR_base.pth")

    def build(self) -> SciceVPR:
        return build_scicevpr(size=self.size)


class SciceVPRLargeOptions(SciceVPROptions):
    """``scicevpr-large``."""

    size = "large"
    published = _published("SciceVPR_large.pth")


@dataclass(frozen=True, kw_only=True)
class SuperCricaVPROptions(ImageEncoderOptions):
    """``super-cricavpr``."""

    size: ClassVar[str] = "base"
    published: ClassVar[Published | None] = _published("Super-CricaVPR_base.pth")

    def build(self) -> SciceVPR:
        return build_super_cricavpr(size=self.size)


class SuperCricaVPRLargeOptions(SuperCricaVPROptions):
    """``super-cricavpr-large``."""

    size = "large"
    published = _published("Super-CricaVPR_large.pth")
