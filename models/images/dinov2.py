"""DINOv2 vision transformers: the backbone of the transformer encoders, and an encoder of its own.

Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision", TMLR 2024. Module names are those
of the authors' checkpoints (``dinov2_vit{s,b,l}14_pretrain.pth``), so a checkpoint loads without renaming.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from opticornet.models.heads.pooling import CLUSTERS, POOLS, build_pool
from opticornet.models.images.base import Preprocess, Published, load_state
from opticornet.models.images.pooled import PooledEncoder, PooledOptions
from opticornet.utils.options import option

PATCH = 14
# name: (embedding dimension, blocks, heads)
VARIANTS = {"vits14": (384, 12, 6), "vitb14": (768, 12, 12), "vitl14": (1024, 24, 16)}
ENCODER_POOLS = ("cls", *POOLS)


class TokenNorm(nn.LayerNorm):
    """Layer norm with DINOv2's epsilon."""

    def __init__(self, dim: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> None:
        super().__init__(dim, eps=1e-6, device=device, dtype=dtype)


class DinoV2(nn.Module):
    """A vision transformer with 14-pixel patches, a CLS token and LayerScale.

    The position embeddings belong to a square grid (37x37, that of 518-pixel images, in the released weights)
    and are interpolated to the grid of the image at hand.
    """

    def __init__(self, dim: int, depth: int, heads: int, trained_size: int = 518) -> None:
        super().__init__()
        from timm.layers import PatchEmbed
        from timm.models.vision_transformer import Block

        self.dim = dim
        self.trained_grid = trained_size // PATCH
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + self.trained_grid**2, dim))
        self.mask_token = nn.Parameter(torch.zeros(1, dim))  # only pre-training uses it; checkpoints hold it
        self.patch_embed = PatchEmbed(img_size=None, patch_size=PATCH, embed_dim=dim)
        self.blocks = nn.ModuleList(
            Block(dim, heads, qkv_bias=True, init_values=1.0, norm_layer=TokenNorm) for _ in range(depth)
        )
        self.norm = TokenNorm(dim)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    @staticmethod
    def grid(images: Tensor) -> tuple[int, int]:
        """Rows and columns of patches.

        Raises:
            ValueError: a side is no multiple of 14 pixels.
        """
        height, width = images.shape[-2:]
        if height % PATCH or width % PATCH:
            raise ValueError(f"image sides must be multiples of {PATCH} pixels, got {height}x{width}")
        return height // PATCH, width // PATCH

    def positions(self, rows: int, columns: int) -> Tensor:
        """Position embeddings (1, 1 + rows * columns, dim), interpolated as by DINOv2's authors.

        Bicubic without antialiasing; the sampling step is that of a grid 0.1 cell larger, and a grid of the
        trained size is left untouched.
        """
        side = self.trained_grid
        if rows == columns == side:
            return self.pos_embed
        patches = self.pos_embed[:, 1:].transpose(1, 2).unflatten(2, (side, side))  # (1, dim, side, side)
        scale = ((rows + 0.1) / side, (columns + 0.1) / side)
        patches = F.interpolate(patches.float(), scale_factor=scale, mode="bicubic")
        patches = patches.to(self.pos_embed.dtype).flatten(2).transpose(1, 2)  # (1, rows * columns, dim)
        return torch.cat([self.pos_embed[:, :1], patches], dim=1)

    def tokens(self, images: Tensor) -> Tensor:
        """Input of the first block: (B, 3, H, W) -> (B, 1 + H/14 * W/14, dim), the CLS token first."""
        rows, columns = self.grid(images)
        cls = self.cls_token.expand(len(images), -1, -1)
        return torch.cat([cls, self.patch_embed(images)], dim=1) + self.positions(rows, columns)

    def run_blocks(self, tokens: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Tokens (B, N, dim) through the blocks ``[start, stop)``; no final norm."""
        for block in self.blocks[start:stop]:
            tokens = block(tokens)
        return tokens

    def forward(self, images: Tensor) -> Tensor:
        """Tokens after the last block and the final norm: (B, 3, H, W) -> (B, 1 + H/14 * W/14, dim)."""
        return self.norm(self.run_blocks(self.tokens(images)))

    def train_blocks(self, count: int) -> None:
        """Let the last ``count`` blocks and the final norm learn, and nothing else; of 0 nothing at all.

        Raises:
            ValueError: there are fewer.
        """
        if not 0 <= count <= len(self.blocks):
            raise ValueError(f"it has {len(self.blocks)} blocks")
        self.requires_grad_(False)
        if count:
            self.blocks[-count:].requires_grad_(True)
            self.norm.requires_grad_(True)

    def load_backbone(self, state: Mapping[str, Tensor], source: str | Path) -> None:
        """Take weights with the names of DINOv2's own checkpoints or timm's; of more blocks than it has the first ones.

        Raises:
            UserError: they do not fit.
        """
        load_state(self, self.renamed(state), source)

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights with the names of DINOv2's own checkpoints or timm's, of the blocks that it has."""
        depth = len(self.blocks)
        used = {key: value for key, value in state.items() if _block_of(key) < depth}
        return {"mask_token": torch.zeros(1, self.dim)} | used

    def feature_maps(self, images: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Patch tokens after each of ``layers`` (0-based), each through the final norm, as maps.

        (B, 3, H, W) -> (B, dim, H/14, W/14) each, in the order of the blocks whatever that of ``layers``.
        """
        grid = self.grid(images)
        x, maps = self.tokens(images), []
        for index, block in enumerate(self.blocks[: max(layers) + 1]):
            x = block(x)
            if index in layers:
                maps.append(patch_map(self.norm(x), grid))
        return maps


def _block_of(key: str) -> int:
    """The number of the block that a weight is of; -1: of none."""
    return int(match[1]) if (match := re.match(r"blocks\.(\d+)\.", key)) else -1


def patch_map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Tokens (B, 1 + h * w, dim) without CLS as a map (B, dim, h, w)."""
    return tokens[:, 1:].transpose(1, 2).unflatten(2, grid)


class DinoV2Encoder(PooledEncoder, DinoV2):
    """Image encoder (B, 3, H, W) -> (B, ``out_dims``), unit rows: the CLS token, or the patch tokens pooled.

    Names of the backbone's weights are those of DINOv2's checkpoints; the pooling's lie beside them.
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        heads: int,
        *,
        pool: str,
        image_size: tuple[int, int],
        trained_size: int = 518,
        clusters: int = CLUSTERS,
    ) -> None:
        super().__init__(dim, depth, heads, trained_size)
        if pool not in ENCODER_POOLS:
            raise ValueError(f"pool must be {', '.join(ENCODER_POOLS[:-1])} or {ENCODER_POOLS[-1]}, got {pool!r}")
        self.takes_cls = pool == "cls"
        self.pool = build_pool("avg" if self.takes_cls else pool, dim, signed=True, clusters=clusters)
        self.first_trained = depth
        self.out_dims = self.pool.out_dims
        self.preprocess = Preprocess(size=image_size, interpolation="bicubic")

    def train_blocks(self, count: int) -> None:
        DinoV2.train_blocks(self, count)
        self.first_trained = len(self.blocks) - count
        self.pool.requires_grad_(True)

    def frozen(self, images: Tensor) -> Tensor:
        """Tokens (B, N, dim) before the first block that learns."""
        return self.run_blocks(self.tokens(images), 0, self.first_trained)

    def feature_map(self, frozen: Tensor, size: tuple[int, int]) -> Tensor:
        """Patch tokens after the final norm, (B, dim, h, w); the CLS token as a map of one cell."""
        tokens = self.norm(self.run_blocks(frozen, self.first_trained))
        if self.takes_cls:
            return tokens[:, 0, :, None, None]
        return patch_map(tokens, (size[0] // PATCH, size[1] // PATCH))

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return DinoV2.renamed(self, state)


def build_dinov2(
    *,
    variant: str = "vits14",
    pool: str = "cls",
    image_size: tuple[int, int] = (224, 224),
    blocks: int = 0,
    clusters: int = CLUSTERS,
) -> DinoV2Encoder:
    """The DINOv2 encoder ``vits14``, ``vitb14`` or ``vitl14`` (384, 768, 1024 channels), in eval mode, untrained.

    Images are resized as DINOv2's own evaluation does: bicubic, antialiased. ``blocks`` takes the first ones alone.

    Raises:
        ValueError: it has fewer blocks.
    """
    dim, depth, heads = VARIANTS[variant]
    depth = first_blocks(blocks, depth)
    return DinoV2Encoder(dim, depth, heads, pool=pool, image_size=image_size, clusters=clusters).eval()


def first_blocks(count: int, depth: int) -> int:
    """How many blocks an encoder has that takes the first ``count`` of ``depth``; 0: all.

    Raises:
        ValueError: there are fewer.
    """
    if count > depth:
        raise ValueError(f"`backbone_blocks` {count}: its backbone has {depth}")
    return count or depth


@dataclass(frozen=True, kw_only=True)
class DinoV2Options(PooledOptions):
    """DINOv2 of one size."""

    variant: ClassVar[str]
    trained_blocks: ClassVar[int] = 4
    pool: str = option("--pool", "cls", "the CLS token, or how the patches are pooled", choices=ENCODER_POOLS)
    backbone_blocks: int = option("--backboneBlocks", 0, "the backbone's first blocks alone; 0: all")

    def build(self) -> DinoV2Encoder:
        return build_dinov2(
            variant=self.variant,
            pool=self.pool,
            blocks=self.backbone_blocks,
            clusters=self.vlad_clusters,
            **self.resizing(),
        )


def _published(variant: str) -> Published:
    return Published(f"dinov2_{variant}_pretrain.pth", "DINOv2", "github.com/facebookresearch/dinov2")


class DinoV2SmallOptions(DinoV2Options):
    """``dinov2_vits14``."""

    variant = "vits14"
    published = _published("vits14")


class DinoV2BaseOptions(DinoV2Options):
    """``dinov2_vitb14``."""

    variant = "vitb14"
    published = _published("vitb14")


class DinoV2LargeOptions(DinoV2Options):
    """``dinov2_vitl14``."""

    variant = "vitl14"
    published = _published("vitl14")
