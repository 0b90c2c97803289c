"""Image encoders with published weights; one function per method."""

import math
from collections.abc import Sequence

from torch import nn

from opticornet.inference.published.transformer import Transformer
from opticornet.inference.published.weights import Weights, check_positive_integer


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
        check_positive_integer("context", context)
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
