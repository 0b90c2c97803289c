"""Smooth average precision against values worked out by hand, and against the average precision that it smooths."""

import math

import numpy as np
import pytest
import torch

from opticornet.learning.losses.base import Comparisons
from opticornet.learning.losses.smooth_ap import SmoothAPLoss

ANCHOR = torch.tensor([[1.0, 0.0]])
REFERENCES = torch.tensor([[0.6, 0.8], [0.0, 1.0], [-1.0, 0.0], [1.0, 0.0]])  # cosines .6, 0, -1, 1


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_smooth_ap_by_hand():
    positive, negative = torch.tensor([[True, True, False, False]]), torch.tensor([[False, False, True, False]])
    loss = SmoothAPLoss(0.5)(Comparisons(ANCHOR, REFERENCES, positive, negative)).loss
    first, second = 1 + sigmoid(-0.6 / 0.5), 1 + sigmoid(0.6 / 0.5)  # ranks among positives
    first_of_all, second_of_all = first + sigmoid(-1.6 / 0.5), second + sigmoid(-1 / 0.5)
    assert loss.item() == pytest.approx(1 - (first / first_of_all + second / second_of_all) / 2, abs=1e-6)


def test_a_cold_one_is_the_average_precision(random_comparisons):
    comparisons = random_comparisons(6, 12)
    precisions = []
    for row, cosines in enumerate(comparisons.similarity.detach().numpy()):
        counted = [i for i in np.argsort(-cosines) if comparisons.positive[row, i] or comparisons.negative[row, i]]
        right = np.array([bool(comparisons.positive[row, i]) for i in counted])
        precisions.append((right.cumsum() / np.arange(1, len(right) + 1))[right].mean())
    assert SmoothAPLoss(1e-5)(comparisons).loss.item() == pytest.approx(1 - np.mean(precisions), abs=1e-5)


def test_a_perfect_ranking_costs_next_to_nothing():
    positive = torch.tensor([[True, False, False, True]])
    assert SmoothAPLoss(0.01)(Comparisons(ANCHOR, REFERENCES, positive, ~positive)).loss < 1e-6
