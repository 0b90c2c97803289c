import numpy as np
import pytest
import torch

from opticornet.models.images.base import read_state_dict
from opticornet.models.images.netvlad import NetVLAD
from opticornet.utils.errors import UserError


@pytest.fixture(scope="module")
def fixture(golden):
    return golden("netvlad/netvlad")


def by_formula(key, shape, seed):
    z = torch.from_numpy(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))
    if key == "pool.centroids":
        return 0.1 * z
    if key == "pool.conv.weight":
        return 10 * z
    if len(shape) == 1:
        return 0.1 * z
    return z * (2 / np.prod(shape[1:])) ** 0.5


def small(dims=8):
    torch.manual_seed(0)
    return NetVLAD(whitened_dims=dims, clusters=2).eval()


def test_whole_network_matches_original(fixture, layout):
    model = NetVLAD(whitened_dims=32).eval()
    keys = [str(key) for key in fixture["full/keys"]]
    shapes = [str(shape) for shape in fixture["full/shapes"]]
    assert layout(model) == dict(zip(keys, shapes, strict=True))
    base = int(fixture["full/base"])
    model.load_state_dict(
        {
            key: by_formula(key, [int(n) for n in shape.split("x")], base + number)
            for number, (key, shape) in enumerate(zip(keys, shapes, strict=True))
        }
    )
    draw = np.random.RandomState(int(fixture["full/in_seed"])).standard_normal(tuple(fixture["full/in_shape"].tolist()))
    images = torch.from_numpy(draw.astype(np.float32))
    with torch.inference_mode():
        features = model.encoder(images)
        vlad = model.pool(features)
        descriptor = model(images)
    wanted = fixture["full/out_features_sub"]
    torch.testing.assert_close(features[:, ::16], wanted, rtol=1e-4, atol=1e-4 * wanted.abs().max().item())
    torch.testing.assert_close(vlad[:, ::16], fixture["full/out_vlad_sub"], rtol=1e-4, atol=2e-6)
    torch.testing.assert_close(descriptor, fixture["full/out_wpca"], rtol=1e-4, atol=2e-6)


def test_batch_size_does_not_matter(normal):
    model, images = small(), normal(1, 5, 3, 48, 64)
    with torch.inference_mode():
        whole = model(images)
        alone = torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(whole, alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(whole.norm(dim=1), torch.ones(5))


@pytest.mark.parametrize("dims", [5, None])
def test_public_checkpoints_with_and_without_whitening_load(tmp_path, dims):
    saved = small(dims)
    torch.save({"epoch": 1, "state_dict": saved.state_dict()}, tmp_path / "w.pth.tar")
    model = small(8)
    model.load(read_state_dict(tmp_path / "w.pth.tar"), "w.pth.tar")
    assert model.out_dims == (dims or 2 * 512)
    images = torch.zeros(1, 3, 32, 32)
    assert model(images).shape == (1, model.out_dims)
    torch.testing.assert_close(model(images), saved(images))


def test_a_checkpoint_of_the_pooling_alone_is_refused():
    state = {key: value for key, value in small().state_dict().items() if not key.startswith("encoder.")}
    with pytest.raises(UserError, match="holds only the pooling"):
        small().load(state, "pool.pth")
