"""FoL's entries in the registry."""

import pytest
import torch

from opticornet.models.images import IMAGE_ENCODERS
from opticornet.models.images.base import read_state_dict
from opticornet.models.images.build import build_image_encoder
from opticornet.models.images.fol.options import FoLOptions, FoLSmallOptions, build_fol
from opticornet.utils.errors import UserError
from opticornet.utils.registry import entry

TERMS = ("ms", "local", "alignment", "contrast", "weak")


@pytest.mark.parametrize(("size", "variant"), [("base", "vitb"), ("large", "vitl")])
def test_full_size_has_the_original_layout(size, variant, golden, layout):
    arrays = golden(f"fol/fol_keys_{variant}")
    with torch.device("meta"):
        net = build_fol(size=size)
    assert dict(sorted(layout(net).items())) == dict(sorted(zip(arrays["keys"], arrays["shapes"], strict=True)))
    assert sum(p.numel() for p in net.parameters()) == arrays["n_params"]
    assert (net.out_dims, net.local_shape) == (8448, (3600, 128))


def test_preprocess_is_that_of_the_published_evaluation():
    with torch.device("meta"):
        preprocess = build_fol(size="base").preprocess
    assert (preprocess.size, preprocess.interpolation, preprocess.antialias) == ((504, 504), "bilinear", False)


@pytest.mark.parametrize(
    ("name", "backbone"),
    [("fol", "vitl14"), ("fol-base", "vitb14"), ("fol-small", "vits14")],
)
def test_each_learns_as_published_from_its_own_backbone(name, backbone):
    options = entry(IMAGE_ENCODERS, name)
    assert (options.terms, options.trained_blocks) == (TERMS, 4)
    assert options.backbone.file == f"dinov2_{backbone}_pretrain.pth"


def test_the_small_one_has_the_sizes_that_are_chosen():
    with torch.device("meta"):
        default = FoLSmallOptions().build()
        chosen = FoLSmallOptions(
            backbone_blocks=5, fol_clusters=8, fol_cluster_dims=6, fol_token_dims=3, fol_cells=9, image_size=(112, 140)
        ).build()
    assert (default.out_dims, default.local_shape) == (256 + 32 * 128, (1600, 128))
    assert (default.backbone.model.dim, len(default.backbone.model.blocks)) == (384, 12)
    assert (chosen.out_dims, chosen.local_shape) == (3 + 8 * 6, (144, 128))
    assert (len(chosen.backbone.model.blocks), chosen.preprocess.size) == (5, (112, 140))


@torch.no_grad()
def test_the_small_one_takes_real_weights_of_its_backbone(shared):
    path = shared / "data" / "vits14-fp16.pth"
    net = FoLSmallOptions(backbone_blocks=2, image_size=(112, 112)).build()
    state = read_state_dict(path)
    net.load_backbone(state, path)
    assert torch.equal(net.backbone.model.blocks[1].mlp.fc2.weight, state["blocks.1.mlp.fc2.weight"].float())
    assert torch.equal(net.backbone.model.pos_embed, state["pos_embed"].float())
    descriptors = net(torch.zeros(1, 3, 112, 112))
    torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(1))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fol-small", {"image_size": (70, 84)}, "`image_size` 70 84 has 30 patches of 14x14 pixels: wanted more than"),
        ("fol-small", {"fol_clusters": 256}, "`image_size` 224 224 has 256 patches .* more than its 256 clusters"),
        ("fol-small", {"backbone_blocks": 13}, "`backbone_blocks` 13: its backbone has 12"),
        ("fol-small", {"fol_clusters": 0}, "`fol_clusters` 0: wanted a number of at least 1"),
        ("fol", {"fol_clusters": 8}, "`fol_clusters` is no option of fol, which has image_size"),
        ("fol", {"image_size": (112, 112)}, "`image_size` 112 112 has 64 patches .* more than its 64 clusters"),
    ],
)
def test_sizes_that_cannot_be_are_refused_in_one_line(name, options, message):
    with torch.device("meta"), pytest.raises(UserError, match=message) as error:
        build_image_encoder(name, weights="random", **options)
    assert "\n" not in str(error.value)


def test_images_of_their_own_size_may_have_all_local_features():
    with torch.device("meta"):
        net = FoLOptions(image_size=(0, 0)).build()
    assert (net.preprocess.size, net.local_shape) == (None, (3600, 128))


def test_a_backbone_of_another_width_is_refused_in_one_line(shared):
    path = shared / "data" / "vits14-fp16.pth"
    with torch.device("meta"):
        net = build_fol(size="base")
    with pytest.raises(UserError, match=r"vits14-fp16\.pth does not fit this encoder: .* mismatching") as error:
        net.load_backbone(read_state_dict(path), path)
    assert "\n" not in str(error.value)
