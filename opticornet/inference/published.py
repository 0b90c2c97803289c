"""Networks with the weights that their authors publish; their sizes are read from the weights.

One function per method, one line each in :data:`PUBLISHED`.
"""

import inspect
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from torch import Tensor, nn

from opticornet.models.images.base import ImageEncoder, find_state_dict, load_state, read_state_dict
from opticornet.utils.checkpoints import build_empty
from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra
from opticornet.utils.registry import nearest

if TYPE_CHECKING:
    from opticornet.models.sequences.sta.seqvlad_options import SeqVLADOptions

HEAD_WIDTH = 64  # channels of an attention head in every vision transformer that was published here
Network = TypeVar("Network", bound=nn.Module)


def load_published(method: str, file_or_state_dict: str | Path | Mapping[str, Any], **options: Any) -> nn.Module:
    """A network with its authors' weights, in evaluation mode on the CPU.

    Every size is read from the weights: dimensions, kernel, window length, clusters, whitening, depth and width of a
    transformer. A size in a method's name ("fol-base") only refuses a file of another published size.

    It returns the descriptor that the authors' network returns, rows of unit length: of windows (B, L, D) float32 for
    a sequence method, of images (B, 3, H, W) float32, normalised by ImageNet's mean and deviation, for an image
    encoder. Weights of ``netvlad``, ``scicevpr`` and ``super-cricavpr`` without those of the backbone give the head,
    which takes the backbone's feature maps (B, C, h, w).

    Args:
        method: a key of :data:`PUBLISHED`.
        file_or_state_dict: a checkpoint file, of which nothing but tensors and plain values is read; or what one holds.
            The state dict is all of it, or lies under ``state_dict``, ``model_state_dict`` or ``model``; its names may
            begin with ``module.``.
        **options: what cannot be read from the weights; each is a named argument of the method's function in
            :data:`PUBLISHED`.

    Raises:
        UserError: unknown method or option, no readable checkpoint, or weights that do not fit the method.
    """
    if method not in PUBLISHED:
        raise UserError(f"unknown method {method!r}{nearest(method, PUBLISHED)}: choose one of {', '.join(PUBLISHED)}")
    load = PUBLISHED[method]
    known = options_of(load)
    for name in options:
        if name not in known:
            choice = f"it has {', '.join(known)}" if known else "it has none"
            raise UserError(f"unknown option {name!r} of {method}{nearest(name, known)}: {choice}")
    weights = Weights.of(method, file_or_state_dict)
    try:
        with needs_extra("images"):
            return load(weights, **options).eval()
    except ValueError as error:  # how a network refuses an option's value
        raise UserError(f"{method}: {error}") from error


def options_of(load: Callable[..., nn.Module]) -> tuple[str, ...]:
    """The options that one of :data:`PUBLISHED` has."""
    fixed = load.keywords if isinstance(load, partial) else {}
    parameters = inspect.signature(load).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in fixed)


@dataclass(frozen=True)
class Weights:
    """The tensors of a checkpoint by name, and what messages call it.

    Attributes:
        method: what it should be the weights of.
        tensors: by name.
        source: the file, or "the state dict".
    """

    method: str
    tensors: Mapping[str, Tensor]
    source: str

    @classmethod
    def of(cls, method: str, given: str | Path | Mapping[str, Any]) -> Self:
        """From a file, or from what one holds, whose tensors are copied.

        Raises:
            UserError: neither, or there is no state dict.
        """
        if isinstance(given, Mapping):
            found = find_state_dict(given, "the state dict")
            return cls(method, {key: value.detach().cpu().clone() for key, value in found.items()}, "the state dict")
        if not isinstance(given, str | os.PathLike):
            raise UserError(f"`file_or_state_dict` {type(given).__name__}: wanted a path or a state dict")
        return cls(method, read_state_dict(given), str(given))

    def shape(self, key: str, dimensions: int) -> tuple[int, ...]:
        """Shape of a tensor that has so many dimensions.

        Raises:
            UserError: there is no such tensor.
        """
        if key not in self.tensors:
            raise self.misfit_error(f"it has no {key}")
        shape = tuple(self.tensors[key].shape)
        if len(shape) != dimensions:
            raise self.misfit_error(f"{key} is {shape}, wanted {dimensions} dimensions")
        return shape

    def count(self, numbered: str) -> int:
        """How many different values the group of the pattern ``numbered`` takes at the beginning of names."""
        return len({match[1] for key in self.tensors if (match := re.match(numbered, key))})

    def has(self, prefix: str) -> bool:
        """Whether a name begins with ``prefix``."""
        return any(key.startswith(prefix) for key in self.tensors)

    def without_prefix(self, prefix: str) -> "Weights":
        """The same weights without ``prefix`` before their names; unchanged unless all names have it."""
        if not all(key.startswith(prefix) for key in self.tensors):
            return self
        tensors = {key.removeprefix(prefix): value for key, value in self.tensors.items()}
        return Weights(self.method, tensors, self.source)

    def fill(self, build: Callable[[], Network]) -> Network:
        """The network that ``build`` returns, with these weights.

        Raises:
            UserError: a tensor is missing, left over, or of another shape.
        """
        network = build_empty(build)
        if isinstance(network, ImageEncoder):
            network.load(self.tensors, self.source)
        else:
            load_state(network, self.tensors, self.source)
        return network

    def misfit_error(self, reason: str) -> UserError:
        """The error that says why these are not the method's weights."""
        return UserError(f"{self.source} does not fit {self.method}: {reason}")


