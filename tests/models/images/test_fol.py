"""FoL against the numbers of the original network."""

import pytest
import torch
import torch.nn.functional as F

from opticornet.models.images.base import load_state, read_state_dict
from opticornet.models.images.dinov2 import DinoV2
from opticornet.models.images.fol import (
    FoL,
    GuidedAggregator,
    build_fol,
    cap_top,
    enlarge,
    select_local,
    top_cells,
)

CLOSE = {"rtol": 1e-4, "atol": 2e-6}
GRADIENT = {"rtol": 1e-3, "atol": 2e-6}


def tiny(dim: int = 32, depth: int = 6, heads: int = 4, local_dims: tuple[int, int] = (256, 128)) -> FoL:
    model = DinoV2(dim, depth, heads)
    return FoL(model, GuidedAggregator(dim), local_dims=local_dims, image_size=(322, 322)).eval()


@pytest.fixture(scope="module")
def golden_net(fill):
    """The network of the golden files: formula weights, the last block's attention sharpened."""
    net = fill(tiny(), 5000)
    net.backbone.model.blocks[-1].attn.qkv.weight.data *= 3
    return net


def test_cap_matches_original(golden):
    arrays = golden("fol/fol_replace_top")
    assert torch.equal(cap_top(arrays["in_m"]), arrays["out_m"])


@pytest.mark.parametrize("mode", ["train23", "test23"])
def test_aggregator_matches_original(mode, golden, state_of):
    """The objective of the gradients includes both alignment terms, KL divergences of attention and confidence."""
    arrays = golden(f"fol/fol_aggregator_{mode}")
    aggregator = GuidedAggregator(16, clusters=8, cluster_dim=6, token_dim=5).eval()
    load_state(aggregator, state_of(arrays), "aggregator")
    x, cls, attention = (arrays[f"in_{name}"].requires_grad_() for name in ("x", "t", "att"))
    out = aggregator(x, cls, attention)
    torch.testing.assert_close(out.descriptor, arrays["out_desc"], **CLOSE)
    torch.testing.assert_close(cap_top(attention), arrays["out_att_after"], **CLOSE)
    importance = cap_top(attention).softmax(1)
    mix = out.confidence if mode == "test23" else out.confidence + importance
    torch.testing.assert_close(mix, arrays["out_mix"], **CLOSE)
    assert torch.equal(top_cells(mix, (23, 23)).float(), arrays["out_mask"])
    to_importance = F.kl_div(out.confidence.log(), importance.detach(), reduction="batchmean")
    to_confidence = F.kl_div(importance.log(), out.confidence.detach(), reduction="batchmean")
    torch.testing.assert_close(to_importance, arrays["out_kl1"], rtol=0, atol=1e-6)
    torch.testing.assert_close(to_confidence, arrays["out_kl2"], rtol=0, atol=1e-6)
    if mode == "train23":
        torch.testing.assert_close(out.assignment, arrays["out_ws_p"], **CLOSE)
    objective = (out.descriptor * arrays["in_Gy"]).sum() + (mix * arrays["in_Gm"]).sum()
    (objective + 3 * to_importance + 5 * to_confidence).backward()
    for gradient, key in ((x.grad, "grad_x"), (cls.grad, "grad_t"), (attention.grad, "grad_att")):
        torch.testing.assert_close(gradient, arrays[key], **GRADIENT)


def test_local_head_matches_original(golden):
    arrays = golden("fol/fol_localhead")
    net = tiny(6, 4, 1, local_dims=(5, 4))
    for layer, number in ((net.upconv, 1), (net.upconv2, 2)):
        load_state(layer, {"weight": arrays[f"w{number}"], "bias": arrays[f"b{number}"]}, "local head")
    dense = net.local_map(arrays["in_x"])
    torch.testing.assert_close(dense[:, :, ::4, ::4], arrays["out_z_sub"], **CLOSE)
    torch.testing.assert_close(dense.sum((2, 3)), arrays["out_z_sum"], rtol=1e-4, atol=1e-4)
    mask = enlarge(arrays["in_mask"].unflatten(1, (23, 23)), (89, 89))
    assert torch.equal(mask, arrays["out_mask_nearest"].float())
    assert torch.equal(mask.sum((1, 2)).float(), arrays["out_mask_count"])


