"""The options of ``seqvlad`` and ``sta``."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from torch import Tensor

from opticornet.models.images.base import read_state_dict
from opticornet.models.images.cct import Grid, Tokenizer
from opticornet.models.sequences.base import SequenceEncoder, SequenceEncoderOptions
from opticornet.models.sequences.sta.attention import window_side
from opticornet.models.sequences.sta.backbone import FrozenTokens
from opticornet.models.sequences.sta.encoder import STA, SeqVLADEncoder
from opticornet.models.sequences.sta.sizes import HEAD_WIDTH, Sizes
from opticornet.models.sequences.sta.weights import (
    SEQVLAD_NAMES,
    STA_NAMES,
    Names,
    is_imagenet,
    load_imagenet,
    load_published_state,
    published_names,
    sizes_in,
)
from opticornet.utils.errors import UserError, as_user_error
from opticornet.utils.files import sha256
from opticornet.utils.options import option

IMAGE_SIZE, BACKBONE_IMAGE_SIZE = (384, 384), (224, 224)
DEFAULT = Sizes()


@dataclass(frozen=True, kw_only=True)
class SeqVLADOptions(SequenceEncoderOptions):
    """``seqvlad``. What is left at 0 or empty is decided by :meth:`decided`, and a run records it."""

    takes: ClassVar[Literal["descriptors", "images"]] = "images"
    names: ClassVar[Names] = SEQVLAD_NAMES

    sta_weights: str = option(
        "--staWeights",
        "",
        "published checkpoint of the method to start from or to test, or CCT-14/7x2's of ImageNet; default: random",
        path=("",),
    )
    sta_weights_sha256: str = option("--staWeightsSha256", "", "of --staWeights, as a run records it once it has them")
    sta_image_size: tuple[int, ...] = option(
        "--staImageSize", (), "height and width in pixels to resize to; default: 384 384, or as in --staWeights"
    )
    sta_grid: tuple[int, ...] = option(
        "--staGrid", (), "rows and columns that positions are for; default: of the images, or as in --staWeights"
    )
    sta_dims: int = option("--staDims", 0, "channels of a token; 0: 384, or as in --staWeights")
    sta_layers: int = option("--staLayers", 0, "transformer blocks; 0: 4, or as in --staWeights")
    sta_heads: int = option("--staHeads", 0, "attention heads; 0: one per 64 channels")
    sta_clusters: int = option("--staClusters", 0, "clusters of SeqVLAD; 0: 64, or as in --staWeights")
    sta_kernel: int = option("--staKernel", 0, "side of the tokenizer's kernels; 0: 7, or as in --staWeights")
    sta_stages: int = option("--staStages", 0, "convolutions of the tokenizer; 0: 2, or as in --staWeights")

    def __post_init__(self) -> None:
        for name, what in (("sta_image_size", "height and width in pixels"), ("sta_grid", "rows and columns")):
            value = getattr(self, name)
            if value and (len(value) != 2 or min(value) < 1):
                raise UserError(f"`{name}` {' '.join(map(str, value))}: wanted {what}")

    @property
    def weights_file(self) -> str:
        return self.sta_weights

    @cached_property
    def tensors(self) -> Mapping[str, Tensor]:
        """Of :attr:`sta_weights`, by name."""
        return read_state_dict(self.sta_weights)

    @cached_property
    def found(self) -> dict[str, Any]:
        """What the file to start from says of sizes; nothing where there is none, or a run has recorded them."""
        if not self.sta_weights or self.sta_weights_sha256:
            return {}
        return sizes_in(self.tensors, published_names(self.tensors, self.names))

    def decided(self, in_dims: int, length: int) -> Self:
        kernel, stages = self.pick("sta_kernel", "kernel", 7), self.pick("sta_stages", "stages", 2)
        dims = self.pick("sta_dims", "dims", DEFAULT.dims)
        image_size, grid = self.image_size_and_grid(kernel, stages)
        return replace(
            self,
            sta_weights_sha256=self.weights_sha256(),
            sta_image_size=image_size,
            sta_grid=grid,
            sta_dims=dims,
            sta_layers=self.pick("sta_layers", "layers", DEFAULT.layers),
            sta_heads=self.head_count(dims),
            sta_clusters=self.pick("sta_clusters", "clusters", DEFAULT.clusters),
            sta_kernel=kernel,
            sta_stages=stages,
        )

    def pick(self, name: str, size: str, default: Any) -> Any:
        """An option's value: as given, else as the file to start from has it, else its default.

        Raises:
            UserError: the file contradicts it.
        """
        given, found = getattr(self, name), self.found.get(size)
        if given and found and given != found:
            given, found = (" ".join(map(str, each)) if isinstance(each, tuple) else each for each in (given, found))
            raise UserError(f"`{name}` {given} contradicts {found} in `sta_weights` {self.sta_weights}; leave it out")
        return given or found or default

    def image_size_and_grid(self, kernel: int, stages: int) -> tuple[tuple[int, int], Grid]:
        """Of the images, and the grid that positions are for."""
        with as_user_error("`sta_kernel`"):
            tokenizer = Tokenizer(DEFAULT.heads, kernel, stages)
        rows, columns = trained = self.found.get("grid", (0, 0))
        read = (rows * tokenizer.step, columns * tokenizer.step) if rows else IMAGE_SIZE
        image_size = self.sta_image_size or read
        with as_user_error("`sta_image_size`"):
            grid = tokenizer.grid(*image_size)
        positions = self.found.get("positions", 0)
        if positions and not rows and grid[0] * grid[1] != positions:
            raise UserError(
                f"`sta_image_size` cannot be read from {self.sta_weights}: its {positions} positions are no square "
                "grid; give the size of the images that it was trained on"
            )
        return image_size, self.sta_grid or (trained if rows else grid)

    def head_count(self, dims: int) -> int:
        """As given, else as tables of relative positions say, else one per 64 channels."""
        heads = self.pick("sta_heads", "heads", dims // HEAD_WIDTH if dims % HEAD_WIDTH == 0 else 0)
        if not heads:
            raise UserError(
                f"`sta_heads`: give the number of attention heads, as {dims} channels are no multiple of 64"
            )
        if dims % heads:
            raise UserError(f"`sta_heads` {heads}: wanted a divisor of the {dims} channels")
        return heads

    def weights_sha256(self) -> str:
        """Of the file to start from; empty where there is none."""
        return self.sta_weights_sha256 or (sha256(self.sta_weights) if self.sta_weights else "")

    def sizes(self) -> Sizes:
        """Of options that are decided."""
        rows, columns = self.sta_grid
        return Sizes(
            dims=self.sta_dims,
            layers=self.sta_layers,
            heads=self.sta_heads,
            clusters=self.sta_clusters,
            grid=(rows, columns),
            kernel=self.sta_kernel,
            stages=self.sta_stages,
            ratio=self.found.get("ratio", DEFAULT.ratio),
        )

    def build(self, in_dims: int, length: int) -> SequenceEncoder:
        decided = self.decided(in_dims, length)
        height, width = decided.sta_image_size
        return SeqVLADEncoder(decided.sizes(), (height, width))

    def load_weights(self, encoder: SequenceEncoder) -> tuple[str, ...]:
        if is_imagenet(self.tensors):
            return load_imagenet(encoder, self.tensors, self.sta_weights)
        load_published_state(encoder, self.tensors, self.sta_weights)
        return ()


@dataclass(frozen=True, kw_only=True)
class STAOptions(SeqVLADOptions):
    """``sta``."""

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
        if self.sta_part == "spatial":
            reasons["sta_temporal_layers"] = "`sta_part` spatial has none"
        return reasons

    @cached_property
    def frozen(self) -> FrozenTokens | None:
        """The backbone, where there is one.

        Raises:
            UserError: it cannot be read, or it is another one than when it was recorded.
        """
        if not self.sta_backbone:
            return None
        frozen = FrozenTokens.of(self.sta_backbone, self.sta_layer)
        if self.sta_backbone_sha256 and (found := sha256(self.sta_backbone)) != self.sta_backbone_sha256:
            raise UserError(
                f"`sta_backbone` {self.sta_backbone} is another file than the one that was trained on: its sha256 is "
                f"{found[:12]}..., wanted {self.sta_backbone_sha256[:12]}..."
            )
        return frozen

    @cached_property
    def found(self) -> dict[str, Any]:
        if self.frozen is not None:
            return {"dims": self.frozen.dims}
        found = super().found
        if "temporal_relative" in found:
            extents = {"spatial": found["spatial_relative"], "temporal": found["temporal_relative"]}
            stacks = [stack for stack, extent in extents.items() if extent]
            frames = next((extent[0] for extent in extents.values() if extent), 0)
            found |= {"relative": "both" if len(stacks) == 2 else (stacks or ["none"])[0], "frames": frames}
        return found

    def decided(self, in_dims: int, length: int) -> Self:
        layers = super().decided(in_dims, length)
        decided = replace(
            layers,
            sta_temporal_layers=self.pick("sta_temporal_layers", "temporal_layers", layers.sta_layers),
            sta_relative=self.pick("sta_relative", "relative", "temporal"),
            sta_frames=self.pick("sta_frames", "frames", length),
            sta_backbone_sha256=self.sta_backbone_sha256 or (sha256(self.sta_backbone) if self.sta_backbone else ""),
        )
        if decided.sta_frames == 1 < length and decided.sta_relative != "none":
            raise UserError(
                f"`sequence_length` {length}: relative positions of weights for windows of 1 frame cannot be "
                "interpolated; take windows of 1, or train on longer ones"
            )
        return decided

    def image_size_and_grid(self, kernel: int, stages: int) -> tuple[tuple[int, int], Grid]:
        if self.frozen is None:
            return super().image_size_and_grid(kernel, stages)
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

    def build(self, in_dims: int, length: int) -> SequenceEncoder:
        decided = self.decided(in_dims, length)
        height, width = decided.sta_image_size
        return STA(decided.sizes(), (height, width), decided.sta_part, decided.frozen)
