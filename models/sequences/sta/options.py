"""The options of ``sta``."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, Self

from opticornet.models.images.cct import Grid
from opticornet.models.sequences.base import SequenceEncoder
from opticornet.models.sequences.sta.attention import window_side
from opticornet.models.sequences.sta.backbone import FrozenTokens
from opticornet.models.sequences.sta.encoder import STA
from opticornet.models.sequences.sta.seqvlad_options import Found, SeqVLADOptions, check_hash, hash_of
from opticornet.models.sequences.sta.sizes import Sizes
from opticornet.models.sequences.sta.weights import STA_NAMES, Names
from opticornet.utils.errors import UserError, as_user_error
from opticornet.utils.options import option

BACKBONE_IMAGE_SIZE = (224, 224)


@dataclass(frozen=True, kw_only=True)
class STAOptions(SeqVLADOptions):
    """``sta``."""

    sees_order: ClassVar[bool] = True
    names: ClassVar[Names] = STA_NAMES

    sta_part: Literal["both", "spatial", "temporal"] = option(
        "--staPart", "both", "which stacks of blocks are summed", choices=("both", "spatial", "temporal")
    )
    sta_temporal_layers: int = option(
        "--staTemporalLayers", 0, "blocks across frames; 0: as many as --staLayers, or as in --staWeights"
    )
    sta_relative: Literal["", "none", "temporal", "spatial", "both"] = option(
        "--staRelative",
        "",
        "stacks with relative positions, of which the spatial one then attends to all frames; default: temporal, or as "
        "in --staWeights",
        choices=("none", "temporal", "spatial", "both"),
    )
    sta_frames: int = option(
        "--staFrames", 0, "frames that relative positions are for; 0: a window's, or as in --staWeights"
    )
    sta_backbone: str = option(
        "--staBackbone",
        "",
        "DINOv2-like ViT that gives each frame's tokens and is not trained, in place of tokenizer and spatial blocks",
        path=("",),
    )
    sta_backbone_sha256: str = option("--staBackboneSha256", "", "that --staBackbone must have, as a run records it")
    sta_layer: int = option(
        "--staLayer", 0, "block of --staBackbone whose tokens are taken, the first is 1; 0: the last"
    )
    sta_pool: int = option(
        "--staPool", 1, "a token is the mean of a square of so many by so many patches of --staBackbone", minimum=1
    )

    def unused(self) -> dict[str, str]:
        reasons = super().unused()
        if self.sta_backbone:
            tokenizer = ("sta_layers", "sta_kernel", "sta_stages", "sta_weights")
            reasons |= dict.fromkeys(tokenizer, "tokens are those of `sta_backbone`")
            if self.sta_relative in ("spatial", "both"):
                reasons["sta_relative"] = (
                    "`sta_backbone` stands in place of the spatial blocks; choose none or temporal"
                )
        else:
            reasons["sta_layer"] = "it is a block of `sta_backbone`"
            reasons["sta_pool"] = "patches are those of `sta_backbone`"
        if self.sta_part == "spatial":
            reasons["sta_temporal_layers"] = "`sta_part` spatial has none"
        return reasons

    @property
    def sizes_from(self) -> str:
        return self.sta_backbone or super().sizes_from

    @property
    def started_from(self) -> str:
        return (
            f"random weights on tokens of {Path(self.sta_backbone).name}" if self.sta_backbone else super().started_from
        )

    @cached_property
    def frozen(self) -> FrozenTokens | None:
        """The backbone, where there is one.

        Raises:
            UserError: it cannot be read, or it is another one than when it was recorded.
        """
        if not self.sta_backbone:
            return None
        frozen = FrozenTokens.of(self.sta_backbone, self.sta_layer, self.sta_pool)
        check_hash("sta_backbone", self.sta_backbone, self.sta_backbone_sha256)
        return frozen

    @cached_property
    def found(self) -> Found:
        if self.frozen is not None:
            return {"dims": self.frozen.dims}
        return super().found

    def decided(self, in_dims: int, length: int) -> Self:
        decided = super().decided(in_dims, length)
        return replace(decided, sta_backbone_sha256=self.sta_backbone_sha256 or hash_of(self.sta_backbone))

    def with_sizes(self, found: Found, length: int) -> Self:
        layers = super().with_sizes(found, length)
        decided = replace(
            layers,
            sta_temporal_layers=self.pick(found, "sta_temporal_layers", "temporal_layers", layers.sta_layers),
            sta_relative=self.pick(found, "sta_relative", "relative", "temporal"),
            sta_frames=self.pick(found, "sta_frames", "frames", length),
        )
        if decided.sta_frames == 1 < length and decided.sta_relative != "none":
            raise UserError(
                f"`sequence_length` {length}: relative positions of weights for windows of 1 frame cannot be "
                "interpolated; take windows of 1, or train on longer ones"
            )
        return decided

    def image_size_and_grid(self, found: Found, kernel: int, stages: int) -> tuple[tuple[int, int], Grid]:
        if self.frozen is None:
            return super().image_size_and_grid(found, kernel, stages)
        height, width = self.sta_image_size or BACKBONE_IMAGE_SIZE
        with as_user_error("`sta_image_size`"):
            grid = self.frozen.grid(height, width)
        rows, columns = self.sta_grid or grid
        return (height, width), (rows, columns)

    def sizes(self) -> Sizes:
        sizes = super().sizes()
        frames, (rows, columns) = self.sta_frames, sizes.grid
        relative = self.sta_relative
        return replace(
            sizes,
            temporal_layers=self.sta_temporal_layers,
            spatial_relative=(frames, rows, columns) if relative in ("spatial", "both") else None,
            temporal_relative=(frames, window_side(rows), window_side(columns))
            if relative in ("temporal", "both")
            else None,
        )

    def encoder(self) -> SequenceEncoder:
        height, width = self.sta_image_size
        return STA(self.sizes(), (height, width), self.sta_part, self.frozen)
