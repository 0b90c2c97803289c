"""What ``torch.hub.load(<this repository>, NAME, ...)`` gives: trained encoders as plain modules in evaluation mode.

Sequence encoders take windows of frame descriptors (B, L, D) float32, or of images where they say so; image encoders
take images (B, 3, H, W) float32, normalised by ImageNet's mean and deviation. Both give descriptors (B, O), rows of
unit length. Whatever is wrong with a run or with weights is an ``opticornet.utils.errors.UserError`` of one line.

``weights`` of an image encoder is a checkpoint file, of which every size is read; ``"random"`` for weights that were
never trained; by default the published file in ``data/weights``, or what torchvision fetches. What a file's weights do
not reveal are further arguments, those of ``opticornet.load_published``.
"""

import torch

dependencies = ["torch", "numpy", "tomlkit"]  # of the image encoders also the extra "images"


def dsdnet(run: str, checkpoint: str = "best") -> torch.nn.Module:
    """OptiCorNet's encoder as a run trained it.

    Args:
        run: run folder, or a folder of runs for its newest.
        checkpoint: "best" or "latest".
    """
    return _trained("dsdnet", run, checkpoint)


def seqnet(run: str = "", checkpoint: str = "best", weights: str = "") -> torch.nn.Module:
    """SeqNet's encoder: of a run, ours or seqNet's, or from a file of weights.

    Args:
        run, checkpoint: as for :func:`dsdnet`.
        weights: checkpoint file, in place of ``run``.
    """
    return _sequence_encoder("seqnet", run, checkpoint, weights)


def delta_lstm(
    run: str = "", checkpoint: str = "best", weights: str = "", residual: bool | None = None
) -> torch.nn.Module:
    """The temporal difference module that OptiCorNet released, for windows of the one length it was trained with.

    Args:
        run, checkpoint, weights: as for :func:`seqnet`.
        residual: with ``weights``, whether the difference is added where the LSTM keeps its size; None: it is.
    """
    return _sequence_encoder("delta-lstm", run, checkpoint, weights, residual=residual)


def seqvlad(
    run: str = "",
    checkpoint: str = "best",
    weights: str = "",
    heads: int | None = None,
    image_size: tuple[int, int] | None = None,
) -> torch.nn.Module:
    """SeqVLAD, of windows of images (B, L, 3, H, W): of a run, or from a file of weights.

    Args:
        run, checkpoint, weights: as for :func:`seqnet`.
        heads: with ``weights``, attention heads; None: one per 64 channels.
        image_size: with ``weights``, (H, W) in pixels; None: that of the square grid which the positions are for.
    """
    return _sequence_encoder("seqvlad", run, checkpoint, weights, heads=heads, image_size=image_size)


def sta(
    run: str = "",
    checkpoint: str = "best",
    weights: str = "",
    part: str | None = None,
    heads: int | None = None,
    image_size: tuple[int, int] | None = None,
) -> torch.nn.Module:
    """STA, of windows of images (B, L, 3, H, W): of a run, or from a file of weights.

    Args:
        run, checkpoint, weights, heads, image_size: as for :func:`seqvlad`.
        part: with ``weights``, ``both`` stacks, or the ``spatial`` or ``temporal`` one alone; None: both.
    """
    return _sequence_encoder("sta", run, checkpoint, weights, part=part, heads=heads, image_size=image_size)


def netvlad(weights: str = "") -> torch.nn.Module:
    """NetVLAD on VGG16, whitened if the weights whiten."""
    return _image_encoder("netvlad", weights)


def resnet18(weights: str = "", pool: str = "gem") -> torch.nn.Module:
    """ResNet-18, its last feature map pooled: ``gem``, ``gmp``, ``avg``, ``grid`` or ``netvlad``."""
    return _image_encoder("resnet18", weights, pool=pool)


def resnet50(weights: str = "", pool: str = "gem") -> torch.nn.Module:
    """ResNet-50, its last feature map pooled: ``gem``, ``gmp``, ``avg``, ``grid`` or ``netvlad``."""
    return _image_encoder("resnet50", weights, pool=pool)


def vgg16(weights: str = "", pool: str = "gem") -> torch.nn.Module:
    """VGG16, its last feature map pooled: ``gem``, ``gmp``, ``avg``, ``grid`` or ``netvlad``."""
    return _image_encoder("vgg16", weights, pool=pool)


def efficientnet_lite0(weights: str = "", pool: str = "grid", block: int | None = None) -> torch.nn.Module:
    """EfficientNet-lite0 up to the stage ``block``, pooled; its weights come with a package."""
    return _image_encoder("efficientnet-lite0", weights, pool=pool, block=block)


def efficientnet_lite2(weights: str = "", pool: str = "grid", block: int | None = None) -> torch.nn.Module:
    """EfficientNet-lite2 up to the stage ``block``, pooled; its weights come with a package."""
    return _image_encoder("efficientnet-lite2", weights, pool=pool, block=block)


def dinov2_vits14(weights: str = "", pool: str = "cls", heads: int | None = None) -> torch.nn.Module:
    """DINOv2 ViT-S/14: its class token (``cls``) or its patches, pooled (``gem``, ...); ``heads`` of a file's weights
    are by default one per 64 channels."""
    return _image_encoder("dinov2_vits14", weights, pool=pool, heads=heads)


