"""The aggregator against the numbers of the original."""

import pytest
import torch

from opticornet.models.images.base import load_state
from opticornet.models.images.fol.aggregator import GuidedAggregator, cap_top
from opticornet.models.images.fol.local_features import top_cells

CLOSE = {"rtol": 1e-4, "atol": 2e-6}


def test_cap_matches_original(golden):
    arrays = golden("fol/fol_replace_top")
    assert torch.equal(cap_top(arrays["in_m"]), arrays["out_m"])


@pytest.mark.parametrize("mode", ["train23", "test23"])
@torch.no_grad()
def test_outputs_match_original(mode, golden, state_of):
    arrays = golden(f"fol/fol_aggregator_{mode}")
    aggregator = GuidedAggregator(16, clusters=8, cluster_dim=6, token_dim=5).eval()
    load_state(aggregator, state_of(arrays), "aggregator")
    out = aggregator(arrays["in_x"], arrays["in_t"], arrays["in_att"])
    torch.testing.assert_close(out.descriptor, arrays["out_desc"], **CLOSE)
    torch.testing.assert_close(out.importance, arrays["out_att_after"].softmax(1), **CLOSE)
    mix = out.confidence if mode == "test23" else out.confidence + out.importance
    torch.testing.assert_close(mix, arrays["out_mix"], **CLOSE)
    assert torch.equal(top_cells(mix, (23, 23)).float(), arrays["out_mask"])
    assert torch.equal(out.guide, arrays["in_att"] * (arrays["in_att"] >= 0.01))
    if mode == "train23":
        torch.testing.assert_close(out.assignment, arrays["out_ws_p"], **CLOSE)


def test_no_more_patches_than_clusters_are_refused():
    with pytest.raises(ValueError, match="more than 4 patches, got 4"):
        GuidedAggregator(8, clusters=4)(torch.zeros(1, 8, 2, 2), torch.zeros(1, 8), torch.zeros(1, 4))
