"""FoL: a global descriptor from attention-guided optimal transport, and the local features for re-ranking.

Wang et al., "Focus on Local: Finding Reliable Discriminative Regions for Visual Place Recognition", AAAI
2025. Module names are those of the published checkpoints (``FoL_base.pth``, ``FoL_large.pth``).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from opticornet.models.heads.optimal_transport import transport
from opticornet.models.images.base import ImageEncoder, Preprocess, Published, ResizingOptions
from opticornet.models.images.dinov2 import PATCH, VARIANTS, DinoV2, patch_map

if TYPE_CHECKING:
    from timm.models.vision_transformer import Attention

SIZES = {"base": "vitb14", "large": "vitl14"}
CELLS = 225  # patches whose surroundings give local features
LOCAL_ROWS = 16 * CELLS  # each patch covers at most 4x4 cells of the local map
ATTENTION_FLOOR = 0.01


@dataclass(frozen=True)
class Aggregated:
    """What the aggregator makes of an image; K clusters, N patches."""

    descriptor: Tensor  # (B, token_dim + cluster_dim * K), unit rows
    assignment: Tensor  # (B, K, N), mass of each patch in each cluster; the rest of its mass is discarded
    confidence: Tensor  # (B, N), a distribution over the patches: how much of each one is kept


def cap_top(values: Tensor, count: int = 3, rank: float = 0.05) -> Tensor:
    """(B, N) with each row's ``count`` largest values lowered to the one that int(rank * N) others exceed."""
    descending, order = values.sort(dim=1, descending=True)
    cap = descending[:, int(rank * values.shape[1]), None]
    return values.scatter(1, order[:, :count], cap.expand(-1, count))


class GuidedAggregator(nn.Module):
    """SALAD's aggregation with the backbone's attention deciding what goes to the dustbin."""

    def __init__(
        self,
        dim: int,
        clusters: int = 64,
        cluster_dim: int = 128,
        token_dim: int = 256,
        hidden: int = 512,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.token_features = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, token_dim))
        self.cluster_features = _patch_mlp(dim, hidden, cluster_dim, dropout)
        self.score = _patch_mlp(dim, hidden, clusters, dropout)
        self.out_dims = token_dim + cluster_dim * clusters

    def forward(self, features: Tensor, cls: Tensor, attention: Tensor) -> Aggregated:
        """Patch features (B, D, h, w), CLS token (B, D), its attention to the patches (B, h * w)."""
        guide = torch.where(attention >= ATTENTION_FLOOR, attention, 0)
        plan = transport(self.score(features).flatten(2), 1 - guide).exp()  # (B, K + 1, N)
        assignment = plan[:, :-1]
        patches = self.cluster_features(features).flatten(2).float()  # (B, C, N)
        clusters = F.normalize(patches @ assignment.transpose(1, 2), dim=1)  # (B, C, K)
        token = F.normalize(self.token_features(cls).float(), dim=1)
        return Aggregated(
            descriptor=F.normalize(torch.cat([token, clusters.flatten(1)], dim=1), dim=1),
            assignment=assignment,
            confidence=cap_top(assignment.mean(1)).softmax(1),
        )


def _patch_mlp(dim: int, hidden: int, out: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(dim, hidden, 1), nn.Dropout(dropout), nn.ReLU(), nn.Conv2d(hidden, out, 1))


