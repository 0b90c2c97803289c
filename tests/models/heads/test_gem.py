"""Generalised means by hand."""

import torch

from opticornet.models.heads.gem import gem, signed_gem


def test_gem_by_hand():
    features = torch.tensor([[[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 8.0]]])
    torch.testing.assert_close(gem(features), torch.tensor([[25.0, 128.0]]) ** (1 / 3))


def test_signed_gem_by_hand():
    patches = torch.tensor([[[1.0, 3.0], [-2.0, 0.0], [0.0, 0.0]]])  # means of signed cubes 14, -4 and 0
    torch.testing.assert_close(signed_gem(patches), torch.tensor([[14 ** (1 / 3), -(4 ** (1 / 3)), 0.0]]))


def test_the_power_may_learn_where_features_are_zero():
    for mean in (gem, signed_gem):
        features, power = torch.zeros(1, 2, 3, requires_grad=True), torch.tensor([3.0], requires_grad=True)
        mean(features, power).sum().backward()
        assert features.grad.isfinite().all()
        assert power.grad.isfinite().all()
