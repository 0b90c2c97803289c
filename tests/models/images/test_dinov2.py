"""DINOv2 against timm's own network, the layout of the released weights and values worked out by hand."""

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from opticornet.models.heads.gem import signed_gem
from opticornet.models.images.base import load_state, read_state_dict
from opticornet.models.images.dinov2 import DinoV2, DinoV2Encoder, build_dinov2


def tiny(pool: str = "cls") -> DinoV2Encoder:
    return DinoV2Encoder(32, 3, 4, pool=pool, image_size=(56, 70), trained_size=56).eval()


@torch.no_grad()
def test_matches_timm_at_the_trained_size(fill, normal):
    ours = fill(DinoV2(32, 3, 4, trained_size=56), 1)
    theirs = VisionTransformer(
        img_size=56, patch_size=14, embed_dim=32, depth=3, num_heads=4, num_classes=0, init_values=1.0
    ).eval()
    theirs.load_state_dict({key: value for key, value in ours.state_dict().items() if key != "mask_token"})
    x = normal(2, 2, 3, 56, 56)
    torch.testing.assert_close(ours(x), theirs.forward_features(x), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_feature_maps_are_normed_blocks_in_ascending_order(fill, normal):
    model, x = fill(DinoV2(32, 3, 4, trained_size=56), 1), normal(2, 2, 3, 42, 56)
    last, first = model.feature_maps(x, (2,)), model.feature_maps(x, (0,))
    both = model.feature_maps(x, (2, 0))
    assert torch.equal(both[0], first[0])
    assert torch.equal(both[1], last[0])
    torch.testing.assert_close(last[0].flatten(2).transpose(1, 2), model(x)[:, 1:])
    assert last[0].shape == (2, 32, 3, 4)


def cubic_sampling(size: int, side: int = 37) -> torch.Tensor:
    """Cubic convolution (a = -0.75) as a matrix: cell i reads (i + 0.5) * side / (size + 0.1) - 0.5."""
    at = (torch.arange(size) + 0.5) * side / (size + 0.1) - 0.5
    taps = at.floor()[:, None] + torch.arange(-1, 3)
    d = (at[:, None] - taps).abs()
    near, far = 1.25 * d**3 - 2.25 * d**2 + 1, -0.75 * (d**3 - 5 * d**2 + 8 * d - 4)
    weights = torch.where(d <= 1, near, far)
    return torch.zeros(size, side).scatter_add(1, taps.long().clamp(0, side - 1), weights)


@torch.no_grad()
def test_positions_are_sampled_as_the_authors_do(normal):
    model = DinoV2(2, 1, 1)
    model.pos_embed.copy_(normal(1, 1, 1 + 37 * 37, 2))
    positions = model.positions(16, 23)
    assert torch.equal(positions[:, 0], model.pos_embed[:, 0])
    trained = model.pos_embed[0, 1:].unflatten(0, (37, 37))
    expected = torch.einsum("ih,jw,hwc->ijc", cubic_sampling(16), cubic_sampling(23), trained)
    torch.testing.assert_close(positions[0, 1:].unflatten(0, (16, 23)), expected, rtol=1e-4, atol=1e-4)
    assert model.positions(37, 37) is model.pos_embed


@pytest.mark.parametrize("pool", ["cls", "gem"])
@torch.no_grad()
def test_encoder_pools_the_final_tokens(pool, fill, normal):
    encoder, x = fill(tiny(pool), 4), normal(5, 3, 3, 56, 70)
    tokens = DinoV2.forward(encoder, x)
    pooled = tokens[:, 0] if pool == "cls" else signed_gem(tokens[:, 1:].transpose(1, 2), encoder.pool.p)
    descriptors = encoder(x)
    torch.testing.assert_close(descriptors, pooled / pooled.norm(dim=1, keepdim=True))
    assert descriptors.shape == (3, encoder.out_dims)


@pytest.mark.parametrize("pool", ["cls", "gem"])
@torch.no_grad()
def test_batch_size_does_not_matter(pool, fill, normal):
    encoder, x = fill(tiny(pool), 4), normal(5, 5, 3, 56, 70)
    alone = torch.cat([encoder(image[None]) for image in x])
    torch.testing.assert_close(encoder(x), alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("variant", "file", "prefix"),
    [
        ("vitb14", "scicevpr/scice_scicevpr_keys_vitb", "backbone.dino_model."),
        ("vitl14", "fol/fol_keys_vitl", "backbone.model."),
    ],
)
def test_layout_is_that_of_the_released_weights(variant, file, prefix, golden, layout):
    arrays = golden(file)
    released = {
        key.removeprefix(prefix): shape
        for key, shape in zip(arrays["keys"], arrays["shapes"], strict=True)
        if key.startswith(prefix)
    }
    with torch.device("meta"):
        assert layout(build_dinov2(variant=variant)) == released


@pytest.mark.parametrize(
    ("variant", "parameters", "dims"),
    [
        ("vits14", 22_056_576, 384),
        ("vitb14", 86_580_480, 768),
        ("vitl14", 304_368_640, 1024),
    ],
)
def test_sizes(variant, parameters, dims):
    with torch.device("meta"):
        encoder = build_dinov2(variant=variant)
    assert sum(p.numel() for p in encoder.parameters()) == parameters
    assert encoder.out_dims == dims
    assert not encoder.training


@torch.no_grad()
def test_released_file_loads_strictly(fill, normal, tmp_path):
    trained, fresh, x = fill(tiny(), 4), tiny(), normal(5, 1, 3, 56, 70)
    torch.save(trained.state_dict(), tmp_path / "dinov2.pth")
    load_state(fresh, read_state_dict(tmp_path / "dinov2.pth"), tmp_path / "dinov2.pth")
    assert torch.equal(fresh(x), trained(x))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="multiples of 14 pixels, got 60x56"):
        tiny()(torch.zeros(1, 3, 60, 56))
    with pytest.raises(ValueError, match="pool must be cls, gem, gmp, avg, grid or netvlad, got 'max'"):
        tiny("max")