class AttentiveDinoV2(nn.Module):
    """DINOv2 that also returns the attention of its CLS token."""

    def __init__(self, model: DinoV2) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> patch features (B, D, h, w), CLS token (B, D), attention (B, h * w).

        The attention is that of the last block, from CLS to the patches, summed over its heads.
        """
        from timm.models.vision_transformer import Attention, Block

        grid = self.model.grid(images)
        x = self.model.tokens(images)
        for block in self.model.blocks[:-1]:
            x = block(x)
        last = self.model.blocks[-1]
        assert isinstance(last, Block)
        assert isinstance(last.attn, Attention)
        attention = cls_attention(last.attn, last.norm1(x))
        tokens = self.model.norm(last(x))
        return patch_map(tokens, grid), tokens[:, 0], attention


def cls_attention(attn: "Attention", x: Tensor) -> Tensor:
    """Attention of the first token to the others, summed over the heads: (B, 1 + N, D) -> (B, N)."""
    q, k, _ = attn.qkv(x).unflatten(2, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)  # (B, heads, 1 + N, d)
    weights = (q[:, :, :1] * attn.scale @ k.transpose(2, 3)).float().softmax(-1)  # (B, heads, 1, 1 + N)
    return weights.sum(1)[:, 0, 1:]


class FoL(ImageEncoder):
    """Image encoder (B, 3, H, W) -> (B, 8448), rows of unit length, with local features for re-ranking."""

    def __init__(
        self,
        model: DinoV2,
        aggregator: GuidedAggregator,
        *,
        local_dims: tuple[int, int] = (256, 128),
        image_size: tuple[int, int] = (504, 504),
    ) -> None:
        super().__init__()
        self.backbone = AttentiveDinoV2(model)
        self.aggregator = aggregator
        self.upconv = nn.ConvTranspose2d(model.dim, local_dims[0], kernel_size=3, stride=2, padding=1)
        self.upconv2 = nn.ConvTranspose2d(*local_dims, kernel_size=3, stride=2, padding=1)
        self.out_dims = aggregator.out_dims
        self.local_shape = (LOCAL_ROWS, local_dims[1])
        # The published evaluation resizes the normalised tensor bilinearly without antialiasing; it commutes.
        self.preprocess = Preprocess(size=image_size, interpolation="bilinear", antialias=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.aggregator(*self.backbone(images)).descriptor

    def forward_with_local(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Descriptors (B, 8448) and local features (B, 3600, 128): unit rows in raster order, then zero rows.

        Raises:
            ValueError: images of fewer than 225 patches.
        """
        aggregated, features, chosen = self._chosen(images)
        return aggregated.descriptor, select_local(self.local_map(features), chosen.float())

    def local_by_reliability(self, images: Tensor, features: int) -> tuple[Tensor, Tensor]:
        """As :meth:`forward_with_local`, with the (B, features, 128) most reliable rows, the best first.

        A row is as reliable as the aggregator is confident of its patch; rows of equal confidence are in raster order.
        """
        aggregated, maps, chosen = self._chosen(images)
        reliability = aggregated.confidence.view_as(chosen) * chosen
        return aggregated.descriptor, select_local(self.local_map(maps), reliability, features)

    def _chosen(self, images: Tensor) -> tuple[Aggregated, Tensor, Tensor]:
        """What the aggregator makes of images, their patch features, and the patches that have local features."""
        features, cls, attention = self.backbone(images)
        aggregated = self.aggregator(features, cls, attention)
        height, width = features.shape[-2:]
        return aggregated, features, top_cells(aggregated.confidence, (height, width))

    def local_map(self, features: Tensor) -> Tensor:
        """Dense local features, not normalised: (B, D, h, w) -> (B, 128, 4h - 3, 4w - 3)."""
        return self.upconv2(self.upconv(features).relu())


def top_cells(confidence: Tensor, grid: tuple[int, int]) -> Tensor:
    """Boolean map (B, h, w) of the 225 most confident of the (B, h * w) patches.

    Raises:
        ValueError: there are fewer patches.
    """
    if confidence.shape[1] < CELLS:
        raise ValueError(
            f"local features need at least {CELLS} patches of {PATCH}x{PATCH} pixels, "
            f"got {grid[0]}x{grid[1]}: use larger images"
        )
    chosen = confidence.topk(CELLS, dim=1).indices
    return torch.zeros_like(confidence, dtype=torch.bool).scatter(1, chosen, True).unflatten(1, grid)


def enlarge(cells: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest-neighbour enlargement of (B, h, w) to (B, H, W)."""
    return F.interpolate(cells.unsqueeze(1), size=size, mode="nearest")[:, 0]


def select_local(local_map: Tensor, reliability: Tensor, rows: int = LOCAL_ROWS) -> Tensor:
    """Unit local features of chosen patches, the most reliable first: (B, C, H, W) to (B, rows, C), unused rows zero.

    ``reliability`` (B, h, w) is that of a patch, 0 where it is not chosen; equally reliable rows are in raster order.
    """
    height, width = local_map.shape[-2:]
    descending, order = enlarge(reliability, (height, width)).flatten(1).sort(dim=1, descending=True, stable=True)
    used, order = descending[:, :rows] > 0, order[:, :rows]  # (B, rows), fewer where the map is smaller
    vectors = local_map.flatten(2).transpose(1, 2).float()  # (B, H * W, C)
    vectors = vectors.gather(1, order.unsqueeze(2).expand(-1, -1, vectors.shape[2])) * used.unsqueeze(2)
    return F.pad(F.normalize(vectors, dim=2), (0, 0, 0, rows - used.shape[1]))


def build_fol(*, size: str = "large", image_size: tuple[int, int] = (504, 504)) -> FoL:
    """FoL on DINOv2 ViT-B (``base``) or ViT-L (``large``), in eval mode, untrained.

    504x504 pixels is the published evaluation; 322x322 is its faster variant and the size of its training.
    """
    model = DinoV2(*VARIANTS[SIZES[size]])
    return FoL(model, GuidedAggregator(model.dim), image_size=image_size).eval()


@dataclass(frozen=True, kw_only=True)
class FoLOptions(ResizingOptions):
    """``fol``."""

    size: ClassVar[str] = "large"
    published: ClassVar[Published | None] = Published("FoL_large.pth", "FoL", "github.com/chenshunpeng/FoL")

    def build(self) -> FoL:
        return build_fol(size=self.size, **self.resizing())


class FoLBaseOptions(FoLOptions):
    """``fol-base``."""

    size = "base"
    published = Published("FoL_base.pth", "FoL", "github.com/chenshunpeng/FoL")
