"""SciceVPR and Super-CricaVPR against the numbers of the original networks."""

import pytest
import torch
from torch import nn

from opticornet.models.images.base import load_state, read_state_dict
from opticornet.models.images.dinov2 import DinoV2
from opticornet.models.images.scicevpr.encoder import SciceVPR
from opticornet.models.images.scicevpr.options import build_scicevpr, build_super_cricavpr
from opticornet.models.images.scicevpr.parts import FusedLayers, RegionGeM, TokenMixer, region_weights
from opticornet.utils.errors import UserError

CLOSE = {"rtol": 1e-4, "atol": 2e-6}
LAYERS = {"scicevpr": 1, "super_cricavpr": 2}
CONTEXT = {"scicevpr": 1, "super_cricavpr": None}
BUILDERS = {"scicevpr": build_scicevpr, "super_cricavpr": build_super_cricavpr}


def head(name: str, channels: int, mixers: int, context: int | None) -> SciceVPR:
    return SciceVPR(nn.Identity(), 24, channels, mixers=mixers, encoder_layers=LAYERS[name], context=context).eval()


def tiny(name: str, context: int | None) -> SciceVPR:
    backbone = FusedLayers(DinoV2(16, depth=4, heads=2), (0, 1, 3))
    return SciceVPR(backbone, 48, 32, mixers=2, encoder_layers=LAYERS[name], context=context).eval()


@pytest.mark.parametrize("name", LAYERS)
def test_head_matches_original(name, golden, state_of):
    arrays = golden(f"scicevpr/scice_{name}_head")
    model = head(name, 16, 1, CONTEXT[name])
    load_state(model, state_of(arrays), name)
    x = arrays["in_x"].requires_grad_()
    mixed = model.tokenmix(model.conv(x).relu().flatten(2))
    torch.testing.assert_close(mixed, arrays["out_tokenmix"], **CLOSE)
    regions = model.describe(x, (224, 224)).regions
    torch.testing.assert_close(regions, arrays["out_enc_in"].view_as(regions), **CLOSE)
    torch.testing.assert_close(model.correlate(regions), arrays["out_enc"].view_as(regions), **CLOSE)
    descriptors = model(x)
    torch.testing.assert_close(descriptors, arrays["out_y"], **CLOSE)
    torch.testing.assert_close(model(x[:1]), arrays["out_y_first_alone"], **CLOSE)
    (descriptors * arrays["in_G"]).sum().backward()
    for gradient, key in (
        (x.grad, "grad_x"),
        (model.gem.p.grad, "grad/gem.p"),
        (model.conv.weight.grad, "grad/conv.weight"),
    ):
        torch.testing.assert_close(gradient, arrays[key], rtol=1e-3, atol=2e-6)


def test_two_mixers_match_original(golden, fill, normal):
    arrays = golden("scicevpr/scice_super_cricavpr_tn2_formula")
    model = fill(head("super_cricavpr", 32, 2, None), 2500)
    assert sorted(model.state_dict()) == list(arrays["keys"])
    x = normal(23, 4, 24, 16, 16)
    torch.testing.assert_close(model.describe(x, (224, 224)).regions, arrays["out_enc_in"], **CLOSE)
    torch.testing.assert_close(model(x), arrays["out_y"], **CLOSE)


