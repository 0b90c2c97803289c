"""What ``torch.hub.load(<this repository>, NAME, ...)`` gives: trained encoders as plain modules in evaluation mode.

Sequence encoders take windows of frame descriptors (B, L, D) float32, or of images where they say so; image encoders
take images (B, 3, H, W) float32, normalised by ImageNet's mean and deviation. Both give descriptors (B, O), rows of
unit length. Whatever is wrong with a run or with weights is an ``opticornet.utils.errors.UserError`` of one line.

``weights`` of an image encoder is a checkpoint file, of which every size is read; ``"random"`` for weights that were
never trained; by default the published file in ``data/weights``, or what torchvision fetches.
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


def delta_lstm(run: str = "", checkpoint: str = "best", weights: str = "") -> torch.nn.Module:
    """The temporal difference module that OptiCorNet released, for windows of the one length it was trained with.

    Args:
        run, checkpoint, weights: as for :func:`seqnet`.
    """
    return _sequence_encoder("delta-lstm", run, checkpoint, weights)


def seqvlad(run: str = "", checkpoint: str = "best", weights: str = "") -> torch.nn.Module:
    """SeqVLAD, of windows of images (B, L, 3, H, W): of a run, or from a file of weights.

    Args:
        run, checkpoint, weights: as for :func:`seqnet`.
    """
    return _sequence_encoder("seqvlad", run, checkpoint, weights)


def sta(run: str = "", checkpoint: str = "best", weights: str = "") -> torch.nn.Module:
    """STA, of windows of images (B, L, 3, H, W): of a run, or from a file of weights.

    Args:
        run, checkpoint, weights: as for :func:`seqnet`.
    """
    return _sequence_encoder("sta", run, checkpoint, weights)


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


def efficientnet_lite0(weights: str = "", pool: str = "grid") -> torch.nn.Module:
    """EfficientNet-lite0 up to a stage in the middle, pooled; its weights come with a package."""
    return _image_encoder("efficientnet-lite0", weights, pool=pool)


def efficientnet_lite2(weights: str = "", pool: str = "grid") -> torch.nn.Module:
    """EfficientNet-lite2 up to a stage in the middle, pooled; its weights come with a package."""
    return _image_encoder("efficientnet-lite2", weights, pool=pool)


def dinov2_vits14(weights: str = "", pool: str = "cls") -> torch.nn.Module:
    """DINOv2 ViT-S/14: its class token (``cls``) or its patches, pooled (``gem``, ...)."""
    return _image_encoder("dinov2_vits14", weights, pool=pool)


def dinov2_vitb14(weights: str = "", pool: str = "cls") -> torch.nn.Module:
    """DINOv2 ViT-B/14: its class token (``cls``) or its patches, pooled (``gem``, ...)."""
    return _image_encoder("dinov2_vitb14", weights, pool=pool)


def dinov2_vitl14(weights: str = "", pool: str = "cls") -> torch.nn.Module:
    """DINOv2 ViT-L/14: its class token (``cls``) or its patches, pooled (``gem``, ...)."""
    return _image_encoder("dinov2_vitl14", weights, pool=pool)


def scicevpr(weights: str = "") -> torch.nn.Module:
    """SciceVPR on ViT-B."""
    return _image_encoder("scicevpr", weights)


def scicevpr_large(weights: str = "") -> torch.nn.Module:
    """SciceVPR on ViT-L."""
    return _image_encoder("scicevpr-large", weights)


def super_cricavpr(weights: str = "", context: int | None = None) -> torch.nn.Module:
    """Super-CricaVPR on ViT-B.

    Args:
        weights: as for every image encoder.
        context: how many consecutive images of a batch attend to one another; None: all of them, as in its authors'
            network; with 1 a descriptor is its image's own.
    """
    return _super_cricavpr("super-cricavpr", weights, context)


def super_cricavpr_large(weights: str = "", context: int | None = None) -> torch.nn.Module:
    """Super-CricaVPR on ViT-L; arguments as for :func:`super_cricavpr`."""
    return _super_cricavpr("super-cricavpr-large", weights, context)


def fol(weights: str = "") -> torch.nn.Module:
    """FoL on ViT-L; its ``forward_with_local`` also gives local features."""
    return _image_encoder("fol", weights)


def fol_base(weights: str = "") -> torch.nn.Module:
    """FoL on ViT-B; its ``forward_with_local`` also gives local features."""
    return _image_encoder("fol-base", weights)


def _trained(method: str, run: str, checkpoint: str) -> torch.nn.Module:
    import opticornet
    from opticornet.utils.errors import UserError

    trained = opticornet.load(run, checkpoint=checkpoint)
    if trained.method != method:
        raise UserError(f"`run` {run} trained {trained.method}, wanted {method}")
    return trained.encoder


def _sequence_encoder(method: str, run: str, checkpoint: str, weights: str) -> torch.nn.Module:
    import opticornet
    from opticornet.utils.errors import UserError

    if bool(run) == bool(weights):
        raise UserError(f"{method}: wanted either `run`, a run folder, or `weights`, a checkpoint file")
    return _trained(method, run, checkpoint) if run else opticornet.load_published(method, weights)


def _image_encoder(method: str, weights: str, **options: str) -> torch.nn.Module:
    import opticornet
    from opticornet.models.images.build import RANDOM, build_image_encoder

    if weights in ("", RANDOM):
        return build_image_encoder(method, weights=weights, **options)
    return opticornet.load_published(method, weights, **options)


def _super_cricavpr(method: str, weights: str, context: int | None) -> torch.nn.Module:
    from opticornet.models.images.scicevpr.encoder import SciceVPR
    from opticornet.utils.errors import UserError

    if context is not None and context < 1:
        raise UserError(f"`context` {context}: wanted at least 1 image, or None for all of a batch")
    encoder = _image_encoder(method, weights)
    assert isinstance(encoder, SciceVPR)
    encoder.context = context
    return encoder
