"""FoL: backbone, aggregator and local head."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from opticornet.models.images.base import Preprocess
from opticornet.models.images.dinov2 import PATCH, DinoV2
from opticornet.models.images.fol.aggregator import Aggregated, GuidedAggregator
from opticornet.models.images.fol.backbone import AttentiveDinoV2
from opticornet.models.images.fol.local_features import CELL_ROWS, CELLS, select_local, top_cells
from opticornet.models.images.trainable import Described, TrainableImageEncoder

PUBLISHED_SIZE = (504, 504)
LOW_MAPS, LOW_MAP_ROWS = range(71, 81), 3500  # rows of local maps of these heights, as published


@dataclass(frozen=True)
class DescribedFoL(Described):
    """What FoL's terms learn from: N = h * w patches of D channels, K clusters, a local map of (4h - 3, 4w - 3).

    Attributes:
        assignment: (B, K, N), mass of each patch in each cluster.
        confidence, importance: (B, N), distributions over the patches: how much of each one the aggregator keeps, and
            how much attention it gets.
        guide: (B, N), the attention itself where it is not negligible, else 0.
        patches: (B, D, N) unit patch features, without a gradient.
        cells: (B, h, w) bool, the patches that have local features.
        local: (B, C, 4h - 3, 4w - 3) unit local features of all positions.
    """

    assignment: Tensor
    confidence: Tensor
    importance: Tensor
    guide: Tensor
    patches: Tensor
    cells: Tensor
    local: Tensor


class FoL(TrainableImageEncoder):
    """Image encoder (B, 3, H, W) -> (B, 8448), rows of unit length, with local features for re-ranking.

    Sides are multiples of 14 pixels, with more patches than clusters.

    Args:
        model: the backbone.
        aggregator: for its channels.
        local_dims: channels of the two layers of the local head.
        cells: how many patches have local features, where there are as many.
        image_size: (height, width) in pixels that images are resized to; None keeps theirs.
    """

    local_shape: tuple[int, int]

    def __init__(
        self,
        model: DinoV2,
        aggregator: GuidedAggregator,
        *,
        local_dims: tuple[int, int] = (256, 128),
        cells: int = CELLS,
        image_size: tuple[int, int] | None = PUBLISHED_SIZE,
    ) -> None:
        super().__init__()
        self.backbone = AttentiveDinoV2(model)
        self.aggregator = aggregator
        self.upconv = nn.ConvTranspose2d(model.dim, local_dims[0], kernel_size=3, stride=2, padding=1)
        self.upconv2 = nn.ConvTranspose2d(*local_dims, kernel_size=3, stride=2, padding=1)
        self.cells = cells
        self.out_dims = aggregator.out_dims
        rows = cells * CELL_ROWS if image_size is None else self._local_rows(image_size)
        self.local_shape = (rows, local_dims[1])
        # The published evaluation resizes the normalised tensor bilinearly without antialiasing; it commutes.
        self.preprocess = Preprocess(size=image_size, interpolation="bilinear", antialias=False)

    def train_blocks(self, count: int) -> None:
        self.backbone.train_blocks(count)

    def load_backbone(self, state: Mapping[str, Tensor], source: str | Path) -> None:
        self.backbone.model.load_backbone(state, source)

    def frozen(self, images: Tensor) -> Tensor:
        return self.backbone.frozen(images)

    def describe(self, frozen: Tensor, size: tuple[int, int]) -> DescribedFoL:
        """As the authors' network in training, which chooses local features by confidence and importance together."""
        features, cls, attention = self.backbone.read(frozen, size)
        aggregated = self.aggregator(features, cls, attention)
        grid = (features.shape[2], features.shape[3])
        return DescribedFoL(
            descriptors=aggregated.descriptor,
            assignment=aggregated.assignment,
            confidence=aggregated.confidence,
            importance=aggregated.importance,
            guide=aggregated.guide,
            patches=F.normalize(features.detach().float(), dim=1).flatten(2),
            cells=top_cells(aggregated.confidence + aggregated.importance, grid, self.cells),
            local=F.normalize(self.local_map(features).float(), dim=1),
        )

    def descriptors(self, frozen: Tensor, size: tuple[int, int]) -> Tensor:
        aggregated: Aggregated = self.aggregator(*self.backbone.read(frozen, size))
        return aggregated.descriptor

    def forward_with_local(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Descriptors (B, 8448) and local features (B, rows, 128): unit rows in raster order, then zero rows.

        There are as many rows as the local map of these images has, but 3600 at most, and 3500 of images 19 or 20
        patches high, as in the authors' network.
        """
        height, width = images.shape[-2:]
        aggregated, features, chosen = self._chosen(images)
        rows = self._local_rows((height, width))
        return aggregated.descriptor, select_local(self.local_map(features), chosen.float(), rows)

    def local_by_reliability(self, images: Tensor, features: int) -> tuple[Tensor, Tensor]:
        """As :meth:`forward_with_local`, with the (B, features, 128) most reliable rows, the best first.

        A row is as reliable as the aggregator is confident of its patch; rows of equal confidence are in raster order.
        """
        aggregated, maps, chosen = self._chosen(images)
        reliability = aggregated.confidence.view_as(chosen) * chosen
        return aggregated.descriptor, select_local(self.local_map(maps), reliability, features)

    def local_map(self, features: Tensor) -> Tensor:
        """Dense local features, not normalised: (B, D, h, w) -> (B, 128, 4h - 3, 4w - 3)."""
        dense: Tensor = self.upconv2(self.upconv(features).relu())
        return dense

    def _chosen(self, images: Tensor) -> tuple[Aggregated, Tensor, Tensor]:
        """What the aggregator makes of images, their patch features, and the patches that have local features."""
        features, cls, attention = self.backbone(images)
        aggregated = self.aggregator(features, cls, attention)
        grid = (features.shape[2], features.shape[3])
        return aggregated, features, top_cells(aggregated.confidence, grid, self.cells)

    def _local_rows(self, size: tuple[int, int]) -> int:
        """How many rows hold the local features of images of ``size``."""
        height, width = (4 * (side // PATCH) - 3 for side in size)
        published = LOW_MAP_ROWS if height in LOW_MAPS else CELLS * CELL_ROWS
        return min(self.cells * CELL_ROWS, published, height * width)


class FoLWithLocal(nn.Module):
    """FoL, giving what :meth:`FoL.forward_with_local` gives."""

    def __init__(self, encoder: FoL) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.encoder.forward_with_local(images)
