"""The options of ``seqvlad``, which ``sta`` shares."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from torch import Tensor

from opticornet.models.images.base import load_state, read_state_dict
from opticornet.models.images.cct import Grid, Tokenizer
from opticornet.models.sequences.base import SequenceEncoder, SequenceEncoderOptions
from opticornet.models.sequences.sta.encoder import SeqVLADEncoder
from opticornet.models.sequences.sta.sizes import HEAD_WIDTH, PUBLISHED_FRAMES, Sizes
from opticornet.models.sequences.sta.weights import (
    SEQVLAD_NAMES,
    Names,
    is_imagenet,
    load_published_state,
    sizes_in,
)
from opticornet.utils.checkpoints import build_empty
from opticornet.utils.errors import UserError, as_user_error
from opticornet.utils.files import sha256
from opticornet.utils.options import option

IMAGE_SIZE = (384, 384)
DEFAULT = Sizes()
Found = Mapping[str, Any]


def hash_of(path: str) -> str:
    """The sha256 of a file; empty where none is named."""
    return sha256(Path(path)) if path else ""


def check_hash(name: str, path: str, wanted: str) -> None:
    """Raise :class:`UserError` where the file that the option ``name`` names has not the sha256 ``wanted``, if any."""
    if wanted and (found := hash_of(path)) != wanted:
        raise UserError(
            f"`{name}` {path} is another file than the one that was trained on: its sha256 is {found[:12]}..., wanted "
            f"{wanted[:12]}..."
        )


@dataclass(frozen=True, kw_only=True)
class SeqVLADOptions(SequenceEncoderOptions):
    """``seqvlad``. What is left at 0 or empty is decided by :meth:`decided`, and a run records it."""

    takes: ClassVar[Literal["descriptors", "images"]] = "images"
    weights_option: ClassVar[str] = "sta_weights"
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
        return self.reads_weights and not is_imagenet(self.tensors)

    @property
    def reads_weights(self) -> bool:
        """Whether there is a file to read sizes from; a run that has recorded them needs it no more."""
        return bool(self.sta_weights) and not (self.sta_weights_sha256 and self.sta_grid)

    @property
    def weights_file(self) -> str:
        return self.sta_weights

    @property
    def sizes_from(self) -> str:
        """The file that :attr:`found` is of."""
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
        if not self.reads_weights:
            return {}
        return self.sizes_in(self.tensors, self.sta_weights)

    @classmethod
    def sizes_in(cls, tensors: Mapping[str, Tensor], source: str) -> Found:
        """What the tensors of a file say of sizes; ``source`` names it in the error.

        Raises:
            UserError: they are of another network, with the first names that the published one does not share.
        """
        found = sizes_in(tensors, cls.names)
        if "dims" not in found and "kernel" not in found:
            load_state(build_empty(lambda: cls().build(0, PUBLISHED_FRAMES)), tensors, source)
        return found

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
            raise UserError(f"`{name}` {given} contradicts {read} in {self.sizes_from}; leave it out")
        return given or read or default

    def image_size_and_grid(self, found: Found, kernel: int, stages: int) -> tuple[tuple[int, int], Grid]:
        """Of the images, and the grid that positions are for."""
        with as_user_error("`sta_kernel`"):
            tokenizer = Tokenizer(DEFAULT.heads, kernel, stages)
        positions = found.get("positions", 0)
        trained = self.sta_grid or found.get("grid", ())
        read = tuple(side * tokenizer.step for side in trained) if positions and trained else IMAGE_SIZE
        height, width = self.sta_image_size or read
        with as_user_error("`sta_image_size`"):
            grid = tokenizer.grid(height, width)
        rows, columns = trained or grid
        if positions and rows * columns != positions:
            if self.sta_grid:
                raise UserError(f"`sta_grid` {rows} {columns}: {self.sta_weights} has {positions} positions")
            raise UserError(
                f"`sta_image_size` cannot be read from {self.sta_weights}: its {positions} positions are no square "
                "grid; give the size of the images that it was trained on"
            )
        return (height, width), (rows, columns)

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
        check_hash("sta_weights", self.sta_weights, self.sta_weights_sha256)
        return load_published_state(encoder, self.tensors, self.sta_weights)