@pytest.mark.parametrize("name", LAYERS)
def test_whole_network_matches_original(name, golden, fill, normal, layout):
    arrays = golden(f"scicevpr/scice_{name}_full_tiny")
    model = fill(tiny(name, CONTEXT[name]), 3000)
    assert dict(sorted(layout(model).items())) == dict(zip(arrays["keys"], arrays["shapes"], strict=True))
    x = normal(27, 2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(model.backbone(x)[:, :, ::5, ::5], arrays["out_fused_sub"], **CLOSE)
        torch.testing.assert_close(model(x), arrays["out_y"], **CLOSE)


def test_parts_match_original(golden, state_of):
    arrays = golden("scicevpr/scice_parts")
    mixer = TokenMixer(6, 12, ratio=2)
    load_state(mixer, state_of(arrays), "mixer")
    torch.testing.assert_close(mixer(arrays["in_mix_x"]), arrays["out_mix_y"], **CLOSE)
    gem, x = RegionGeM(), arrays["in_gem_x"].requires_grad_()
    pooled = gem(x.flatten(2), torch.full((1, 12), 1 / 12))[:, 0]
    torch.testing.assert_close(pooled, arrays["out_gem_y"], **CLOSE)
    (pooled * arrays["in_gem_G"]).sum().backward()
    torch.testing.assert_close(x.grad, arrays["grad_gem_x"], rtol=1e-3, atol=2e-6)
    torch.testing.assert_close(gem.p.grad, arrays["grad_gem_p"], rtol=1e-3, atol=2e-6)


@pytest.mark.parametrize("name", BUILDERS)
def test_base_has_the_original_layout(name, golden, layout):
    arrays = golden(f"scicevpr/scice_{name}_keys_vitb")
    with torch.device("meta"):
        model = BUILDERS[name](size="base")
    assert layout(model) == dict(zip(arrays["keys"], arrays["shapes"], strict=True))
    assert sum(p.numel() for p in model.parameters()) == arrays["n_params"]
    assert model.out_dims == 10752


def test_large_fuses_the_last_four_of_24_blocks():
    with torch.device("meta"):
        model = build_scicevpr(size="large")
    assert (model.out_dims, tuple(model.conv.weight.shape)) == (14336, (1024, 4096, 1, 1))
    assert (model.backbone.layers, len(model.backbone.dino_model.blocks)) == ((20, 21, 22, 23), 24)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_training_checkpoint_loads_strictly(prefix, fill, normal, tmp_path):
    trained, fresh = fill(tiny("scicevpr", 1), 7), tiny("scicevpr", 1)
    state = {prefix + key: value for key, value in trained.state_dict().items()}
    torch.save({"epoch_num": 1, "model_state_dict": state}, tmp_path / "best.pth")
    load_state(fresh, read_state_dict(tmp_path / "best.pth"), tmp_path / "best.pth")
    x = normal(3, 1, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(fresh(x), trained(x))


@pytest.mark.parametrize("name", BUILDERS)
@torch.no_grad()
def test_batch_size_does_not_matter(name, fill, normal):
    model = fill(tiny(name, context=1), 3000)
    x = normal(5, 3, 3, 224, 224)
    together, alone = model(x), torch.cat([model(image[None]) for image in x])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(3))
    assert together.shape == (3, model.out_dims)


@torch.no_grad()
def test_context_cuts_a_batch_into_groups(fill, normal):
    x = normal(6, 5, 24, 16, 16)
    pairs = fill(head("super_cricavpr", 32, 1, context=2), 11)
    whole = fill(head("super_cricavpr", 32, 1, context=None), 11)
    by_hand = torch.cat([whole(x[:2]), whole(x[2:4]), whole(x[4:])])
    torch.testing.assert_close(pairs(x), by_hand, rtol=0, atol=1e-6)
    assert (pairs(x) - whole(x)).abs().max() > 1e-3


@pytest.mark.parametrize(("mixers", "ratio"), [(1, 1), (3, 2)])
def test_a_checkpoint_brings_its_token_mixers(mixers, ratio):
    stored = SciceVPR(nn.Identity(), 24, 16, mixers=mixers, mixer_ratio=ratio, encoder_layers=1).eval()
    loaded = head("scicevpr", 16, 2, 1)
    loaded.load(stored.state_dict(), "file")
    x = torch.rand(2, 24, 16, 16)
    torch.testing.assert_close(loaded(x), stored(x))
    state = {key: value for key, value in stored.state_dict().items() if not key.startswith("tokenmix.")}
    with pytest.raises(UserError, match=r"missing \(first: tokenmix\.0"):
        loaded.load(state, "file")


def test_regions_are_the_whole_the_quarters_and_the_ninths():
    weights = region_weights((16, 16)).unflatten(1, (16, 16))
    assert weights.shape == (14, 16, 16)
    torch.testing.assert_close(weights.sum((1, 2)), torch.ones(14))
    assert torch.equal(
        weights[2] > 0,
        torch.zeros(16, 16).index_fill(1, torch.arange(8, 16), 1).bool() & (torch.arange(16) < 8)[:, None],
    )
    assert weights[9].nonzero().unique(dim=0).shape == (36, 2)  # the middle cell, 6x6
    assert weights[9, 5, 5] == weights[9, 10, 10] > 0


def test_other_image_sizes_are_refused():
    with pytest.raises(ValueError, match="224x224 pixels, got 210x224"):
        tiny("scicevpr", 1)(torch.zeros(1, 3, 210, 224))
    with pytest.raises(ValueError, match="context must be at least 1"):
        tiny("scicevpr", 0)


def test_preprocess_is_that_of_the_published_evaluation():
    preprocess = tiny("scicevpr", 1).preprocess
    assert (preprocess.size, preprocess.interpolation, preprocess.antialias) == ((224, 224), "bilinear", False)
