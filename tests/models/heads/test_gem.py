"""Poolings by hand."""

import pytest
import torch

from opticornet.models.heads.gem import global_pool, signed_gem


def test_poolings_by_hand():
    features = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 8.0]]]])
    torch.testing.assert_close(global_pool(features, "gmp"), torch.tensor([[4.0, 8.0]]))
    torch.testing.assert_close(global_pool(features, "avg"), torch.tensor([[2.5, 2.0]]))
    torch.testing.assert_close(global_pool(features, "gem"), torch.tensor([[25.0, 128.0]]) ** (1 / 3))
    with pytest.raises(ValueError, match="pool must be"):
        global_pool(features, "cls")


def test_signed_gem_by_hand():
    patches = torch.tensor([[[1.0, -2.0], [3.0, 0.0]]])  # means of cubes 14 and -4
    torch.testing.assert_close(signed_gem(patches), torch.tensor([[14 ** (1 / 3), -(4 ** (1 / 3))]]))