def seqnet(weights: Weights) -> nn.Module:
    """SeqNet: windows (B, L, D) of any L from its kernel's width on."""
    from opticornet.models.sequences.seqnet import SeqNet

    out_dims, in_dims, w = weights.shape("pool.0.conv.weight", 3)
    return weights.fill(lambda: SeqNet(in_dims, out_dims, w))


def delta_lstm(weights: Weights, *, residual: bool | None = None) -> nn.Module:
    """OptiCorNet's released module: windows (B, L, D) of the one L that it was trained with.

    Args:
        weights: names as of the module itself, or with seqNet's ``pool.0.`` before them.
        residual: whether the difference is added to the LSTM's output. Where their sizes differ the weights decide;
            where they are the same it is added, unless this is False.
    """
    from opticornet.models.sequences.delta_lstm import DeltaLSTM

    weights = weights.without_prefix("pool.0.")
    (length,) = weights.shape("weight", 1)
    gates, in_dims = weights.shape("lstm.weight_ih_l0", 2)
    out_dims, layers = gates // 4, weights.count(r"lstm\.weight_ih_l(\d+)$")
    if residual is None:
        residual = weights.has("proj.") or in_dims == out_dims
    return weights.fill(lambda: DeltaLSTM(in_dims, out_dims, length, layers=layers, residual=bool(residual)))


def netvlad(weights: Weights) -> nn.Module:
    """NetVLAD on VGG16, whitened if the weights whiten."""
    from opticornet.models.images.netvlad import NetVLAD

    clusters, dim = weights.shape("pool.centroids", 2)
    whitened_dims = weights.shape("WPCA.0.bias", 1)[0] if weights.has("WPCA.") else None
    head = None if weights.has("encoder.") else nn.Identity()
    return weights.fill(lambda: NetVLAD(whitened_dims, clusters, backbone=head, dim=dim))


def torchvision_backbone(weights: Weights, *, network: str, pool: str = "gem") -> nn.Module:
    """A classification network of torchvision without its classifier, pooled.

    Args:
        weights: torchvision's, with or without the classifier.
        network: which one.
        pool: one of :data:`opticornet.models.heads.pooling.POOLS`.
    """
    from opticornet.models.images.torchvision_backbones import build_backbone

    return weights.fill(lambda: build_backbone(network=network, pool=pool, clusters=_vlad_clusters(weights)))


def efficientnet_lite(weights: Weights, *, network: str, pool: str = "grid", block: int | None = None) -> nn.Module:
    """EfficientNet-lite up to a stage in the middle, pooled; images are normalised as its ``preprocess`` says.

    Args:
        weights: as its package has them.
        network: ``lite0`` or ``lite2``.
        pool: one of :data:`opticornet.models.heads.pooling.POOLS`.
        block: the stage that is pooled, from 0; by default as ``--mode extract`` has it.
    """
    from opticornet.models.images.efficientnet_lite import STAGE, build_efficientnet_lite

    stage, clusters = STAGE if block is None else block, _vlad_clusters(weights)
    return weights.fill(lambda: build_efficientnet_lite(network=network, pool=pool, stage=stage, clusters=clusters))