@pytest.mark.parametrize("mode", ["train322", "test322"])
@torch.no_grad()
def test_whole_network_matches_original(mode, golden, golden_net, normal, layout):
    """In training the patches of the local features are chosen by confidence and attention together."""
    arrays = golden(f"fol/fol_net_{mode}")
    assert dict(sorted(layout(golden_net).items())) == dict(zip(arrays["keys"], arrays["shapes"], strict=True))
    features, cls, attention = golden_net.backbone(normal(40, 2, 3, 322, 322))
    torch.testing.assert_close(features[:, ::4, ::5, ::5], arrays["out_feat_sub"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(cls, arrays["out_token"], rtol=1e-4, atol=1e-5)
    guide = torch.where(attention >= 0.01, attention, 0)
    torch.testing.assert_close(guide, arrays["out_maskguide"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(attention, arrays["out_att"], rtol=1e-4, atol=1e-5)
    out = golden_net.aggregator(features, cls, attention)
    torch.testing.assert_close(out.descriptor, arrays["out_desc"], **CLOSE)
    mix = out.confidence if mode == "test322" else out.confidence + cap_top(attention).softmax(1)
    enlarged = F.interpolate(mix.view(2, 1, 23, 23), size=(89, 89), mode="bilinear", align_corners=True)[:, 0]
    torch.testing.assert_close(enlarged[:, ::3, ::3], arrays["out_sep_mask_sub"], **CLOSE)
    dense = golden_net.local_map(features)
    unit = F.normalize(dense, dim=1).permute(0, 2, 3, 1)[:, ::11, ::11, ::8]
    torch.testing.assert_close(unit, arrays["out_sep_feat_sub"], rtol=1e-4, atol=1e-5)
    local = select_local(dense, top_cells(mix, (23, 23)).float())
    assert tuple(local.shape) == tuple(arrays["out_local_shape"].tolist())
    assert torch.equal((local.norm(dim=2) > 0).sum(1), arrays["out_local_nnz"])
    torch.testing.assert_close(local[:, arrays["out_local_rows"]], arrays["out_local_sub"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(local.sum(1), arrays["out_local_colsum"], rtol=1e-4, atol=1e-3)
    if mode == "train322":
        torch.testing.assert_close(
            F.normalize(features, dim=1).flatten(2)[:, ::4, ::23], arrays["out_ws_f_sub"], rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(out.assignment[:, ::8, ::23], arrays["out_ws_p_sub"], **CLOSE)


@torch.no_grad()
def test_local_features_come_with_the_descriptor(golden, golden_net, normal):
    arrays, x = golden("fol/fol_net_test322"), normal(40, 2, 3, 322, 322)
    descriptors, local = golden_net.forward_with_local(x)
    torch.testing.assert_close(descriptors, golden_net(x), rtol=0, atol=1e-6)
    torch.testing.assert_close(local[:, arrays["out_local_rows"]], arrays["out_local_sub"], rtol=1e-4, atol=1e-5)
    assert local.shape[1:] == golden_net.local_shape


@pytest.mark.parametrize(("size", "variant"), [("base", "vitb"), ("large", "vitl")])
def test_full_size_has_the_original_layout(size, variant, golden, layout):
    arrays = golden(f"fol/fol_keys_{variant}")
    with torch.device("meta"):
        net = build_fol(size=size)
    assert dict(sorted(layout(net).items())) == dict(sorted(zip(arrays["keys"], arrays["shapes"], strict=True)))
    assert sum(p.numel() for p in net.parameters()) == arrays["n_params"]
    assert (net.out_dims, net.local_shape) == (8448, (3600, 128))


@pytest.mark.parametrize("prefix", ["", "module."])
@torch.no_grad()
def test_training_checkpoint_loads_strictly(prefix, fill, normal, tmp_path):
    trained, fresh = fill(tiny(), 7), tiny()
    state = {prefix + key: value for key, value in trained.state_dict().items()}
    torch.save({"epoch_num": 1, "model_state_dict": state}, tmp_path / "best.pth")
    load_state(fresh, read_state_dict(tmp_path / "best.pth"), tmp_path / "best.pth")
    x = normal(3, 1, 3, 224, 224)
    assert torch.equal(fresh(x), trained(x))


@torch.no_grad()
def test_batch_size_does_not_matter(golden_net, normal):
    x = normal(5, 3, 3, 252, 224)
    descriptors, local = golden_net.forward_with_local(x)
    alone = [golden_net.forward_with_local(image[None]) for image in x]
    torch.testing.assert_close(descriptors, torch.cat([one for one, _ in alone]), rtol=0, atol=1e-5)
    torch.testing.assert_close(local, torch.cat([one for _, one in alone]), rtol=0, atol=1e-5)
    torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(3))


def test_selected_rows_are_in_raster_order_and_padded():
    ramp = torch.arange(1.0, 57 * 57 + 1).view(1, 1, 57, 57)
    dense = torch.cat([ramp, torch.ones_like(ramp)], dim=1)
    mask = torch.ones(1, 15, 15, dtype=torch.bool)
    mask[0, 0, 0] = False  # 57 = 4 * 15 - 3 pixels per side: the first cell covers 4x4
    local = select_local(dense, mask.float())
    tangent = local[0, :, 0] / local[0, :, 1]
    kept = [row * 57 + column + 1 for row in range(57) for column in range(57) if row > 3 or column > 3]
    torch.testing.assert_close(tangent[: len(kept)], torch.tensor(kept, dtype=torch.float32), rtol=1e-4, atol=0)
    assert local.shape == (1, 3600, 2)
    assert not local[0, len(kept) :].any()


def test_most_reliable_rows_come_first():
    """Rows of one patch, and of equally reliable ones, stay in raster order; what is not chosen is not there."""
    ramp = torch.arange(1.0, 26).view(1, 1, 5, 5)  # of 2 x 2 patches: the first rows and columns have 3 cells
    dense = torch.cat([ramp, torch.ones_like(ramp)], dim=1)
    reliability = torch.tensor([[[0.2, 0.0], [0.5, 0.2]]])
    local = select_local(dense, reliability, 20)
    found = (local[0, :, 0] / local[0, :, 1])[:19].round()
    best, tied = [16, 17, 18, 21, 22, 23], [1, 2, 3, 6, 7, 8, 11, 12, 13, 19, 20, 24, 25]
    assert found.tolist() == best + tied
    assert not local[0, 19:].any()
    assert torch.equal(select_local(dense, reliability, 8), local[:, :8])


@torch.no_grad()
def test_reliable_rows_are_those_of_the_published_order(golden_net, normal):
    x = normal(40, 2, 3, 322, 322)
    descriptors, local = golden_net.forward_with_local(x)
    again, ordered = golden_net.local_by_reliability(x, 3600)
    assert torch.equal(again, descriptors)
    by_raster, by_reliability = ([sorted(map(tuple, rows.tolist())) for rows in every] for every in (local, ordered))
    assert by_raster == by_reliability
    assert not torch.equal(local, ordered)
    assert torch.equal(golden_net.local_by_reliability(x, 500)[1], ordered[:, :500])


def test_images_too_small_are_refused(golden_net):
    with torch.no_grad(), pytest.raises(ValueError, match=r"at least 225 patches .* got 14x14"):
        golden_net.forward_with_local(torch.zeros(1, 3, 196, 196))
    with pytest.raises(ValueError, match="more than 64 patches, got 64"):
        golden_net(torch.zeros(1, 3, 112, 112))


def test_preprocess_is_that_of_the_published_evaluation():
    with torch.device("meta"):
        preprocess = build_fol(size="base").preprocess
    assert (preprocess.size, preprocess.interpolation, preprocess.antialias) == ((504, 504), "bilinear", False)
