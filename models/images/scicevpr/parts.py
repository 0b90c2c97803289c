"""What lies before the encoder: layers fused, tokens mixed, regions pooled."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from opticornet.models.images.dinov2 import DinoV2

Grid = tuple[int, int]  # rows and columns of patches
REGIONS = 14  # 1 + 2 * 2 + 3 * 3


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
        linear = nn.Linear(tokens, hidden), nn.Linear(hidden, tokens)
        self.mix = nn.Sequential(linear[0], nn.ReLU(), linear[1])
        for layer in linear:
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.mix(self.norm(x.transpose(1, 2)).transpose(1, 2))
        return x + mixed


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


def region_weights(grid: Grid) -> Tensor:
    """Averaging weights (14, rows * columns) of the regions on a grid: the whole, 2x2, 3x3 cells, row-major.

    Raises:
        ValueError: a side has fewer than 3 patches.
    """
    if min(grid) < 3:
        raise ValueError(f"its regions need 3x3 patches at least, got {grid[0]}x{grid[1]}: use larger images")
    levels = zip(_spans(grid[0]), _spans(grid[1]), strict=True)
    return torch.cat([torch.einsum("ih,jw->ijhw", rows, columns).flatten(2).flatten(0, 1) for rows, columns in levels])


def _spans(side: int) -> tuple[Tensor, ...]:
    """Averaging weights of a side's whole, (1, side), its halves and its thirds, as published for a side of 16."""
    third = round(side / 3)
    levels = (
        [(0, side)],
        [(0, (side + 1) // 2), (side // 2, side)],  # of an odd side both have the middle
        [(0, third), (third, side - third), (side - third, side)],
    )
    weights = []
    for level in levels:
        spans = torch.zeros(len(level), side)
        for span, (start, stop) in zip(spans, level, strict=True):
            span[start:stop] = 1 / (stop - start)
        weights.append(spans)
    return tuple(weights)
