"""References in relation to queries, by hand."""

import numpy as np
import torch

from opticornet.evaluation.neighbours import Neighbours


def test_references_within_a_radius_inclusive():
    neighbours = Neighbours.within(np.array([[0.0], [50.0], [3.0]]), np.array([[1.0], [2.0], [4.0]]), 2.0)
    rows, columns = neighbours.of(torch.tensor([0, 1, 2]))
    assert rows.tolist() == [0, 0, 2, 2, 2]
    assert columns.tolist() == [0, 1, 0, 1, 2]


def test_references_in_a_range():
    neighbours = Neighbours.of_ranges(np.array([[2, 5], [4, 4], [0, 1], [3, 1]]))
    rows, columns = neighbours.of(torch.tensor([2, 0, 1]))
    assert rows.tolist() == [0, 1, 1, 1]
    assert columns.tolist() == [0, 2, 3, 4]
    assert neighbours.counts().tolist() == [3, 0, 1, 0]
