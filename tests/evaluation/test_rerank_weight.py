"""The weight of the searched distance, chosen in worlds whose better stage is known."""

from functools import partial

import numpy as np
import pytest

from opticornet.evaluation.rerank_weight import WEIGHTS, Candidates, choose_weight, margin_of

QUERIES = 300


def world(searched_noise: float, compared_noise: float, queries: int = QUERIES) -> Candidates:
    """Five candidates, the first right and truly one nearer than the others, by stages with noise of their own."""
    generator = np.random.default_rng(7)
    truth = np.array([1.0, 2, 2, 2, 2])
    searched, compared = (
        truth + noise * generator.standard_normal((queries, 5)) for noise in (searched_noise, compared_noise)
    )
    right = np.zeros((queries, 5), bool)
    right[:, 0] = True
    return Candidates(searched, compared, right, np.zeros(queries, np.int64))


def chosen(candidates: Candidates):
    return choose_weight(("val",), candidates, 5, np.random.default_rng(0))


def test_margins_by_hand():
    candidates = Candidates(
        searched=np.array([[0.2, 0.5, np.inf], [0.3, 0.1, 0.4]]),
        compared=np.array([[0.4, 0.1, np.inf], [0.2, 0.6, 0.4]]),
        right=np.array([[True, False, False], [True, False, True]]),
        sequences=np.zeros(2, np.int64),
    )
    # searched: .5 - .2 = .3 and .1 - .3 = -.2; compared: .1 - .4 = -.3 and .6 - .2 = .4
    np.testing.assert_allclose(candidates.margins(1), [0.3, -0.2])
    np.testing.assert_allclose(candidates.margins(0), [-0.3, 0.4])
    # half of each: right .3, wrong .3; right .25 and .4, wrong .35
    np.testing.assert_allclose(candidates.margins(0.5), [0, 0.1], atol=1e-12)
    assert margin_of(candidates, 1) == pytest.approx(0.05 / np.sqrt(0.13 / 2))
    assert margin_of(candidates, 0.5) == pytest.approx(0.05 / np.sqrt(0.01 / 2))


def test_a_stage_that_knows_nothing_gets_no_weight():
    assert chosen(world(0.2, 20)).weight == pytest.approx(1, abs=0.02)
    assert chosen(world(20, 0.2)).weight == pytest.approx(0, abs=0.02)


def test_two_stages_that_err_apart_are_mixed_near_the_best_weights():
    equal = chosen(world(0.8, 0.8))
    assert 0.4 <= equal.weight <= 0.6
    assert equal.measured[f"{equal.weight:g}"] > max(equal.measured["0"], equal.measured["1"])
    uneven = chosen(world(0.6, 1.2))  # by inverse variance .8
    assert 0.65 <= uneven.weight < 1


def test_a_stage_that_is_the_better_one_by_chance_does_not_get_all_the_weight():
    """By inverse variance .04 of the weight is the second stage's; ten queries often prefer the first alone."""
    candidates = world(0.6, 3)
    parts = (candidates.searched, candidates.compared, candidates.right, candidates.sequences)
    groups = [Candidates(*(part[start : start + 10] for part in parts)) for start in range(0, QUERIES, 10)]
    best = np.array([max(WEIGHTS, key=partial(margin_of, few)) for few in groups])
    taken = np.array([chosen(few).weight for few in groups])
    assert (best == 1).sum() >= 5
    assert (taken[best == 1] < 1).mean() > 0.5
    assert (taken > 0.6).all()


def test_margins_that_are_all_the_same_are_no_error():
    same = np.zeros((30, 5))
    right = np.zeros((30, 5), bool)
    right[:, 0] = True
    record = chosen(Candidates(same, same, right, np.zeros(30, np.int64)))
    assert (record.weight, record.measured) == (0, {"0": 0, "1": 0})


def test_the_scale_of_both_does_not_matter():
    candidates = world(0.8, 0.8)
    scaled = Candidates(4 * candidates.searched, 4 * candidates.compared, candidates.right, candidates.sequences)
    assert chosen(scaled) == chosen(candidates)


def test_queries_without_a_right_or_without_a_wrong_candidate_say_nothing():
    candidates = world(0.2, 20, queries=40)
    candidates.right[:10] = False
    candidates.right[10:20] = True
    assert len(candidates.telling().searched) == 20
    nothing = Candidates(
        candidates.searched[:20], candidates.compared[:20], candidates.right[:20], candidates.sequences[:20]
    )
    with pytest.raises(ValueError, match="no query of val has both right and wrong candidates"):
        chosen(nothing)


def test_candidates_of_several_splits_are_told_apart():
    one = Candidates(np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 3), bool), np.array([0, 1]))
    other = Candidates(np.zeros((1, 2)), np.zeros((1, 2)), np.ones((1, 2), bool), np.array([0]))
    joined = Candidates.joined([one, other])
    assert joined.sequences.tolist() == [0, 1, 2]
    assert joined.searched[2].tolist() == joined.compared[2].tolist() == [0, 0, np.inf]
    assert joined.right[2].tolist() == [True, True, False]
