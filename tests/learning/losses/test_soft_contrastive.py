"""The soft contrastive loss against values worked out by hand, and against pytorch-metric-learning's."""

import math

import pytest
import torch

from opticornet.learning.losses.base import Comparisons
from opticornet.learning.losses.soft_contrastive import SoftContrastiveLoss

ANCHOR = torch.tensor([[1.0, 0.0]])
REFERENCES = torch.tensor([[0.6, 0.8], [0.0, 1.0], [-1.0, 0.0], [1.0, 0.0]])  # cosines .6, 0, -1, 1


def test_soft_contrastive_by_hand():
    positive, negative = torch.tensor([[True, False, False, False]]), torch.tensor([[False, True, True, False]])
    loss = SoftContrastiveLoss(0.5)(Comparisons(ANCHOR, REFERENCES, positive, negative)).loss
    right, wrong = math.exp(0.6 / 0.5), math.exp(0.0) + math.exp(-1 / 0.5)
    assert loss.item() == pytest.approx(-math.log(right / (right + wrong)), abs=1e-6)


def test_positives_are_summed():
    positive, negative = torch.tensor([[True, True, False, False]]), torch.tensor([[False, False, True, False]])
    loss = SoftContrastiveLoss(1.0)(Comparisons(ANCHOR, REFERENCES, positive, negative)).loss
    right, wrong = math.exp(0.6) + 1, math.exp(-1)
    assert loss.item() == pytest.approx(math.log((right + wrong) / right), abs=1e-6)


def test_it_never_falls_silent_where_every_negative_is_far():
    anchors = ANCHOR.clone().requires_grad_()
    references = torch.tensor([[0.9, 19**0.5 / 10], [-1.0, 0.0]])
    negative = torch.tensor([[False, True]])
    terms = SoftContrastiveLoss(0.2)(Comparisons(anchors, references, ~negative, negative))
    terms.loss.backward()
    assert 0 < terms.loss < 1e-3
    assert anchors.grad.any()


def test_with_one_positive_it_is_infonce_of_pytorch_metric_learning(random_comparisons):
    from pytorch_metric_learning.losses import NTXentLoss

    comparisons = random_comparisons(5, 8)
    positive = torch.nn.functional.one_hot(torch.arange(5) % 8, 8).bool()
    negative = comparisons.negative & ~positive
    ours = SoftContrastiveLoss(0.07)(Comparisons(comparisons.anchors, comparisons.references, positive, negative)).loss
    pairs = (*positive.nonzero(as_tuple=True), *negative.nonzero(as_tuple=True))
    theirs = NTXentLoss(0.07)(comparisons.anchors, indices_tuple=pairs, ref_emb=comparisons.references)
    torch.testing.assert_close(ours, theirs)


def test_cosines_far_below_the_temperature_stay_finite():
    positive = torch.tensor([[False, False, True, False]])
    terms = SoftContrastiveLoss(1e-3)(Comparisons(ANCHOR, REFERENCES, positive, ~positive))
    assert terms.loss.item() == pytest.approx(2000, rel=1e-4)
