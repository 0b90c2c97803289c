"""A trained vision transformer that is not trained further, whose patch tokens STA attends to."""

import math
import re
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from opticornet.models.images.base import Preprocess, load_state, read_state_dict
from opticornet.models.images.cct import Grid
from opticornet.models.images.dinov2 import PATCH, DinoV2
from opticornet.models.sequences.sta.sizes import HEAD_WIDTH
from opticornet.utils.checkpoints import build_empty
from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra

SPARE = "mask_token"  # only pre-training uses it, and not every file has it


class FrozenTokens(nn.Module):
    """Patch tokens of a block of a DINOv2-like transformer, after its last norm: (N, 3, H, W) -> (N, T, D).

    Fewer tokens, each the mean of a square of patches, cost STA less and, of small images, say as much.

    The network is no part of the module's state: it is fixed and in its own file. It moves with the module and stays in
    evaluation mode.

    Args:
        network: with its weights.
        layer: which block, the first is 1.
        pool: side of the squares of patches, in patches.
    """

    network: DinoV2

    def __init__(self, network: DinoV2, layer: int, pool: int = 1) -> None:
        super().__init__()
        object.__setattr__(self, "network", network.eval().requires_grad_(False))  # hidden from the module's state
        self.layer, self.pool = layer, pool

    @classmethod
    def of(cls, path: str, layer: int, pool: int = 1) -> Self:
        """From a file with the names of DINOv2's own checkpoints or timm's; sizes are read from it.

        Args:
            path: the file.
            layer: which block, the first is 1; 0: the last.
            pool: side of the squares of patches, in patches.

        Raises:
            UserError: it is no such transformer, or has no such block.
        """
        state = read_state_dict(path)
        positions = state.get("pos_embed")
        depth = len({match[1] for key in state if (match := re.match(r"blocks\.(\d+)\.", key))})
        side = 0 if positions is None or positions.ndim != 3 else math.isqrt(max(positions.shape[1] - 1, 0))
        if positions is None or not depth or side == 0 or side**2 != positions.shape[1] - 1:
            raise UserError(
                f"{path} holds no transformer of DINOv2's kind: wanted blocks.0..., and pos_embed of a square grid and "
                "a class token"
            )
        dims = positions.shape[2]
        if dims % HEAD_WIDTH:
            raise UserError(f"{path} has {dims} channels: wanted a multiple of {HEAD_WIDTH}, one attention head each")
        if layer > depth:
            raise UserError(f"`sta_layer` {layer}: {path} has {depth} blocks")
        with needs_extra("images"):
            network = build_empty(lambda: DinoV2(dims, depth, dims // HEAD_WIDTH, side * PATCH))
        load_state(network, {SPARE: torch.zeros(1, dims)} | state, path)
        if any(parameter.is_meta for parameter in network.parameters()):
            raise RuntimeError("its values are not there")  # whoever builds without values builds this one with them
        return cls(network, layer or depth, pool)

    @property
    def dims(self) -> int:
        """D."""
        return self.network.dim

    def grid(self, height: int, width: int) -> Grid:
        """Rows and columns of tokens.

        Raises:
            ValueError: a side is no multiple of 14 pixels, or squares of patches leave a rest.
        """
        rows, columns = DinoV2.grid(torch.empty(0, 3, height, width))
        if rows % self.pool or columns % self.pool:
            raise ValueError(
                f"{height}x{width} pixels are {rows} x {columns} patches, which `sta_pool` {self.pool} does not divide"
            )
        return rows // self.pool, columns // self.pool

    @staticmethod
    def preprocess(image_size: tuple[int, int]) -> Preprocess:
        """As DINOv2's images are prepared."""
        return Preprocess(image_size, interpolation="bicubic")

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        (tokens,) = self.network.feature_maps(images, [self.layer - 1])  # (N, D, rows, columns)
        return functional.avg_pool2d(tokens, self.pool).flatten(2).transpose(1, 2)

    def _apply(self, fn: Callable[..., Tensor], recurse: bool = True) -> Self:
        self.network._apply(fn)
        return super()._apply(fn, recurse)
