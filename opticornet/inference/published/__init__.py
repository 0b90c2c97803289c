"""Networks with the weights that their authors publish; their sizes are read from the weights.

One function per method, one line each in :data:`PUBLISHED`.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from opticornet.inference.published import image_encoders, sequence_encoders
from opticornet.inference.published.weights import Weights
from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra
from opticornet.utils.registry import nearest

PUBLISHED: dict[str, Callable[..., nn.Module]] = {
    "seqnet": sequence_encoders.seqnet,
    "delta-lstm": sequence_encoders.delta_lstm,
    "seqvlad": sequence_encoders.seqvlad,
    "sta": sequence_encoders.sta,
    "netvlad": image_encoders.netvlad,
    "resnet18": partial(image_encoders.torchvision_backbone, network="resnet18"),
    "resnet50": partial(image_encoders.torchvision_backbone, network="resnet50"),
    "vgg16": partial(image_encoders.torchvision_backbone, network="vgg16"),
    "efficientnet-lite0": partial(image_encoders.efficientnet_lite, network="lite0"),
    "efficientnet-lite2": partial(image_encoders.efficientnet_lite, network="lite2"),
    "dinov2_vits14": partial(image_encoders.dinov2, size="vits14"),
    "dinov2_vitb14": partial(image_encoders.dinov2, size="vitb14"),
    "dinov2_vitl14": partial(image_encoders.dinov2, size="vitl14"),
    "scicevpr": image_encoders.scicevpr,
    "scicevpr-large": partial(image_encoders.scicevpr, size="vitl14"),
    "super-cricavpr": image_encoders.super_cricavpr,
    "super-cricavpr-large": partial(image_encoders.super_cricavpr, size="vitl14"),
    "fol": image_encoders.fol,
    "fol-base": partial(image_encoders.fol, size="vitb14"),
}


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
