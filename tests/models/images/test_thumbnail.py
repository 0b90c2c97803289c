import numpy as np
import pytest
import torch

from opticornet.models.images.thumbnail import build_thumbnail, patch_normalise


def test_patches_are_normalised_by_hand():
    grey = np.random.default_rng(0).integers(0, 255, (16, 24)).astype(np.uint8)
    found = patch_normalise(grey)
    patch = grey[8:16, 16:24].astype(float)
    np.testing.assert_allclose(found[8:16, 16:24], (patch - patch.mean()) / patch.std(), rtol=1e-4, atol=1e-5)


def test_a_patch_without_texture_is_zero():
    grey = np.random.default_rng(0).integers(0, 255, (8, 16)).astype(np.uint8)
    grey[:, :8] = 77
    found = patch_normalise(grey)
    assert not found[:, :8].any()
    assert found[:, 8:].any()


def test_an_image_becomes_a_unit_vector():
    encoder = build_thumbnail()
    image = np.random.default_rng(0).integers(0, 255, (120, 160), np.uint8)
    raw = torch.from_numpy(encoder.preprocess(image))[None]
    assert raw.shape == (1, encoder.out_dims) == (1, 2048)
    assert encoder(raw).norm().item() == pytest.approx(1)
    assert build_thumbnail(image_size=(24, 32)).out_dims == 24 * 32


def test_sizes_that_cannot_be_cut_into_patches_are_refused():
    with pytest.raises(ValueError, match="8x8 patches"):
        build_thumbnail(image_size=(30, 64))
