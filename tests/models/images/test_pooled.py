"""Backbones with a pooling: what they have in common when they are trained and loaded."""

import pytest
import torch
from torch.nn.functional import normalize
from torch.nn.modules.batchnorm import _BatchNorm

from opticornet.models.heads.pooling import POOLS
from opticornet.models.images.dinov2 import DinoV2Encoder
from opticornet.models.images.pooled import PooledEncoder
from opticornet.models.images.torchvision_backbones import build_backbone
from opticornet.utils.errors import UserError


def resnet(pool: str = "gem") -> PooledEncoder:
    torch.manual_seed(0)
    return build_backbone(network="resnet18", pool=pool, clusters=3).eval()


def vit(pool: str = "gem") -> PooledEncoder:
    torch.manual_seed(0)
    return DinoV2Encoder(32, 3, 4, pool=pool, image_size=(56, 70), trained_size=56, clusters=3).eval()


@pytest.fixture
def images(normal):
    return normal(1, 4, 3, 56, 70)


@pytest.mark.parametrize("build", [resnet, vit])
@pytest.mark.parametrize("pool", POOLS)
@torch.no_grad()
def test_every_pooling_gives_unit_rows(build, pool, images):
    encoder = build(pool)
    rows = encoder(images)
    assert rows.shape == (4, encoder.out_dims)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(4))


@pytest.mark.parametrize(("build", "blocks"), [(resnet, 8), (vit, 3)])
@torch.no_grad()
def test_descriptors_are_the_same_wherever_training_begins(build, blocks, images):
    encoder = build()
    wanted = encoder(images)
    for count in (0, 1, blocks):
        encoder.train_blocks(count)
        torch.testing.assert_close(encoder(images), wanted, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=f"it has {blocks} blocks"):
        encoder.train_blocks(blocks + 1)


@pytest.mark.parametrize("build", [resnet, vit])
def test_what_learns_has_a_gradient_and_nothing_else(build, images):
    encoder = build()
    encoder.train_blocks(1)
    encoder.train()
    with torch.no_grad():
        frozen = encoder.frozen(images)
    encoder.describe(frozen, (56, 70)).descriptors[:, :5].sum().backward()
    learnt = {name.rsplit(".", 1)[0] for name, weight in encoder.named_parameters() if weight.grad is not None}
    assert {name.rsplit(".", 1)[0] for name, weight in encoder.named_parameters() if weight.requires_grad} == learnt
    last = "layers.layer4.1." if build is resnet else "blocks.2."
    assert {name for name in learnt if not name.startswith(last)} == {"pool"} | ({"norm"} if build is vit else set())


def test_batch_normalisation_keeps_its_statistics(images):
    encoder = resnet()
    encoder.train_blocks(8)
    encoder.train()
    before = {name: value.clone() for name, value in encoder.named_buffers()}
    together = encoder(images)
    assert all(torch.equal(value, before[name]) for name, value in encoder.named_buffers())
    torch.testing.assert_close(encoder(images[:1]), together[:1], rtol=0, atol=1e-5)
    assert not any(module.training for module in encoder.modules() if isinstance(module, _BatchNorm))


@pytest.mark.parametrize("build", [resnet, vit])
def test_what_does_not_learn_stays_in_evaluation_mode(build):
    encoder = build()
    encoder.train_blocks(1)
    modes = {name: module.training for name, module in encoder.train().named_modules()}
    first, last = ("layers.layer1.0", "layers.layer4.1") if build is resnet else ("blocks.0", "blocks.2")
    assert (modes[first], modes[last], modes["pool"]) == (False, True, True)
    assert not any(module.training for module in encoder.eval().modules())


@pytest.mark.parametrize("build", [resnet, vit])
def test_netvlad_begins_with_clusters_of_the_training_images(build, images):
    encoders = [build("netvlad"), build("netvlad")]
    for encoder in encoders:
        encoder.start_from_images(iter(images.split(2)), torch.Generator().manual_seed(3))
    assert torch.equal(encoders[0].pool.centroids, encoders[1].pool.centroids)
    centroids = encoders[0].pool.centroids.detach()
    maps = torch.cat([encoders[0].feature_map(encoders[0].frozen(each), (56, 70)) for each in images.split(2)])
    unit = normalize(maps.flatten(2).transpose(1, 2).flatten(0, 1), dim=1)
    nearest = (unit @ centroids.T).argmax(1)
    for cluster in range(3):  # k-means on the sphere has settled: a centre is the mean of what is nearest to it
        torch.testing.assert_close(centroids[cluster], unit[nearest == cluster].mean(0).detach(), rtol=0, atol=0.05)
    with pytest.raises(ValueError, match="2 local features cannot be put into 3 clusters"):
        encoder.start_from_images(iter([images[:2, :, :14, :14]]), torch.Generator())


@pytest.mark.parametrize("build", [resnet, vit])
@pytest.mark.parametrize("pool", POOLS)
@torch.no_grad()
def test_a_trained_encoder_is_loaded_again(build, pool, images):
    trained = build(pool)
    for weight in trained.pool.parameters():
        weight.mul_(1.5)
    loaded = build(pool)
    loaded.load(trained.state_dict(), "run")
    assert torch.equal(loaded(images), trained(images))


@pytest.mark.parametrize("build", [resnet, vit])
@torch.no_grad()
def test_a_backbone_alone_is_enough_where_the_pooling_needs_no_training(build, images):
    whole = build()
    own = {key.removeprefix("layers."): value for key, value in whole.state_dict().items() if key != "pool.p"}
    encoder = build()
    encoder.pool.p.fill_(2)
    encoder.load_backbone(own, "file")
    assert encoder.pool.p == 2  # training goes on with its head
    encoder.load(own, "file")
    assert encoder.pool.p == 3
    assert torch.equal(encoder(images), whole(images))
    needing = build("netvlad")
    needing.load_backbone(own, "file")
    with pytest.raises(UserError, match="file holds no weights of the pooling, which has to be trained: train it, or"):
        needing.load(own, "file")


def test_the_clusters_of_another_pooling_change_nothing():
    from opticornet.models.images.torchvision_backbones import ResNet18Options

    assert ResNet18Options(vlad_clusters=3).unused() == {"vlad_clusters": "with `pool` gem there are none"}
    assert not ResNet18Options(pool="netvlad", vlad_clusters=3).unused()
