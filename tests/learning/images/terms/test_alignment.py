"""Spatial alignment against the original's numbers."""

import pytest
import torch

from opticornet.learning.images.terms.alignment import AlignmentOptions, alignment
from opticornet.models.images.base import load_state
from opticornet.models.images.dinov2 import DinoV2
from opticornet.models.images.fol.aggregator import GuidedAggregator
from opticornet.models.images.fol.encoder import FoL

GRADIENT = {"rtol": 1e-3, "atol": 2e-6}


@pytest.mark.parametrize("mode", ["train23", "test23"])
def test_divergences_and_gradients_of_the_aggregator_are_the_originals(mode, golden, state_of):
    arrays = golden(f"fol/fol_aggregator_{mode}")
    aggregator = GuidedAggregator(16, clusters=8, cluster_dim=6, token_dim=5).eval()
    load_state(aggregator, state_of(arrays), "aggregator")
    x, cls, attention = (arrays[f"in_{name}"].requires_grad_() for name in ("x", "t", "att"))
    out = aggregator(x, cls, attention)
    # The original's objective weighs its two divergences differently: one moves confidence alone, the other importance.
    to_importance = alignment(out.confidence, out.importance.detach())
    to_confidence = alignment(out.confidence.detach(), out.importance)
    both = (arrays["out_kl1"] + arrays["out_kl2"]).item()
    assert alignment(out.confidence, out.importance).item() == pytest.approx(both, abs=1e-6)
    mix = out.confidence if mode == "test23" else out.confidence + out.importance
    objective = (out.descriptor * arrays["in_Gy"]).sum() + (mix * arrays["in_Gm"]).sum()
    (objective + 3 * to_importance + 5 * to_confidence).backward()
    for gradient, key in ((x.grad, "grad_x"), (cls.grad, "grad_t"), (attention.grad, "grad_att")):
        torch.testing.assert_close(gradient, arrays[key], **GRADIENT)


def test_term_of_a_whole_network_is_the_originals(golden, fill, normal, labelled):
    net = fill(FoL(DinoV2(32, 6, 4), GuidedAggregator(32)), 5000)
    net.backbone.model.blocks[-1].attn.qkv.weight.data *= 3
    net.train_blocks(4)
    described = net.describe(net.frozen(normal(40, 2, 3, 322, 322)), (322, 322))
    arrays = golden("fol/fol_net_train322")
    found = AlignmentOptions().build()(labelled(described, [0, 0]))
    torch.testing.assert_close(found, arrays["out_kl1"] + arrays["out_kl2"], rtol=0, atol=1e-6)
    found.backward()
    assert net.aggregator.score[3].weight.grad.any()
    assert net.backbone.model.blocks[5].attn.qkv.weight.grad.any()


def test_each_distribution_is_drawn_to_the_other_held_fixed():
    confidence, importance = (torch.tensor([row]).requires_grad_() for row in ([0.5, 0.5], [0.2, 0.8]))
    loss = alignment(confidence, importance)
    loss.backward()
    values = 0.2 * torch.tensor(0.4).log() + 0.8 * torch.tensor(1.6).log()
    values = values + 0.5 * torch.tensor(2.5).log() + 0.5 * torch.tensor(0.625).log()
    torch.testing.assert_close(loss, values)
    torch.testing.assert_close(confidence.grad, torch.tensor([[-0.4, -1.6]]))  # - importance / confidence
    torch.testing.assert_close(importance.grad, torch.tensor([[-2.5, -0.625]]))


def test_it_is_weighed_as_published():
    assert AlignmentOptions.weight == 5e-3
