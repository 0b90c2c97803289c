"""The NetVLAD layer against the numbers of the original."""

import pytest
import torch

from opticornet.models.heads.vlad import NetVLADLayer


@pytest.fixture(scope="module")
def fixture(golden):
    return golden("netvlad/netvlad")


def test_layer_and_whitening_match_original(fixture):
    layer = NetVLADLayer(clusters=6, dim=16)
    layer.load_state_dict({key: fixture[f"layer/sd/pool.{key}"] for key in ("conv.weight", "centroids")})
    vlad = layer(fixture["layer/in_x"])
    torch.testing.assert_close(vlad, fixture["layer/out_vlad"], rtol=1e-4, atol=2e-6)
    weight, bias = fixture["layer/sd/WPCA.0.weight"], fixture["layer/sd/WPCA.0.bias"]
    whitened = torch.nn.functional.normalize(vlad @ weight.flatten(1).T + bias, dim=1)
    torch.testing.assert_close(whitened, fixture["layer/out_wpca"], rtol=1e-4, atol=2e-6)


def test_initialisation_matches_original(fixture):
    layer = NetVLADLayer(clusters=6, dim=16)
    alpha = layer.initialise(fixture["init/clusters"], fixture["init/descriptors"])
    assert alpha == pytest.approx(fixture["init/alpha"].item(), rel=1e-5)
    torch.testing.assert_close(layer.conv.weight, fixture["init/conv.weight"], rtol=1e-4, atol=2e-6)
    torch.testing.assert_close(layer.centroids, fixture["init/centroids"])
