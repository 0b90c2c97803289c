"""Poolings by name: a feature map in, one vector of unit length out."""

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from opticornet.models.heads.gem import GEM_POWER, gem, signed_gem
from opticornet.models.heads.vlad import NetVLADLayer, cluster_centres, sampled

POOLS = ("gem", "gmp", "avg", "grid", "netvlad")
GRID = (4, 8)  # rows and columns of cells
CLUSTERS = 64  # of NetVLAD, as published


class Pool(nn.Module):
    """(B, C, h, w) float32 -> (B, ``out_dims``), unit rows.

    Attributes:
        out_dims: length of what it returns.
        untrained: its weights where it never was; None: it has to be.
    """

    out_dims: int
    untrained: ClassVar[dict[str, Tensor] | None] = {}

    def start_from(self, maps: Iterable[Tensor], generator: torch.Generator) -> None:
        """Set the weights that training starts from, by maps (B, C, h, w) of training images; by default they stay.

        Raises:
            ValueError: the maps do not suffice.
        """


class GeM(Pool):
    """Generalised mean of all positions, its power learnt; ``signed`` for features of both signs."""

    untrained: ClassVar[dict[str, Tensor] | None] = {"p": torch.full((1,), float(GEM_POWER))}

    def __init__(self, channels: int, *, signed: bool) -> None:
        super().__init__()
        self.out_dims = channels
        self.mean = signed_gem if signed else gem
        self.p = nn.Parameter(torch.full((1,), float(GEM_POWER)))

    def forward(self, features: Tensor) -> Tensor:
        return functional.normalize(self.mean(features.flatten(2), self.p), dim=1)


class Reduced(Pool):
    """The largest (``gmp``) or the mean (``avg``) of all positions."""

    def __init__(self, channels: int, *, largest: bool) -> None:
        super().__init__()
        self.out_dims, self.largest = channels, largest

    def forward(self, features: Tensor) -> Tensor:
        pooled = features.amax((2, 3)) if self.largest else features.mean((2, 3))
        return functional.normalize(pooled, dim=1)


class Grid(Pool):
    """Means of the cells of a grid, each of unit length, one behind the other row by row: where things are is kept."""

    def __init__(self, channels: int, cells: tuple[int, int] = GRID) -> None:
        super().__init__()
        self.out_dims, self.cells = channels * cells[0] * cells[1], cells

    def forward(self, features: Tensor) -> Tensor:
        cells = functional.adaptive_avg_pool2d(features, self.cells).flatten(2)  # (B, C, cells)
        unit = functional.normalize(cells, dim=1)
        return functional.normalize(unit.transpose(1, 2).flatten(1), dim=1)


class NetVLAD(NetVLADLayer, Pool):
    """Residuals to clusters, which k-means of training images starts."""

    untrained = None

    def __init__(self, channels: int, clusters: int) -> None:
        super().__init__(clusters, channels)
        self.out_dims = clusters * channels

    def start_from(self, maps: Iterable[Tensor], generator: torch.Generator) -> None:
        seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
        samples = torch.cat([sampled(each.flatten(2).transpose(1, 2), generator) for each in maps])  # (M, C)
        unit = functional.normalize(samples.float(), dim=1)
        self.initialise(cluster_centres(unit, len(self.centroids), seed), unit)


def build_pool(name: str, channels: int, *, signed: bool = False, clusters: int = CLUSTERS) -> Pool:
    """The pooling of ``channels`` called ``name``.

    Args:
        name: one of :data:`POOLS`.
        channels: C of the maps that it takes.
        signed: whether their entries may be negative.
        clusters: of ``netvlad``.

    Raises:
        ValueError: another name.
    """
    match name:
        case "gem":
            return GeM(channels, signed=signed)
        case "gmp" | "avg":
            return Reduced(channels, largest=name == "gmp")
        case "grid":
            return Grid(channels)
        case "netvlad":
            return NetVLAD(channels, clusters)
    raise ValueError(f"pool must be {', '.join(POOLS[:-1])} or {POOLS[-1]}, got {name!r}")
