"""What holds for every loss."""

from dataclasses import replace

import pytest
import torch

from opticornet.learning.losses import LOSSES
from opticornet.learning.losses.base import Comparisons, Tuples
from opticornet.options.modes import TrainOptions
from opticornet.utils.errors import UserError
from opticornet.utils.registry import entry

OVER_TUPLES = [name for name in LOSSES if entry(LOSSES, name).takes == "tuples"]
OVER_COMPARISONS = [name for name in LOSSES if entry(LOSSES, name).takes == "comparisons"]


@pytest.mark.parametrize("name", OVER_TUPLES)
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


@pytest.mark.parametrize("name", OVER_TUPLES)
def test_masked_negatives_do_not_matter(name, random_tuples):
    tuples = random_tuples(4, 5)
    spoiled = tuples.negatives.detach().clone()
    spoiled[~tuples.mask] = 1e3
    margins = {"quadruplet": {"margin": 1.0, "margin2": 0.5}, "triplet": {"margin": 1.0}}
    loss = entry(LOSSES, name)(**margins.get(name, {})).build()
    torch.testing.assert_close(loss(tuples).loss, loss(replace(tuples, negatives=spoiled)).loss)


@pytest.mark.parametrize("name", OVER_TUPLES)
def test_statistics_are_of_the_anchors_and_the_negatives_that_count(name, random_tuples):
    tuples = random_tuples(4, 5)
    terms = entry(LOSSES, name)().build()(tuples)
    assert terms.positive_distance.shape == (4,)
    assert terms.negative_distance.shape == (int(tuples.mask.sum()),)
    assert 0 <= terms.active <= 1
    assert [value.requires_grad for value in vars(terms).values()] == [True, False, False, False]


@pytest.mark.parametrize("name", ["quadruplet", "triplet", "max-margin"])
def test_identical_vectors_have_a_finite_gradient(name):
    row = torch.tensor([[1.0, 0.0]]).requires_grad_()
    yes = torch.tensor([[True]])
    entry(LOSSES, name)().build()(Tuples(row, row, row[:, None], yes, ~yes[:, None])).loss.backward()
    assert row.grad.isfinite().all()


@pytest.mark.parametrize("name", OVER_COMPARISONS)
@pytest.mark.parametrize(("batch", "count"), [(0, 3), (3, 0), (3, 1)])
def test_nothing_to_compare_is_a_zero_loss_with_a_gradient(name, batch, count, random_comparisons):
    comparisons = random_comparisons(batch, count)
    comparisons = replace(comparisons, negative=torch.zeros_like(comparisons.negative))
    terms = entry(LOSSES, name)().build()(comparisons)
    terms.loss.backward()
    assert terms.loss == 0
    for tensor in (comparisons.anchors, comparisons.references):
        assert tensor.grad is not None
        assert not tensor.grad.any()
    assert all(term.isfinite().all() for term in vars(terms).values())


@pytest.mark.parametrize("name", OVER_COMPARISONS)
def test_references_that_are_neither_right_nor_wrong_do_not_matter(name, random_comparisons):
    comparisons = random_comparisons(4, 9)
    neither = ~(comparisons.positive | comparisons.negative)
    assert neither.any()
    loss = entry(LOSSES, name)().build()
    alone = []
    for row in range(4):
        kept = ~neither[row]
        masks = (mask[row : row + 1, kept] for mask in (comparisons.positive, comparisons.negative))
        alone.append(loss(Comparisons(comparisons.anchors[row : row + 1], comparisons.references[kept], *masks)).loss)
    torch.testing.assert_close(loss(comparisons).loss, torch.stack(alone).mean())


@pytest.mark.parametrize("name", OVER_COMPARISONS)
def test_an_anchor_that_nothing_speaks_of_is_left_out_of_the_mean(name, random_comparisons):
    comparisons = random_comparisons(4, 9)
    loss = entry(LOSSES, name)().build()
    without = replace(comparisons, positive=comparisons.positive.clone())
    without.positive[0] = False
    rest = Comparisons(
        comparisons.anchors[1:], comparisons.references, comparisons.positive[1:], comparisons.negative[1:]
    )
    torch.testing.assert_close(loss(without).loss, loss(rest).loss)


@pytest.mark.parametrize("name", OVER_COMPARISONS)
def test_distances_of_comparisons_are_to_the_nearest(name):
    anchors, references = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8], [0.0, 1.0], [1.0, 0.0]])
    positive, negative = torch.tensor([[True, True, False]]), torch.tensor([[False, False, True]])
    terms = entry(LOSSES, name)().build()(Comparisons(anchors, references, positive, negative))
    torch.testing.assert_close(terms.positive_distance, torch.tensor([0.8**0.5]))
    torch.testing.assert_close(terms.negative_distance, torch.tensor([0.0]))
    assert terms.active == 1  # the nearest of all is wrong


@pytest.mark.parametrize("name", OVER_COMPARISONS)
def test_a_temperature_of_nothing_is_refused(name):
    with pytest.raises(UserError, match="`temperature` 0: wanted a number above 0"):
        TrainOptions.of(loss=name, temperature=0.0).part("loss")
