"""Sequence encoders with published weights; one function per method."""

from typing import TYPE_CHECKING, Any, Literal

from torch import nn

from opticornet.inference.published.weights import Weights, check_positive_integer
from opticornet.utils.checkpoints import build_empty
from opticornet.utils.errors import UserError

if TYPE_CHECKING:
    from opticornet.models.sequences.sta.seqvlad_options import SeqVLADOptions


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
        check_positive_integer("heads", heads)
    if image_size is not None:
        if not isinstance(image_size, tuple | list) or len(image_size) != 2:
            raise UserError(f"`image_size` {image_size!r}: wanted height and width in pixels")
        for value in image_size:
            check_positive_integer("image_size", value)
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
