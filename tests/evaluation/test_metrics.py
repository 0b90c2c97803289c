"""Recall, its intervals and the precision-recall curve, by hand."""

import numpy as np
import pytest

from opticornet.evaluation.metrics import precision_recall, recall_at, recall_at_radii, recall_intervals

CORRECT = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=bool)
EVERYONE = np.full(4, True)


def test_recall_counts_a_correct_reference_among_the_first_k():
    assert recall_at(CORRECT, EVERYONE, [1, 2, 3]) == {1: 0.25, 2: 0.5, 3: 0.75}


def test_queries_not_counted_do_not_enter_the_mean():
    assert recall_at(CORRECT, np.array([True, True, True, False]), [1, 3]) == {1: 1 / 3, 3: 1.0}


def test_recall_at_radii_counts_per_radius():
    errors = np.array([[0.0, 5], [5, 2], [9, 9]])
    counted = np.array([[True, False, False], [True, True, False], [False, False, False]])
    recalls = recall_at_radii(errors, counted, [0, 5, 1], [1, 2])
    assert recalls[:2].tolist() == [[1, 1], [1, 1]]
    assert np.isnan(recalls[2]).all()
    assert recall_at_radii(errors, np.full(3, True), [2], [1, 2]).tolist() == [[1 / 3, 2 / 3]]


@pytest.mark.parametrize("ks", [[0], [4]])
def test_k_out_of_range(ks):
    with pytest.raises(ValueError, match=r"K must lie in 1\.\.3"):
        recall_at(CORRECT, EVERYONE, ks)


def test_no_counted_query():
    with pytest.raises(ValueError, match="no query is counted"):
        recall_at(CORRECT, ~EVERYONE, [1])


def test_intervals_are_those_of_a_binomial():
    # 300 of 1000 queries succeed: the resampled recall has standard deviation sqrt(.3 * .7 / 1000) = .01449
    correct = (np.arange(1000) < 300)[:, None]
    low, high = recall_intervals(correct, np.full(1000, True), [1], np.random.default_rng(0))[1]
    assert low == pytest.approx(0.3 - 1.96 * 0.01449, abs=0.003)
    assert high == pytest.approx(0.3 + 1.96 * 0.01449, abs=0.003)


def test_intervals_repeat_with_the_seed_hold_the_recall_and_collapse_where_certain():
    generator = np.random.default_rng(1)
    correct = generator.random((60, 5)) < 0.2
    counted = generator.random(60) < 0.8
    one, two = (recall_intervals(correct, counted, [1, 5], np.random.default_rng(7), 300) for _ in range(2))
    assert one == two
    for k, recall in recall_at(correct, counted, [1, 5]).items():
        assert one[k][0] < recall < one[k][1]
    assert recall_intervals(np.full((9, 1), True), np.full(9, True), [1], generator, 50) == {1: (1.0, 1.0)}


def test_precision_recall_by_hand():
    # by distance: right, wrong (no positive), right and wrong together; four queries have a positive, one unanswered
    distances = np.array([0.2, 0.1, 0.4, 0.4, 0.9])
    correct = np.array([False, True, True, False, False])
    positive = np.array([False, True, True, True, True])
    curve = precision_recall(distances, correct, positive)
    assert curve.thresholds.tolist() == [0.1, 0.2, 0.4, 0.9]
    assert curve.precision.tolist() == [1, 0.5, 0.5, 0.4]
    assert curve.recall.tolist() == [0.25, 0.25, 0.5, 0.5]
    assert curve.area == pytest.approx(0.25 * 1 + 0.25 * 0.5)
    assert curve.recall_at_full_precision == 0.25


def test_precision_recall_of_nothing_right_and_all_right():
    positive = np.full(3, True)
    wrong = precision_recall(np.arange(3.0), ~positive, positive)
    assert (wrong.area, wrong.recall_at_full_precision) == (0, 0)
    right = precision_recall(np.arange(3.0), positive, positive)
    assert (right.area, right.recall_at_full_precision) == (1, 1)


def test_average_precision_is_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(2)
    distances, correct = generator.integers(0, 30, 200) / 30, generator.random(200) < 0.4
    # scikit-learn knows no missed positives: every positive query's best match is taken as correct
    curve = precision_recall(distances, correct, correct)
    assert curve.area == pytest.approx(metrics.average_precision_score(correct, -distances))


def test_precision_recall_needs_a_positive():
    with pytest.raises(ValueError, match="no query has a positive"):
        precision_recall(np.ones(2), np.full(2, False), np.full(2, False))


def test_queries_that_an_index_found_nothing_for_are_answered_together_at_last():
    curve = precision_recall(np.array([0.1, np.inf, np.inf]), np.array([1, 0, 0], bool), np.ones(3, bool))
    np.testing.assert_array_equal(curve.thresholds, [0.1, np.inf])
    np.testing.assert_allclose(curve.precision, [1, 1 / 3])