def dinov2_vitb14(weights: str = "", pool: str = "cls", heads: int | None = None) -> torch.nn.Module:
    """DINOv2 ViT-B/14: its class token (``cls``) or its patches, pooled (``gem``, ...); ``heads`` of a file's weights
    are by default one per 64 channels."""
    return _image_encoder("dinov2_vitb14", weights, pool=pool, heads=heads)


def dinov2_vitl14(weights: str = "", pool: str = "cls", heads: int | None = None) -> torch.nn.Module:
    """DINOv2 ViT-L/14: its class token (``cls``) or its patches, pooled (``gem``, ...); ``heads`` of a file's weights
    are by default one per 64 channels."""
    return _image_encoder("dinov2_vitl14", weights, pool=pool, heads=heads)


def scicevpr(weights: str = "", layers: tuple[int, ...] | None = None, heads: int | None = None) -> torch.nn.Module:
    """SciceVPR on ViT-B.

    Args:
        weights: as for every image encoder.
        layers: of a file's weights, blocks of DINOv2, from 0, whose outputs are fused; None: the last ones.
        heads: of a file's weights, attention heads; None: one per 64 channels.
    """
    return _image_encoder("scicevpr", weights, layers=layers, heads=heads)


def scicevpr_large(
    weights: str = "", layers: tuple[int, ...] | None = None, heads: int | None = None
) -> torch.nn.Module:
    """SciceVPR on ViT-L; arguments as for :func:`scicevpr`."""
    return _image_encoder("scicevpr-large", weights, layers=layers, heads=heads)


def super_cricavpr(
    weights: str = "",
    context: int | None = None,
    layers: tuple[int, ...] | None = None,
    heads: int | None = None,
) -> torch.nn.Module:
    """Super-CricaVPR on ViT-B.

    Args:
        weights, layers, heads: as for :func:`scicevpr`.
        context: how many consecutive images of a batch attend to one another; None: all of them, as in its authors'
            network; with 1 a descriptor is its image's own.
    """
    return _super_cricavpr("super-cricavpr", weights, context, layers, heads)


def super_cricavpr_large(
    weights: str = "",
    context: int | None = None,
    layers: tuple[int, ...] | None = None,
    heads: int | None = None,
) -> torch.nn.Module:
    """Super-CricaVPR on ViT-L; arguments as for :func:`super_cricavpr`."""
    return _super_cricavpr("super-cricavpr-large", weights, context, layers, heads)


def fol(weights: str = "", heads: int | None = None, local: bool = False) -> torch.nn.Module:
    """FoL on ViT-L; its ``forward_with_local`` also gives local features.

    Args:
        weights: as for every image encoder.
        heads: of a file's weights, attention heads; None: one per 64 channels.
        local: of a file's weights, give what ``forward_with_local`` gives: descriptors and local features.
    """
    return _image_encoder("fol", weights, heads=heads, local=local or None)


def fol_base(weights: str = "", heads: int | None = None, local: bool = False) -> torch.nn.Module:
    """FoL on ViT-B; arguments as for :func:`fol`."""
    return _image_encoder("fol-base", weights, heads=heads, local=local or None)


def _trained(method: str, run: str, checkpoint: str) -> torch.nn.Module:
    import opticornet
    from opticornet.utils.errors import UserError

    trained = opticornet.load(run, checkpoint=checkpoint)
    if trained.method != method:
        raise UserError(f"`run` {run} trained {trained.method}, wanted {method}")
    return trained.encoder


def _sequence_encoder(method: str, run: str, checkpoint: str, weights: str, **options: object) -> torch.nn.Module:
    import opticornet
    from opticornet.utils.errors import UserError

    if bool(run) == bool(weights):
        raise UserError(f"{method}: wanted either `run`, a run folder, or `weights`, a checkpoint file")
    given = {name: value for name, value in options.items() if value is not None}
    if weights:
        return opticornet.load_published(method, weights, **given)
    if given:
        raise UserError(f"`{next(iter(given))}` belongs to `weights` of a file; the run {run} says its own")
    return _trained(method, run, checkpoint)


def _image_encoder(method: str, weights: str, **options: object) -> torch.nn.Module:
    import opticornet
    from opticornet.models.images import IMAGE_ENCODERS
    from opticornet.models.images.build import RANDOM, build_image_encoder
    from opticornet.utils.errors import UserError
    from opticornet.utils.options import option_fields
    from opticornet.utils.registry import entry

    given = {name: value for name, value in options.items() if value is not None}
    if weights not in ("", RANDOM):
        return opticornet.load_published(method, weights, **given)
    fields = option_fields(entry(IMAGE_ENCODERS, method))
    if of_file := next((name for name in given if name not in fields), None):
        raise UserError(f"`{of_file}` belongs to `weights` of a file: name the checkpoint of {method} with `weights`")
    return build_image_encoder(method, weights=weights, **given)


def _super_cricavpr(
    method: str, weights: str, context: int | None, layers: tuple[int, ...] | None, heads: int | None
) -> torch.nn.Module:
    from opticornet.models.images.scicevpr.encoder import SciceVPR
    from opticornet.utils.errors import UserError

    if context is not None and context < 1:
        raise UserError(f"`context` {context}: wanted at least 1 image, or None for all of a batch")
    encoder = _image_encoder(method, weights, layers=layers, heads=heads)
    assert isinstance(encoder, SciceVPR)
    encoder.context = context
    return encoder
