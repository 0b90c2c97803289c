"""The distillation term against the original's numbers."""

import numpy as np
import pytest
import torch

from opticornet.learning.images.terms.base import LabelledImages
from opticornet.learning.images.terms.distillation import DistillationOptions
from opticornet.learning.images.terms.multi_similarity import MultiSimilarityOptions
from opticornet.models.images.trainable import Described


def labelled(descriptors: torch.Tensor, targets: torch.Tensor, labels: torch.Tensor) -> LabelledImages:
    return LabelledImages(Described(descriptors), labels, (224, 224), torch.Generator(), targets)


def test_loss_and_gradient_beside_multi_similarity_are_the_originals(shared):
    with np.load(shared / "golden" / "scicevpr" / "scice_losses.npz", allow_pickle=False) as golden:
        descriptors = torch.from_numpy(golden["in_desc"]).requires_grad_()
        batch = labelled(
            descriptors, torch.from_numpy(golden["in_teacher"]), torch.from_numpy(golden["in_labels"]).long()
        )
        distillation = DistillationOptions().build()(batch)
        (MultiSimilarityOptions().build()(batch) + distillation).backward()
        np.testing.assert_allclose(distillation.item(), golden["out_distill"], rtol=1e-5)
        np.testing.assert_allclose(descriptors.grad, golden["grad_total"], rtol=1e-4, atol=2e-6)


def test_opposite_descriptors_are_four_apart():
    rows = torch.eye(2)
    loss = DistillationOptions().build()(labelled(rows, torch.tensor([[1.0, 0.0], [0.0, -1.0]]), torch.arange(2)))
    assert loss.item() == pytest.approx(2)  # the mean of 0 and 4
