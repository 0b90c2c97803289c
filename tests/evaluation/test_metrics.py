"""Recall, its intervals and the precision-recall curve, by hand."""

import time

import numpy as np
import pytest

from opticornet.evaluation.metrics import (
    block_length,
    precision_recall,
    recall_at,
    recall_at_radii,
    recall_intervals,
    resampled_means,
)

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
    one, two = (recall_intervals(correct, counted, [1, 5], np.random.default_rng(7), samples=300) for _ in range(2))
    assert one == two
    for k, recall in recall_at(correct, counted, [1, 5]).items():
        assert one[k][0] < recall < one[k][1]
    assert recall_intervals(np.full((9, 1), True), np.full(9, True), [1], generator, samples=50) == {1: (1.0, 1.0)}


def runs(count: int, stay: float, seed: int = 0) -> np.ndarray:
    """(count,) bool: hits and misses that stay as they are with a probability, and are drawn anew otherwise."""
    generator = np.random.default_rng(seed)
    draws = generator.random(count) < 0.5
    anew = np.flatnonzero(np.append(True, generator.random(count - 1) > stay))
    return draws[anew[np.searchsorted(anew, np.arange(count), side="right") - 1]]


def test_blocks_of_one_are_the_ordinary_bootstrap():
    values = np.random.default_rng(0).random((40, 2))
    chosen = np.random.default_rng(5).integers(40, size=(70, 40))
    means = resampled_means(values, 1, np.random.default_rng(5), 70)
    np.testing.assert_allclose(means, values[chosen].mean(axis=1))


def test_blocks_by_hand():
    """Two sequences, 1 1 and 0 0 0 0, in blocks of two: those sum to 2 2 and 0 0 0 0. Three of them are drawn, so the
    mean is 0, 1/3, 2/3 or 1 in 8, 12, 6 and 1 of 27 cases. Blocks across the border would give sixths."""
    values, sequences = np.array([[1], [1], [0], [0], [0], [0]]), np.array([4, 4, 9, 9, 9, 9])
    means = resampled_means(values, 2, np.random.default_rng(0), 20000, sequences)[:, 0]
    found, counts = np.unique(np.round(3 * means, 9), return_counts=True)
    assert found.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(counts / 20000, np.array([8, 12, 6, 1]) / 27, atol=0.012)
    everyone = np.full(6, True)
    draw = {"block": 2, "sequences": sequences, "samples": 20000}
    assert recall_intervals(values > 0, everyone, [1], np.random.default_rng(0), **draw) == {1: (0.0, 1.0)}
    narrow = recall_intervals(values > 0, everyone, [1], np.random.default_rng(0), level=0.9, **draw)
    assert narrow[1] == pytest.approx((0, 2 / 3))


def test_a_short_sequence_is_drawn_as_often_as_its_share():
    """Sequences 1 and 0 0 0 in blocks of three: two are drawn, half of them the first."""
    values, sequences = np.array([[1], [0], [0], [0]]), np.array([0, 1, 1, 1])
    means = resampled_means(values, 3, np.random.default_rng(0), 20000, sequences)[:, 0]
    found, counts = np.unique(means, return_counts=True)
    assert found.tolist() == [0, 0.25, 1]  # 0 of 6, 1 of 4, 2 of 2 values
    np.testing.assert_allclose(counts / 20000, [0.25, 0.5, 0.25], atol=0.012)


@pytest.mark.parametrize("sequences", [None, np.repeat([1, 2, 5], [7, 40, 53])])
def test_means_lie_around_that_of_the_series(sequences):
    values = np.arange(100.0)[:, None] / 100  # the ends are unlike the middle
    means = resampled_means(values, 9, np.random.default_rng(0), 20000, sequences)
    assert means.mean() == pytest.approx(values.mean(), abs=0.004)


def test_blocks_widen_the_interval_of_hits_in_runs_only():
    counted = np.full(2000, True)

    def width(hits: np.ndarray, block: int) -> float:
        low, high = recall_intervals(hits[:, None], counted, [1], np.random.default_rng(0), block=block)[1]
        return high - low

    # neighbours correlate by .9: the mean's variance grows by (1 + .9) / (1 - .9) = 19, its deviation by 4.4
    ratios = [width(hits, block_length(hits)) / width(hits, 1) for hits in (runs(2000, 0.9, seed) for seed in range(8))]
    assert np.mean(ratios) == pytest.approx(4.4, abs=0.6)
    apart = runs(2000, 0)
    assert width(apart, block_length(apart)) / width(apart, 1) == pytest.approx(1, abs=0.15)


def test_queries_not_counted_do_not_enter_a_block():
    hits, counted = runs(200, 0.8), np.random.default_rng(3).random(200) < 0.7
    sequences = np.repeat([0, 1], 100)
    found, alone = (
        recall_intervals(
            hits[rows, None], who, [1], np.random.default_rng(0), block=5, sequences=sequences[rows], samples=99
        )
        for rows, who in ((slice(None), counted), (counted, np.full(counted.sum(), True)))
    )
    assert found == alone


def test_ten_thousand_queries_take_no_time():
    correct = runs(10_000, 0.9)[:, None] & np.full((1, 100), True)
    begun = time.perf_counter()
    block = block_length(correct[:, 0])
    recall_intervals(correct, np.full(10_000, True), [1, 5, 10], np.random.default_rng(0), block=block, samples=1000)
    assert time.perf_counter() - begun < 2


def test_the_block_length_is_that_of_politis_and_white():
    """Values of the package ``arch`` 8.0 (optimal_block_length, circular), which estimates autocovariances from fewer
    pairs: equal but for a few."""
    for count, stay, theirs in ((1000, 0.5, 12.0), (1000, 0.9, 33.4), (5000, 0.5, 23.4), (5000, 0.9, 102.4)):
        assert block_length(runs(count, stay)) == pytest.approx(theirs, rel=0.12)


def test_the_block_length_is_at_least_the_window_and_leaves_blocks():
    apart = runs(900, 0)
    assert block_length(apart) <= 4
    assert block_length(apart, shortest=10) == 10
    assert block_length(apart, shortest=400) == 300
    assert block_length(np.full(50, True), shortest=5) == 5
    assert 60 < block_length(np.repeat([True, False], 500)) <= 95  # 3 sqrt(1000)
    for few in (1, 2, 3, 4):
        assert block_length(np.arange(few) % 2 == 0, shortest=5) == 1


def test_lags_do_not_cross_into_another_sequence():
    hits = np.tile([True, True, False, False], 100)
    # in sequences of two: R(1) = R(0) / 2, all others 0, so M = 2, G = R(0), the sum 2 R(0): b = (1.5 / 4 * 400)^(1/3)
    assert block_length(hits, sequences=np.repeat(np.arange(200), 2)) == 6
    assert block_length(hits, sequences=np.arange(400)) == 1
    assert block_length(hits) > 6


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
