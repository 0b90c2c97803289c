"""FoL against the numbers of the original network, in evaluation and in training."""

import pytest
import torch
import torch.nn.functional as F

from opticornet.models.images.base import load_state, read_state_dict
from opticornet.models.images.dinov2 import DinoV2
from opticornet.models.images.fol.encoder import FoLWithLocal
from opticornet.models.images.fol.local_features import select_local

CLOSE = {"rtol": 1e-4, "atol": 2e-6}
NEAR = {"rtol": 1e-4, "atol": 1e-5}


@torch.no_grad()
def test_evaluation_matches_original(golden, golden_net, normal, layout):
    arrays, x = golden("fol/fol_net_test322"), normal(40, 2, 3, 322, 322)
    assert dict(sorted(layout(golden_net).items())) == dict(zip(arrays["keys"], arrays["shapes"], strict=True))
    descriptors, local = FoLWithLocal(golden_net)(x)
    torch.testing.assert_close(golden_net(x), arrays["out_desc"], **CLOSE)
    torch.testing.assert_close(descriptors, arrays["out_desc"], **CLOSE)
    assert local.shape[1:] == golden_net.local_shape
    check_local(local, arrays)


def check_local(local: torch.Tensor, arrays: dict[str, torch.Tensor]) -> None:
    assert tuple(local.shape) == tuple(arrays["out_local_shape"].tolist())
    assert torch.equal((local.norm(dim=2) > 0).sum(1), arrays["out_local_nnz"])
    torch.testing.assert_close(local[:, arrays["out_local_rows"]], arrays["out_local_sub"], **NEAR)
    torch.testing.assert_close(local.sum(1), arrays["out_local_colsum"], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("blocks", [0, 4])
@torch.no_grad()
def test_training_matches_original(blocks, golden, golden_net, normal):
    """What the terms learn from; the original's local features, all and chosen ones, are read from the one map."""
    arrays = golden("fol/fol_net_train322")
    golden_net.train_blocks(blocks)
    frozen = golden_net.frozen(normal(40, 2, 3, 322, 322))
    features, cls, attention = golden_net.backbone.read(frozen, (322, 322))
    torch.testing.assert_close(features[:, ::4, ::5, ::5], arrays["out_feat_sub"], **NEAR)
    torch.testing.assert_close(cls, arrays["out_token"], **NEAR)
    torch.testing.assert_close(attention, arrays["out_att"], **NEAR)
    out = golden_net.describe(frozen, (322, 322))
    torch.testing.assert_close(out.descriptors, arrays["out_desc"], **CLOSE)
    torch.testing.assert_close(out.guide, arrays["out_maskguide"], **NEAR)
    torch.testing.assert_close(out.patches[:, ::4, ::23], arrays["out_ws_f_sub"], **NEAR)
    torch.testing.assert_close(out.assignment[:, ::8, ::23], arrays["out_ws_p_sub"], **CLOSE)
    unit = out.local.permute(0, 2, 3, 1)[:, ::11, ::11, ::8]
    torch.testing.assert_close(unit, arrays["out_sep_feat_sub"], **NEAR)
    torch.testing.assert_close(unit, arrays["out_ws_l_sub"], **NEAR)
    check_local(select_local(out.local, out.cells.float(), 3600), arrays)


@pytest.mark.parametrize("prefix", ["", "module."])
@torch.no_grad()
def test_training_checkpoint_loads_strictly(prefix, fill, tiny, normal, tmp_path):
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


@pytest.mark.parametrize(
    ("size", "rows"), [((112, 112), 29 * 29), ((126, 168), 33 * 45), ((196, 154), 53 * 41), ((336, 322), 3600)]
)
@torch.no_grad()
def test_any_size_of_more_patches_than_clusters(size, rows, tiny, fill, normal):
    """Where an image has no more patches than have local features, all of its map are local features."""
    net = fill(tiny(clusters=16, image_size=size), 3)
    assert net.local_shape == (rows, 128)
    x = normal(2, 2, 3, *size)
    descriptors, local = net.forward_with_local(x)
    assert (descriptors.shape, local.shape) == ((2, net.out_dims), (2, rows, 128))
    if rows < 3600:
        dense = F.normalize(net.local_map(net.backbone(x)[0]), dim=1).flatten(2).transpose(1, 2)
        torch.testing.assert_close(local, dense)
    described = net.describe(net.frozen(x), size)
    torch.testing.assert_close(described.descriptors, descriptors)
    assert described.local.shape[2:] == (4 * size[0] // 14 - 3, 4 * size[1] // 14 - 3)
    assert (described.cells.sum((1, 2)) == min(225, size[0] * size[1] // 14**2)).all()


@pytest.mark.parametrize("patches", range(15, 45))
def test_as_many_rows_as_the_original_has_at_a_size(patches, tiny):
    """Below 19 patches the original fails: it has room for 1000 rows, and 225 patches have more."""
    side = 4 * patches - 3
    rows = 3600 if side > 80 else 3500 if side > 70 else min(3600, side**2)
    assert tiny(image_size=(14 * patches, 14 * patches)).local_shape == (rows, 128)


@pytest.mark.parametrize(
    ("size", "rows"),
    [((266, 280), 3500), ((280, 322), 3500), ((252, 266), 3600), ((294, 266), 3600), ((140, 168), 1665)],
)
@torch.no_grad()
def test_rows_are_those_of_the_images_whatever_the_usual_size(size, rows, tiny, fill, normal):
    net = fill(tiny(), 3)
    assert net.local_shape == (3600, 128)
    assert net.forward_with_local(normal(2, 1, 3, *size))[1].shape == (1, rows, 128)


@torch.no_grad()
def test_larger_images_than_those_it_resizes_to_keep_all_local_features(tiny, normal):
    net, x = tiny(clusters=16, image_size=(112, 112)), normal(2, 1, 3, 140, 140)
    assert net.forward_with_local(x)[1].shape == (1, 37 * 37, 128)
    assert tiny(image_size=None).local_shape == (3600, 128)


def test_images_that_cannot_be_taken_are_refused(golden_net):
    with pytest.raises(ValueError, match="more than 64 patches, got 64"):
        golden_net(torch.zeros(1, 3, 112, 112))
    with pytest.raises(ValueError, match="multiples of 14 pixels, got 322x320"):
        golden_net.forward_with_local(torch.zeros(1, 3, 322, 320))


def test_the_last_blocks_learn_with_the_norm_and_the_head(tiny, normal):
    """As published: never the embeddings, nor what lies before the last blocks."""
    net = tiny(clusters=16, image_size=(126, 112)).train()
    net.train_blocks(4)
    described = net.describe(net.frozen(normal(2, 2, 3, 126, 112)), (126, 112))
    objective = sum(
        getattr(described, name).square().sum() for name in ("descriptors", "importance", "confidence", "local")
    )
    objective.backward()
    learned = {name for name, weight in net.named_parameters() if weight.grad is not None}
    head = ("aggregator.", "upconv.", "upconv2.", "backbone.model.norm.")
    blocks = tuple(f"backbone.model.blocks.{number}." for number in range(2, 6))
    assert learned == {name for name, _ in net.named_parameters() if name.startswith(head + blocks)}
    assert not described.patches.requires_grad


@torch.no_grad()
def test_weights_of_the_backbone_leave_the_head(tiny, fill, normal):
    """Of a deeper backbone the first blocks, under the names of timm, in half precision."""
    net, deeper = tiny(depth=3), fill(DinoV2(32, 5, 4), 8)
    head = {key: value.clone() for key, value in net.state_dict().items() if not key.startswith("backbone.")}
    state = {key: value.half() for key, value in deeper.state_dict().items() if key != "mask_token"}
    net.load_backbone(state, "vit.pth")
    found = net.state_dict()
    assert all(torch.equal(found[key], value) for key, value in head.items())
    for key, value in state.items():
        if not key.startswith(("blocks.3.", "blocks.4.")):
            assert torch.equal(found[f"backbone.model.{key}"], value.float())


@torch.no_grad()
def test_half_precision_changes_little(tiny, fill, normal):
    net = fill(tiny(clusters=16, image_size=(126, 112)), 3)
    frozen = net.frozen(normal(2, 2, 3, 126, 112))
    whole = net.describe(frozen, (126, 112))
    with torch.autocast("cpu", torch.bfloat16):
        half = net.describe(frozen, (126, 112))
    for name in ("descriptors", "assignment", "confidence", "importance", "guide", "patches", "local"):
        found, wanted = getattr(half, name), getattr(whole, name)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, wanted, rtol=0.1, atol=0.03)
    torch.testing.assert_close(half.descriptors.norm(dim=1), torch.ones(2))
