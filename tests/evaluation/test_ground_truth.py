"""Distances, positives and their ranks, by hand."""

import numpy as np
import pytest
from scipy import spatial

from opticornet.datasets.positives import Positives
from opticornet.evaluation.ground_truth import GroundTruth


@pytest.fixture
def metres():
    return GroundTruth(np.array([[0.0, 0], [3, 4], [10, 0]]), np.array([[0.0, 0], [3, 0], [100, 0]]))


@pytest.fixture
def table():
    return GroundTruth(np.zeros((6, 1)), np.zeros((3, 1)), Positives.of_lists([[1, 2], [4], []]))


def test_errors_are_distances_in_units(metres):
    errors = metres.errors(np.array([[0, 1, 2], [1, 0, -1], [2, 2, 0]]))
    assert errors.tolist() == [[0, 5, 10], [4, 3, np.inf], [90, 90, 100]]


def test_the_radius_is_inclusive(metres):
    indices = np.array([[1], [1], [2]])
    assert metres.correct(indices, 5).tolist() == [[True], [True], [False]]
    assert metres.correct(indices, 4.999).tolist() == [[False], [True], [False]]


def test_has_positive_and_nearest(metres):
    assert metres.nearest_reference.tolist() == [0, 0, 2]
    assert metres.has_positive(3).tolist() == [True, True, False]
    assert metres.has_positive(2.999).tolist() == [True, False, False]
    assert metres.has_positive(90).tolist() == [True, True, True]


def test_has_positive_is_the_plain_loop():
    generator = np.random.default_rng(0)
    truth = GroundTruth(generator.uniform(0, 30, (50, 2)), generator.uniform(0, 30, (80, 2)))
    everyone = np.tile(np.arange(50), (80, 1))
    assert np.array_equal(truth.has_positive(2), truth.correct(everyone, 2).any(axis=1))
    assert 0 < truth.has_positive(2).sum() < 80


def test_a_table_overrules_positions_and_radius(table):
    assert table.errors(np.array([[0, 1, 2, 5], [0, 4, 5, -1], [2, 1, 3, 0]])).tolist() == [
        [1, 0, 0, 3],
        [4, 0, 1, np.inf],
        [np.inf] * 4,
    ]
    for radius in (0, 1000):
        assert table.correct(np.array([[0, 2], [4, 5], [2, 2]]), radius).tolist() == [
            [False, True],
            [True, False],
            [False, False],
        ]
        assert table.has_positive(radius).tolist() == [True, True, False]
    assert table.nearest_reference.tolist() == [1, 4, -1]


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("count", [1, 2, 50])
def test_nearest_reference_equals_the_plain_minimum(dims, count):
    rng = np.random.default_rng(count)
    reference, query = rng.uniform(-9, 9, (count, dims)), rng.uniform(-12, 12, (70, dims))
    expected = np.linalg.norm(query[:, None] - reference, axis=2).argmin(axis=1)
    assert np.array_equal(GroundTruth(reference, query).nearest_reference, expected)


def test_the_nearest_references_are_found_once(monkeypatch, metres):
    trees = []
    plain = spatial.cKDTree
    monkeypatch.setattr(spatial, "cKDTree", lambda *arguments: trees.append(1) or plain(*arguments))
    for radius in (1, 5, 100):
        metres.has_positive(radius)
    assert metres.nearest_reference is metres.nearest_reference
    assert len(trees) == 1