def _vlad_clusters(weights: Weights) -> int:
    """Of the pooling ``netvlad``; weights without it are of another pooling, or refused when they are loaded."""
    return weights.shape("pool.centroids", 2)[0] if weights.has("pool.centroids") else 1


def dinov2(weights: Weights, *, size: str = "", heads: int | None = None, pool: str = "cls") -> nn.Module:
    """DINOv2.

    Args:
        weights: of ``dinov2_vit{s,b,l}14`` or another size, without registers.
        size: the published variant that they must not contradict.
        heads: attention heads; by default one per 64 channels.
        pool: ``cls``, the class token after the last norm, or one of
            :data:`opticornet.models.heads.pooling.POOLS`, of the patches.
    """
    from opticornet.models.images.dinov2 import DinoV2Encoder

    vit = Transformer.of(weights, "", size, heads)
    return weights.fill(
        lambda: DinoV2Encoder(
            vit.dim,
            vit.depth,
            vit.heads,
            pool=pool,
            image_size=(224, 224),
            trained_size=vit.trained_size,
            clusters=_vlad_clusters(weights),
        )
    )


def fol(weights: Weights, *, size: str = "", heads: int | None = None, local: bool = False) -> nn.Module:
    """FoL.

    Args:
        weights: of any size.
        size: the published variant of DINOv2 that they must not contradict.
        heads: attention heads of DINOv2; by default one per 64 channels.
        local: give a pair: descriptors (B, O), and local features (B, M, C), unit rows in raster order and then zero
            rows: those of the 225 patches that the aggregator is most confident of, as in the authors' evaluation.
            Otherwise descriptors alone; the network's ``forward_with_local`` gives both.
    """
    from opticornet.models.images.dinov2 import DinoV2
    from opticornet.models.images.fol.aggregator import GuidedAggregator
    from opticornet.models.images.fol.encoder import FoL, FoLWithLocal

    vit = Transformer.of(weights, "backbone.model.", size, heads)
    clusters, hidden, *_ = weights.shape("aggregator.score.3.weight", 4)
    cluster_dim = weights.shape("aggregator.cluster_features.3.weight", 4)[0]
    token_dim = weights.shape("aggregator.token_features.2.weight", 2)[0]
    local_dims = (weights.shape("upconv.weight", 4)[1], weights.shape("upconv2.weight", 4)[1])

    def build() -> FoL:
        aggregator = GuidedAggregator(vit.dim, clusters, cluster_dim, token_dim, hidden)
        return FoL(DinoV2(vit.dim, vit.depth, vit.heads, vit.trained_size), aggregator, local_dims=local_dims)

    network = weights.fill(build)
    return FoLWithLocal(network) if local else network


def scicevpr(
    weights: Weights, *, size: str = "", layers: Sequence[int] | None = None, heads: int | None = None
) -> nn.Module:
    """SciceVPR: a descriptor is its image's own, whatever the batch.

    Args:
        weights: of any size.
        size: the published variant of DINOv2 that they must not contradict.
        layers: blocks of DINOv2, from 0, whose outputs are fused; by default the last ones.
        heads: attention heads of DINOv2; by default one per 64 channels.
    """
    return _scicevpr(weights, size, layers, heads, encoder_layers=1, context=1)


def super_cricavpr(
    weights: Weights,
    *,
    size: str = "",
    layers: Sequence[int] | None = None,
    heads: int | None = None,
    context: int | None = None,
) -> nn.Module:
    """Super-CricaVPR: as its authors' network, a descriptor depends on the other images of its batch.

    Args:
        weights, size, layers, heads: as for :func:`scicevpr`.
        context: how many consecutive images of a batch attend to one another; None: all of them. With 1 a descriptor
            is its image's own, as ``--mode extract`` makes it.
    """
    return _scicevpr(weights, size, layers, heads, encoder_layers=2, context=context)


