"""The multi-similarity term against the originals' numbers."""

import numpy as np
import pytest
import torch

from opticornet.learning.images.terms.base import LabelledImages
from opticornet.learning.images.terms.multi_similarity import MultiSimilarityOptions
from opticornet.models.images.trainable import Described


def loss_of(descriptors: torch.Tensor, labels: np.ndarray) -> torch.Tensor:
    images = LabelledImages(Described(descriptors), torch.from_numpy(labels), (224, 224), torch.Generator())
    return MultiSimilarityOptions().build()(images)


@pytest.mark.parametrize("name", ["fol/fol_losses", "scicevpr/scice_losses"])
def test_loss_and_gradient_are_the_originals(shared, name):
    with np.load(shared / "golden" / f"{name}.npz", allow_pickle=False) as golden:
        descriptors = torch.from_numpy(golden["in_desc"]).requires_grad_()
        loss = loss_of(descriptors, golden["in_labels"])
        loss.backward()
        np.testing.assert_allclose(loss.item(), golden["out_ms"], rtol=1e-5)
        np.testing.assert_allclose(descriptors.grad, golden["grad_ms"], rtol=1e-4, atol=2e-6)


def test_lengths_do_not_matter(shared):
    with np.load(shared / "golden" / "scicevpr" / "scice_losses.npz", allow_pickle=False) as golden:
        loss = loss_of(torch.from_numpy(golden["in_desc_raw"]), golden["in_labels"])
        np.testing.assert_allclose(loss.item(), golden["out_ms_raw"], rtol=1e-5)


def test_one_place_alone_has_nothing_to_be_told_from():
    descriptors = torch.nn.functional.normalize(torch.randn(4, 8), dim=1).requires_grad_()
    loss = loss_of(descriptors, np.zeros(4, np.int64))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(descriptors.grad, torch.zeros_like(descriptors))
