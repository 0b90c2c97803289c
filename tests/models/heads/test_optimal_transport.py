"""The transport plan against the numbers of the original and its marginals."""

import pytest
import torch

from opticornet.models.heads.optimal_transport import transport

CLOSE = {"rtol": 1e-4, "atol": 2e-6}
GRADIENT = {"rtol": 1e-3, "atol": 2e-6}


def test_transport_matches_original(golden):
    arrays = golden("fol/fol_ot")
    scores, dustbin = arrays["in_scores"].requires_grad_(), arrays["in_alpha"].requires_grad_()
    plan = transport(scores, dustbin)
    torch.testing.assert_close(plan, arrays["out_logP"], **CLOSE)
    (plan * arrays["in_G"]).sum().backward()
    torch.testing.assert_close(scores.grad, arrays["grad_scores"], **GRADIENT)
    torch.testing.assert_close(dustbin.grad, arrays["grad_alpha"], **GRADIENT)


def test_transport_gives_every_patch_away_whole(normal):
    plan = transport(normal(1, 2, 5, 12), normal(2, 2, 12)).exp()
    torch.testing.assert_close(plan.sum(1), torch.ones(2, 12))
    with pytest.raises(ValueError, match="more than 5 patches, got 5"):
        transport(normal(1, 2, 5, 5), normal(2, 2, 5))