def _scicevpr(
    weights: Weights,
    size: str,
    layers: Sequence[int] | None,
    heads: int | None,
    *,
    encoder_layers: int,
    context: int | None,
) -> nn.Module:
    from opticornet.models.images.dinov2 import DinoV2
    from opticornet.models.images.scicevpr.encoder import ENCODER_HEADS, PUBLISHED_GRID, SciceVPR
    from opticornet.models.images.scicevpr.parts import FusedLayers

    channels, fused, *_ = weights.shape("conv.weight", 4)
    found = weights.count(r"encoder\.layers\.(\d+)\.")
    if found != encoder_layers:
        raise weights.misfit_error(
            f"it has {found} encoder layers, wanted {encoder_layers} (SciceVPR 1, Super-CricaVPR 2)"
        )
    if channels % ENCODER_HEADS:
        raise weights.misfit_error(f"conv.weight gives {channels} channels, wanted a multiple of {ENCODER_HEADS}")
    if context is not None:
        _check_positive_integer("context", context)
    grid = PUBLISHED_GRID
    if weights.has("tokenmix.0."):
        grid = _square_grid(weights)
    vit = chosen = None
    if weights.has("backbone."):
        vit = Transformer.of(weights, "backbone.dino_model.", size, heads)
        chosen = vit.fused_layers(weights, fused, layers)

    def build() -> SciceVPR:
        backbone: nn.Module = nn.Identity()
        if vit is not None and chosen is not None:
            backbone = FusedLayers(DinoV2(vit.dim, vit.depth, vit.heads, vit.trained_size), chosen)
        return SciceVPR(backbone, fused, channels, mixers=0, encoder_layers=encoder_layers, context=context, grid=grid)

    return weights.fill(build)


def _square_grid(weights: Weights) -> tuple[int, int]:
    """Rows and columns of the patches that SciceVPR's token mixers are for."""
    tokens = weights.shape("tokenmix.0.mix.2.bias", 1)[0]
    side = math.isqrt(tokens)
    if side**2 != tokens:
        raise weights.misfit_error(f"tokenmix.0 mixes {tokens} patches, wanted those of a square image")
    return side, side


@dataclass(frozen=True)
class Transformer:
    """What a DINOv2 is built from.

    Attributes:
        dim: channels of a token.
        depth: blocks.
        heads: attention heads.
        trained_size: side in pixels of the images its position embeddings are for.
    """

    dim: int
    depth: int
    heads: int
    trained_size: int

    @classmethod
    def of(cls, weights: Weights, prefix: str, size: str, heads: int | None) -> Self:
        """Read from the weights whose names begin with ``prefix``.

        Args:
            weights: where to look.
            prefix: before the names of DINOv2's own checkpoints.
            size: the published variant that they must not contradict; empty for any.
            heads: attention heads, which no shape reveals; None: one per 64 channels.

        Raises:
            UserError: they are no DINOv2, or another published size; ``heads`` is missing or does not divide the
                channels.
        """
        from opticornet.models.images.dinov2 import PATCH, VARIANTS

        _, tokens, dim = weights.shape(f"{prefix}pos_embed", 3)
        depth = weights.count(re.escape(prefix) + r"blocks\.(\d+)\.")
        published = {variant[:2]: name for name, variant in VARIANTS.items()}
        found = published.get((dim, depth), size)
        if size and found != size:
            raise weights.misfit_error(f"it holds a DINOv2 of size {found}, wanted {size}")
        side = math.isqrt(max(tokens - 1, 0))
        if not depth or side == 0 or side**2 != tokens - 1:
            raise weights.misfit_error(f"{prefix}pos_embed has {tokens} positions in {depth} blocks: no DINOv2")
        if heads is None:
            if dim % HEAD_WIDTH:
                raise UserError(
                    f"`heads` cannot be read from {weights.source}: its {dim} channels are no multiple of "
                    f"{HEAD_WIDTH}; give {weights.method} the number of attention heads as heads=N"
                )
            heads = dim // HEAD_WIDTH
        _check_positive_integer("heads", heads)
        if dim % heads:
            raise UserError(f"`heads` {heads}: wanted a divisor of the {dim} channels in {weights.source}")
        return cls(dim, depth, heads, side * PATCH)

    def fused_layers(self, weights: Weights, channels: int, layers: Sequence[int] | None) -> tuple[int, ...]:
        """The blocks whose outputs, side by side, have that many channels.

        Raises:
            UserError: no number of blocks has, or ``layers`` names others.
        """
        count = channels // self.dim
        if channels % self.dim or not 1 <= count <= self.depth:
            raise weights.misfit_error(f"conv.weight takes {channels} channels, from {self.depth} blocks of {self.dim}")
        if layers is None:
            return tuple(range(self.depth - count, self.depth))
        if not isinstance(layers, Sequence) or len(set(layers)) != count or not set(layers) <= set(range(self.depth)):
            raise UserError(f"`layers` {layers}: {weights.source} fuses {count} of the blocks 0 to {self.depth - 1}")
        return tuple(sorted(layers))


