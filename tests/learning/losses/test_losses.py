"""What holds for every loss."""

from dataclasses import replace

import pytest
import torch

from opticornet.learning.losses import LOSSES
from opticornet.learning.losses.base import Tuples
from opticornet.utils.registry import entry


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("batch", "n_neg"), [(0, 3), (3, 0)])
def test_nothing_mined_is_a_zero_or_finite_loss_with_a_gradient(name, batch, n_neg, random_tuples):
    tuples = random_tuples(batch, n_neg)
    terms = entry(LOSSES, name)().build()(tuples)
    terms.loss.backward()
    for tensor in (tuples.anchors, tuples.positives, tuples.negatives):
        if name != "multi-similarity" or batch == 0:
            assert terms.loss == 0
            assert tensor.grad is not None
            assert not tensor.grad.any()
    assert all(term.isfinite().all() for term in vars(terms).values())


@pytest.mark.parametrize("name", LOSSES)
def test_masked_negatives_do_not_matter(name, random_tuples):
    tuples = random_tuples(4, 5)
    spoiled = tuples.negatives.detach().clone()
    spoiled[~tuples.mask] = 1e3
    margins = {"quadruplet": {"margin": 1.0, "margin2": 0.5}, "triplet": {"margin": 1.0}}
    loss = entry(LOSSES, name)(**margins.get(name, {})).build()
    torch.testing.assert_close(loss(tuples).loss, loss(replace(tuples, negatives=spoiled)).loss)


@pytest.mark.parametrize("name", LOSSES)
def test_statistics_are_of_the_anchors_and_the_negatives_that_count(name, random_tuples):
    tuples = random_tuples(4, 5)
    terms = entry(LOSSES, name)().build()(tuples)
    assert terms.positive_distance.shape == (4,)
    assert terms.negative_distance.shape == (int(tuples.mask.sum()),)
    assert 0 <= terms.active <= 1
    assert [value.requires_grad for value in vars(terms).values()] == [True, False, False, False]


@pytest.mark.parametrize("name", ["quadruplet", "triplet"])
def test_identical_vectors_have_a_finite_gradient(name):
    row = torch.tensor([[1.0, 0.0]]).requires_grad_()
    yes = torch.tensor([[True]])
    entry(LOSSES, name)().build()(Tuples(row, row, row[:, None], yes, ~yes[:, None])).loss.backward()
    assert row.grad.isfinite().all()
