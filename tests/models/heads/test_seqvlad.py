"""SeqVLAD against the numbers of the original."""

import pytest
import torch
from torch.nn.functional import normalize

from opticornet.models.heads.seqvlad import SeqVLAD

CLOSE = {"rtol": 1e-4, "atol": 2e-6}


@pytest.fixture
def fixture(golden):
    return golden("sta/sta_seqvlad")


@pytest.fixture
def tokens(fixture):
    """Two windows of three frames."""
    return fixture["in_x"].unflatten(0, (2, 3)).requires_grad_()


def test_descriptors_and_gradients_are_those_of_the_original(fixture, tokens):
    head = SeqVLAD(8, 16)
    head.load_state_dict({key: fixture[f"sd/{key}"] for key in ("conv.weight", "centroids")})
    out = head(tokens)
    torch.testing.assert_close(out, fixture["out_y"], **CLOSE)
    (out * fixture["in_G"]).sum().backward()
    torch.testing.assert_close(tokens.grad.flatten(0, 1), fixture["grad_x"], rtol=1e-3, atol=2e-6)
    for key, parameter in head.named_parameters():
        torch.testing.assert_close(parameter.grad, fixture[f"grad/{key}"], rtol=1e-3, atol=2e-6)


def test_initialisation_is_that_of_the_original(fixture, tokens):
    head = SeqVLAD(8, 16)
    alpha = head.initialise(fixture["init_centroids"], fixture["init_descriptors"])
    assert alpha == pytest.approx(fixture["init_alpha"].item(), rel=1e-5)
    torch.testing.assert_close(head.conv.weight, fixture["init_conv_weight"], **CLOSE)
    assert torch.equal(head.centroids, fixture["init_centroids"])
    torch.testing.assert_close(head(tokens), fixture["init_out_y"], **CLOSE)


def test_clusters_are_found_in_a_sample_of_tokens():
    torch.manual_seed(0)
    directions = torch.eye(3, 6)
    tokens = 5 * normalize(directions.repeat(50, 1) + 0.01 * torch.randn(150, 6), dim=1)
    heads = [SeqVLAD(3, 6) for _ in range(2)]
    alphas = [head.start_from(tokens, seed=1) for head in heads]
    assert torch.equal(heads[0].centroids, heads[1].centroids)
    assert alphas[0] == alphas[1] == pytest.approx(4.6, abs=0.1)  # ln 100 / (1 - 0)
    nearest = (heads[0].centroids @ directions.T).max(0)
    torch.testing.assert_close(nearest.values.detach(), torch.ones(3), rtol=0, atol=0.01)
    assert sorted(nearest.indices.tolist()) == [0, 1, 2]


def test_a_sample_that_gives_no_clusters_is_refused():
    with pytest.raises(ValueError, match="2 local features cannot be put into 3 clusters"):
        SeqVLAD(3, 6).start_from(torch.randn(2, 6), seed=0)
    with pytest.raises(ValueError, match="all clusters are the same"):
        SeqVLAD(3, 6).initialise(torch.ones(3, 6), normalize(torch.randn(50, 6), dim=1))
