"""The max-margin loss against the original's value and gradient, and values worked out by hand."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from opticornet.learning.losses.base import Tuples
from opticornet.learning.losses.max_margin import MaxMarginLoss


def tuples_of(rows: torch.Tensor) -> Tuples:
    """Tuples of rows (B, 1 + 1 + M, O): anchor, positive, negatives."""
    count, negatives = len(rows), rows.shape[1] - 2
    mask = torch.ones(count, negatives, dtype=torch.bool)
    return Tuples(rows[:, 0], rows[:, 1], rows[:, 2:], mask, torch.ones(count, negatives, negatives) > 0)


def test_max_margin_of_the_original(shared):
    golden = np.load(shared / "golden" / "sta" / "sta_triplet_loss.npz", allow_pickle=False)
    rows = torch.from_numpy(golden["in_f"]).requires_grad_()
    loss = MaxMarginLoss(float(golden["margin"]))(tuples_of(rows)).loss
    loss.backward()
    torch.testing.assert_close(loss.detach(), torch.from_numpy(golden["out_loss"]), rtol=0, atol=1e-6)
    torch.testing.assert_close(rows.grad, torch.from_numpy(golden["grad_f"]), rtol=0, atol=1e-6)


def test_a_negative_that_does_not_violate_is_a_zero_of_the_mean():
    """d(a, p) = 0; d(a, n) = 2 and sqrt(2); margin 1.5: only the second costs anything."""
    rows = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]])
    terms = MaxMarginLoss(1.5)(tuples_of(rows))
    assert terms.loss.item() == pytest.approx((1.5 - 2**0.5) / 2, abs=1e-5)
    assert terms.active.item() == 0.5


def test_a_batch_costs_the_mean_of_its_tuples_also_where_negatives_are_few(random_tuples):
    tuples = replace(random_tuples(6, 4), mask=torch.arange(4) < torch.tensor([4, 1, 2, 4, 3, 1])[:, None])
    loss = MaxMarginLoss(1.0)
    alone = [
        loss(Tuples(*(getattr(tuples, field.name)[row : row + 1] for field in fields(Tuples)))).loss for row in range(6)
    ]
    torch.testing.assert_close(loss(tuples).loss, torch.stack(alone).mean())
