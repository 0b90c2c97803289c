"""The quadruplet loss against values worked out by hand and a plain loop."""

import itertools
from dataclasses import replace

import pytest
import torch

from opticornet.learning.losses.base import Tuples
from opticornet.learning.losses.quadruplet import QuadrupletLoss


def test_quadruplet_by_hand():
    # squared distances: a-p 2, a-n1 4, a-n2 2, n1-n2 2
    tuples = Tuples(
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([[0.0, 1.0]]),
        torch.tensor([[[-1.0, 0.0], [0.0, -1.0]]]),
        torch.tensor([[True, True]]),
        torch.tensor([[[False, True], [True, False]]]),
    )
    terms = QuadrupletLoss(1.0, 0.5)(tuples)
    # first terms: [2 - 4 + 1]+ = 0 and [2 - 2 + 1]+ = 1, mean 0.5; second: [2 - 2 + 0.5]+ = 0.5
    assert terms.loss.item() == pytest.approx(1.0)
    assert terms.active.item() == pytest.approx(2 / 3)


def test_quadruplet_equals_the_plain_loop(random_tuples):
    tuples, m1, m2 = random_tuples(5, 4), 1.0, 0.4
    first, second = [], []
    for i in range(5):
        anchor, negatives = tuples.anchors[i], tuples.negatives[i]
        positive = (anchor - tuples.positives[i]).square().sum()
        counted = [j for j in range(4) if tuples.mask[i, j]]
        first += [torch.relu(positive - (anchor - negatives[j]).square().sum() + m1) for j in counted]
        second += [
            torch.relu(positive - (negatives[j] - negatives[k]).square().sum() + m2)
            for j, k in itertools.combinations(counted, 2)
            if tuples.apart[i, j, k]
        ]
    expected = torch.stack(first).mean() + torch.stack(second).mean()
    torch.testing.assert_close(QuadrupletLoss(m1, m2)(tuples).loss, expected)


def test_quadruplet_ignores_negatives_of_one_place(random_tuples):
    tuples = random_tuples(3, 2)
    same = replace(tuples, apart=torch.zeros_like(tuples.apart), mask=torch.ones_like(tuples.mask))
    # without a pair of different places the second margin cannot matter
    assert QuadrupletLoss(2.0, 0.1)(same).loss == QuadrupletLoss(2.0, 1.9)(same).loss


def test_quadruplet_wants_the_first_margin_larger():
    with pytest.raises(ValueError, match="must exceed"):
        QuadrupletLoss(0.1, 0.1)
