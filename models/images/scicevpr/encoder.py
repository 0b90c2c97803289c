"""The networks SciceVPR and Super-CricaVPR."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from opticornet.models.images.base import Preprocess, load_state
from opticornet.models.images.dinov2 import PATCH
from opticornet.models.images.scicevpr.parts import REGIONS, FusedLayers, Grid, RegionGeM, TokenMixer, region_weights
from opticornet.models.images.trainable import Described, TrainableImageEncoder

PUBLISHED_GRID = (16, 16)  # of images of 224x224 pixels
ENCODER_HEADS = 16


@dataclass(frozen=True)
class DescribedRegions(Described):
    """What the images of a context see of one another.

    Attributes:
        regions: (B, 14, C).
    """

    regions: Tensor


class SciceVPR(TrainableImageEncoder):
    """Image encoder (B, 3, H, W) -> (B, 14 * C), rows of unit length.

    ``context`` is how many consecutive images of a batch attend to one another. With 1 a descriptor depends on
    its own image alone. With c a batch is cut into groups of c, the last of which may be smaller: give batches
    of a multiple of c. None makes the whole batch one group, as the original network does.

    What does not learn is the backbone, and in a student the fusing convolution that it has from its teacher.

    Args:
        backbone: (B, 3, H, W) -> (B, ``in_channels``, *``grid``).
        in_channels: of the fused maps.
        channels: C.
        mixers, mixer_ratio: how many token mixers, and how much wider than the tokens they are inside.
        encoder_layers: of a teacher 2, of a student 1.
        context: in evaluation mode.
        training_context: the same in training.
        grid: rows and columns of patches of the images that it takes.
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
        training_context: int | None = None,
        grid: Grid = PUBLISHED_GRID,
    ) -> None:
        super().__init__()
        for each in (context, training_context):
            if each is not None and each < 1:
                raise ValueError(f"context must be at least 1 image, got {each}")
        self.backbone = backbone
        self.conv = nn.Conv2d(in_channels, channels, kernel_size=1)
        self.tokenmix = self._mixers([mixer_ratio] * mixers, channels, grid)
        self.gem = RegionGeM()
        layer = nn.TransformerEncoderLayer(
            channels, nhead=ENCODER_HEADS, dim_feedforward=2048, dropout=0.1, activation="gelu"
        )
        self.encoder = nn.TransformerEncoder(layer, encoder_layers, enable_nested_tensor=False)
        self.register_buffer("regions", region_weights(grid), persistent=False)
        self.grid, self.context, self.training_context = grid, context, training_context
        self.out_dims = REGIONS * channels
        # The published evaluation resizes the normalised tensor bilinearly without antialiasing; it commutes.
        size = (grid[0] * PATCH, grid[1] * PATCH)
        self.preprocess = Preprocess(size=size, interpolation="bilinear", antialias=False)

    @staticmethod
    def _mixers(ratios: list[int], channels: int, grid: Grid) -> nn.Sequential:
        return nn.Sequential(*(TokenMixer(channels, grid[0] * grid[1], ratio) for ratio in ratios))

    def load(self, state: Mapping[str, Tensor], source: str | Path) -> None:
        """Takes as many token mixers, as wide, as the checkpoint has: the published large models do not say."""
        hidden = [len(value) for key, value in state.items() if re.fullmatch(r"tokenmix\.\d+\.mix\.0\.bias", key)]
        if hidden:
            tokens = self.grid[0] * self.grid[1]
            self.tokenmix = self._mixers([width // tokens for width in hidden], self.conv.out_channels, self.grid)
        load_state(self, state, source)

    def train_blocks(self, count: int) -> None:
        """As published the backbone does not learn.

        Raises:
            ValueError: ``count`` is not 0.
        """
        if count:
            raise ValueError("its backbone does not learn, as published: it takes 0")
        self.backbone.requires_grad_(False)

    def load_backbone(self, state: Mapping[str, Tensor], source: str | Path) -> None:
        assert isinstance(self.backbone, FusedLayers)
        self.backbone.dino_model.load_backbone(state, source)

    def frozen(self, images: Tensor) -> Tensor:
        """Fused maps (B, F, h, w)."""
        fused: Tensor = self.backbone(images)
        if fused.shape[-2:] != self.grid:
            height, width = (side * PATCH for side in self.grid)
            raise ValueError(f"expected images of {height}x{width} pixels, got {images.shape[-2]}x{images.shape[-1]}")
        return fused

    def describe(self, frozen: Tensor, size: tuple[int, int]) -> DescribedRegions:
        """Regions, and what a descriptor is before the images see one another."""
        mixed = self.tokenmix(self.conv(frozen).relu().flatten(2))  # (B, C, h * w)
        regions = self.gem(mixed.float(), self.regions)
        return DescribedRegions(_descriptors(regions), regions)

    def relate(self, described: Described) -> DescribedRegions:
        assert isinstance(described, DescribedRegions)
        regions = self.correlate(described.regions).float()
        return DescribedRegions(_descriptors(regions), regions)

    def correlate(self, regions: Tensor) -> Tensor:
        """Attention of each region to itself across the images of a group: (B, 14, C) -> same."""
        batch = len(regions)
        context = self.training_context if self.training else self.context
        group = min(context or batch, batch)
        whole = batch - batch % group
        parts = (regions[:whole].unflatten(0, (-1, group)), regions[whole:].unsqueeze(0))
        return torch.cat([self._attend(part) for part in parts if part.numel()])

    def _attend(self, groups: Tensor) -> Tensor:
        """(groups, images, 14, C) -> (groups * images, 14, C); the images of a group are the sequence."""
        sequence = groups.transpose(0, 1)  # (images, groups, 14, C)
        attended = self.encoder(sequence.flatten(1, 2)).view_as(sequence)
        return attended.transpose(0, 1).flatten(0, 1)


class Student(SciceVPR):
    """SciceVPR as it is trained: by a teacher, whose backbone and fusing convolution it takes over."""

    starts_from_teacher = True

    def learn_from(self, teacher: TrainableImageEncoder) -> bool:
        """Take over backbone and convolution, which do not learn here.

        Raises:
            ValueError: it is no Super-CricaVPR, or one of other layers or another image size.
        """
        if not isinstance(teacher, SciceVPR) or isinstance(teacher, Student):
            raise ValueError("as it is no Super-CricaVPR")
        assert isinstance(self.backbone, FusedLayers)
        assert isinstance(teacher.backbone, FusedLayers)
        if teacher.backbone.layers != self.backbone.layers:
            layers = (teacher.backbone.layers, self.backbone.layers)
            found, wanted = (" ".join(map(str, each)) for each in layers)
            raise ValueError(f"which fuses the layers {found}: wanted {wanted}")
        if teacher.grid != self.grid:
            found, wanted = (f"{one.grid[0]}x{one.grid[1]}" for one in (teacher, self))
            raise ValueError(f"whose images have {found} patches: wanted {wanted}")
        self.backbone.load_state_dict(teacher.backbone.state_dict())
        self.conv.load_state_dict(teacher.conv.state_dict())
        self.conv.requires_grad_(False)
        return True


def _descriptors(regions: Tensor) -> Tensor:
    """Regions (B, 14, C) to unit rows (B, 14 * C), region by region."""
    return F.normalize(regions.flatten(1), dim=1)