def seqvlad(weights: Weights, *, heads: int | None = None, image_size: tuple[int, int] | None = None) -> nn.Module:
    """SeqVLAD: windows (B, L, 3, H, W) of any L, normalised by ImageNet's mean and deviation.

    Args:
        weights: as STA's authors publish them.
        heads: attention heads; by default one per 64 channels.
        image_size: (H, W) in pixels; by default that of the square grid which the weights' positions are for.
    """
    from opticornet.models.sequences.sta.seqvlad_options import SeqVLADOptions

    return _sequence_of_images(weights, SeqVLADOptions(**_of_images(weights, heads, image_size)))


def sta(
    weights: Weights,
    *,
    part: Literal["both", "spatial", "temporal"] = "both",
    heads: int | None = None,
    image_size: tuple[int, int] | None = None,
) -> nn.Module:
    """STA: windows (B, L, 3, H, W) of any L, normalised by ImageNet's mean and deviation.

    Args:
        weights, heads, image_size: as for :func:`seqvlad`.
        part: ``both`` stacks, or the ``spatial`` or ``temporal`` one alone.
    """
    from opticornet.models.sequences.sta.options import STAOptions

    if part not in ("both", "spatial", "temporal"):
        raise UserError(f"`part` {part}: choose one of both, spatial, temporal")
    return _sequence_of_images(weights, STAOptions(sta_part=part, **_of_images(weights, heads, image_size)))


def _of_images(weights: Weights, heads: int | None, image_size: tuple[int, int] | None) -> dict[str, Any]:
    """The options of a sequence encoder of images."""
    if heads is not None:
        _check_positive_integer("heads", heads)
    if image_size is not None:
        if not isinstance(image_size, tuple | list) or len(image_size) != 2:
            raise UserError(f"`image_size` {image_size!r}: wanted height and width in pixels")
        for value in image_size:
            _check_positive_integer("image_size", value)
    return {"sta_weights": weights.source, "sta_heads": heads or 0, "sta_image_size": tuple(image_size or ())}


def _sequence_of_images(weights: Weights, options: "SeqVLADOptions") -> nn.Module:
    from opticornet.models.sequences.sta.sizes import PUBLISHED_FRAMES
    from opticornet.models.sequences.sta.weights import is_imagenet, load_published_state

    if is_imagenet(weights.tensors):
        raise weights.misfit_error("it is the classification network that training starts from")
    try:
        decided = options.with_sizes(options.sizes_in(weights.tensors, weights.source), length=PUBLISHED_FRAMES)
    except UserError as error:
        raise UserError(str(error).replace("`sta_", "`")) from error  # the arguments here have shorter names
    encoder = build_empty(decided.encoder)
    load_published_state(encoder, weights.tensors, weights.source)
    return encoder


def _check_positive_integer(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"`{name}` {value!r}: wanted a whole number of at least 1")


PUBLISHED: dict[str, Callable[..., nn.Module]] = {
    "seqnet": seqnet,
    "delta-lstm": delta_lstm,
    "seqvlad": seqvlad,
    "sta": sta,
    "netvlad": netvlad,
    "resnet18": partial(torchvision_backbone, network="resnet18"),
    "resnet50": partial(torchvision_backbone, network="resnet50"),
    "vgg16": partial(torchvision_backbone, network="vgg16"),
    "efficientnet-lite0": partial(efficientnet_lite, network="lite0"),
    "efficientnet-lite2": partial(efficientnet_lite, network="lite2"),
    "dinov2_vits14": partial(dinov2, size="vits14"),
    "dinov2_vitb14": partial(dinov2, size="vitb14"),
    "dinov2_vitl14": partial(dinov2, size="vitl14"),
    "scicevpr": scicevpr,
    "scicevpr-large": partial(scicevpr, size="vitl14"),
    "super-cricavpr": super_cricavpr,
    "super-cricavpr-large": partial(super_cricavpr, size="vitl14"),
    "fol": fol,
    "fol-base": partial(fol, size="vitb14"),
}
