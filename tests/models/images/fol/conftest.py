"""Small FoLs: the network of the golden files."""

from collections.abc import Callable

import pytest

from opticornet.models.images.dinov2 import DinoV2
from opticornet.models.images.fol.aggregator import GuidedAggregator
from opticornet.models.images.fol.encoder import FoL


@pytest.fixture(scope="session")
def tiny() -> Callable[..., FoL]:
    """tiny(...): FoL of small sizes, its weights random, in evaluation mode; by default the one of the golden files."""

    def make(dim=32, depth=6, heads=4, local_dims=(256, 128), clusters=64, cells=225, image_size=(322, 322)) -> FoL:
        aggregator = GuidedAggregator(dim, clusters)
        model = DinoV2(dim, depth, heads)
        return FoL(model, aggregator, local_dims=local_dims, cells=cells, image_size=image_size).eval()

    return make


@pytest.fixture(scope="module")
def golden_net(fill, tiny) -> FoL:
    """The network of the golden files: formula weights, the last block's attention sharpened."""
    net = fill(tiny(), 5000)
    net.backbone.model.blocks[-1].attn.qkv.weight.data *= 3
    return net
