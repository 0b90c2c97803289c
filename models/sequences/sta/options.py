"""The options of ``seqvlad`` and ``sta``."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
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
    load_published_state,
    sizes_in,
)
from opticornet.utils.errors import UserError, as_user_error
from opticornet.utils.files import sha256
from opticornet.utils.options import option

IMAGE_SIZE, BACKBONE_IMAGE_SIZE = (384, 384), (224, 224)
DEFAULT = Sizes()


Found = Mapping[str, Any]


def hash_of(path: str) -> str:
    """The sha256 of a file; empty where none is named."""
    return sha256(Path(path)) if path else ""


@dataclass(frozen=True, kw_only=True)
class SeqVLADOptions(SequenceEncoderOptions):
    """``seqvlad``. What is left at 0 or empty is decided by :meth:`decided`, and a run records it."""

    takes: ClassVar[Literal["descriptors", "images"]] = "images"
    sees_order: ClassVar[bool] = False  # tokens of all frames are gathered alike
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
    init: Literal["kmeans", "random"] = option(
        "--init",
        "kmeans",
        "what SeqVLAD's clusters start from: k-means of tokens of training images, or nothing of them",
        choices=("kmeans", "random"),
    )
    sta_kernel: int = option("--staKernel", 0, "side of the tokenizer's kernels; 0: 7, or as in --staWeights")
    sta_stages: int = option("--staStages", 0, "convolutions of the tokenizer; 0: 2, or as in --staWeights")

    def __post_init__(self) -> None:
        for name, what in (("sta_image_size", "height and width in pixels"), ("sta_grid", "rows and columns")):
            value = getattr(self, name)
            if value and (len(value) != 2 or min(value) < 1):
                raise UserError(f"`{name}` {' '.join(map(str, value))}: wanted {what}")

    def unused(self) -> dict[str, str]:
        if self.has_trained_clusters:
            return {"init": f"SeqVLAD's clusters are those of `sta_weights` {self.sta_weights}"}
        return {}

    @property
    def starts_from_data(self) -> bool:
        return self.init == "kmeans" and not self.has_trained_clusters

    @property
    def has_trained_clusters(self) -> bool:
        """Whether training starts from a published checkpoint, which has SeqVLAD's weights, too."""
        starts = self.sta_weights and not self.sta_weights_sha256  # a run that has begun needs the file no more
        return bool(starts) and not is_imagenet(self.tensors)

    @property
    def weights_file(self) -> str:
        return self.sta_weights

    @property
    def started_from(self) -> str:
        return self.sta_weights or "random weights"

    @cached_property
    def tensors(self) -> Mapping[str, Tensor]:
        """Of :attr:`sta_weights`, by name."""
        return read_state_dict(self.sta_weights)

    @cached_property
    def found(self) -> Found:
        """What the file to start from says of sizes; nothing where there is none, or a run has recorded them."""
        if not self.sta_weights or self.sta_weights_sha256:
            return {}
        return sizes_in(self.tensors, self.names)

    def decided(self, in_dims: int, length: int) -> Self:
        decided = self.with_sizes(self.found, length)
        return replace(decided, sta_weights_sha256=self.sta_weights_sha256 or hash_of(self.sta_weights))

    def with_sizes(self, found: Found, length: int) -> Self:
        """These options with what they leave open as a file has it (:func:`.weights.sizes_in`), else for windows of
        ``length`` frames.

        Raises:
            UserError: the file contradicts them; what neither says; images that give no whole grid.
        """
        kernel = self.pick(found, "sta_kernel", "kernel", DEFAULT.kernel)
        stages = self.pick(found, "sta_stages", "stages", DEFAULT.stages)
        dims = self.pick(found, "sta_dims", "dims", DEFAULT.dims)
        image_size, grid = self.image_size_and_grid(found, kernel, stages)
        return replace(
            self,
            sta_image_size=image_size,
            sta_grid=grid,
            sta_dims=dims,
            sta_layers=self.pick(found, "sta_layers", "layers", DEFAULT.layers),
            sta_heads=self.head_count(found, dims),
            sta_clusters=self.pick(found, "sta_clusters", "clusters", DEFAULT.clusters),
            sta_kernel=kernel,
            sta_stages=stages,
        )

    def pick(self, found: Found, name: str, size: str, default: Any) -> Any:
        """An option's value: as given, else as the file to start from has it, else its default.

        Raises:
            UserError: the file contradicts it.
        """
        given, read = getattr(self, name), found.get(size)
        if given and read and given != read:
            raise UserError(f"`{name}` {given} contradicts {read} in `sta_weights` {self.sta_weights}; leave it out")
        return given or read or default

    def image_size_and_grid(self, found: Found, kernel: int, stages: int) -> tuple[tuple[int, int], Grid]:
        """Of the images, and the grid that positions are for."""
        with as_user_error("`sta_kernel`"):
            tokenizer = Tokenizer(DEFAULT.heads, kernel, stages)
        rows, columns = trained = found.get("grid", (0, 0))
        read = (rows * tokenizer.step, columns * tokenizer.step) if rows else IMAGE_SIZE
        height, width = self.sta_image_size or read
        with as_user_error("`sta_image_size`"):
            grid = tokenizer.grid(height, width)
        positions = found.get("positions", 0)
        if positions and not rows and grid[0] * grid[1] != positions:
            raise UserError(
                f"`sta_image_size` cannot be read from {self.sta_weights}: its {positions} positions are no square "
                "grid; give the size of the images that it was trained on"
            )
        trained_rows, trained_columns = self.sta_grid or (trained if rows else grid)
        return (height, width), (trained_rows, trained_columns)

    def head_count(self, found: Found, dims: int) -> int:
        """As given, else as tables of relative positions say, else one per 64 channels."""
        heads = self.pick(found, "sta_heads", "heads", dims // HEAD_WIDTH if dims % HEAD_WIDTH == 0 else 0)
        if not heads:
            raise UserError(
                f"`sta_heads`: give the number of attention heads, as {dims} channels are no multiple of 64"
            )
        if dims % heads:
            raise UserError(f"`sta_heads` {heads}: wanted a divisor of the {dims} channels")
        return heads

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
        )

    def build(self, in_dims: int, length: int) -> SequenceEncoder:
        return self.with_sizes(self.found, length).encoder()

    def encoder(self) -> SequenceEncoder:
        """Of options that are decided."""
        height, width = self.sta_image_size
        return SeqVLADEncoder(self.sizes(), (height, width))

    def load_weights(self, encoder: SequenceEncoder) -> tuple[str, ...]:
        return load_published_state(encoder, self.tensors, self.sta_weights)


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
    def started_from(self) -> str:
        return f"random weights on tokens of {self.sta_backbone}" if self.sta_backbone else super().started_from

    @cached_property
    def frozen(self) -> FrozenTokens | None:
        """The backbone, where there is one.

        Raises:
            UserError: it cannot be read, or it is another one than when it was recorded.
        """
        if not self.sta_backbone:
            return None
        frozen = FrozenTokens.of(self.sta_backbone, self.sta_layer, self.sta_pool)
        if self.sta_backbone_sha256 and (found := hash_of(self.sta_backbone)) != self.sta_backbone_sha256:
            raise UserError(
                f"`sta_backbone` {self.sta_backbone} is another file than the one that was trained on: its sha256 is "
                f"{found[:12]}..., wanted {self.sta_backbone_sha256[:12]}..."
            )
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
