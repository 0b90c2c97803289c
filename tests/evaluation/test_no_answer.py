"""Thresholds chosen and queries counted by them, against values worked out by hand."""

import numpy as np
import pytest

from opticornet.evaluation.no_answer import Calibration, NoAnswer, answered, choose_threshold, place_auc

# Six queries by the distance of their first answer; the third and the last have no place in the map.
DISTANCES = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], np.float32)
CORRECT = np.array([True, True, False, True, False, False])
HAS_POSITIVE = np.array([True, True, False, True, True, False])


def test_the_best_f1():
    # precision 1, 1, 2/3, 3/4, 3/5, 1/2 at recall 1/4, 1/2, 1/2, 3/4, 3/4, 3/4: F1 is highest, 3/4, at 0.4
    chosen = choose_threshold("val", DISTANCES, CORRECT, HAS_POSITIVE)
    assert chosen.threshold == pytest.approx(0.45)
    assert (chosen.chosen_on, chosen.criterion) == ("val", "best F1")
    assert (chosen.chosen.precision, chosen.chosen.recall, chosen.chosen.f1) == (0.75, 0.75, 0.75)


def test_the_largest_threshold_of_a_precision():
    assert choose_threshold("val", DISTANCES, CORRECT, HAS_POSITIVE, precision=1).threshold == pytest.approx(0.25)
    chosen = choose_threshold("val", DISTANCES, CORRECT, HAS_POSITIVE, precision=0.7)
    assert chosen.threshold == pytest.approx(0.45)
    assert chosen.criterion == "precision of at least 0.7"


def test_a_precision_that_no_threshold_reaches():
    with pytest.raises(ValueError, match=r"no threshold on val reaches a precision of 0.8; the best is 0.500"):
        choose_threshold("val", DISTANCES, ~CORRECT, np.ones(6, bool), precision=0.8)


def test_nothing_right_and_nothing_found_are_no_thresholds():
    with pytest.raises(ValueError, match="no first answer to a query of val is right"):
        choose_threshold("val", DISTANCES, np.zeros(6, bool), HAS_POSITIVE)
    nothing = np.where(np.arange(6) < 4, DISTANCES, np.float32(np.inf))
    chosen = choose_threshold("val", nothing, CORRECT, HAS_POSITIVE)
    assert chosen.refuses(nothing).tolist() == [False, False, False, False, True, True]


def test_queries_with_and_without_a_place():
    found = answered(DISTANCES > 0.35, CORRECT, HAS_POSITIVE)
    assert (found.answered, found.refused) == (3, 3)
    assert (found.right, found.wrong, found.refused_with_place) == (2, 0, 2)
    assert (found.refused_without_place, found.wrong_without_place) == (1, 1)
    assert found.precision == pytest.approx(2 / 3)
    assert (found.recall, found.rejection_recall) == (0.5, 0.5)


def test_shares_of_nothing_are_not_known():
    found = answered(np.ones(6, bool), CORRECT, np.ones(6, bool))
    assert found.precision is None
    assert found.rejection_recall is None
    unknown = answered(DISTANCES > 0.35, CORRECT, None)
    assert (unknown.answered, unknown.refused, unknown.right, unknown.recall) == (3, 3, None, None)


def test_the_auc_counts_pairs():
    # 0.3 is above two of 0.1, 0.2, 0.4, 0.5; 0.6 above all four: 6 of 8 pairs are in order
    assert place_auc(DISTANCES, HAS_POSITIVE) == 6 / 8
    assert place_auc(np.zeros(6), HAS_POSITIVE) == 0.5
    assert place_auc(DISTANCES, np.ones(6, bool)) is None


def test_confidence_falls_with_the_distance():
    # the wrong answer at 0.3 and the right one at 0.4 are pooled: one of two is right
    calibration = Calibration.measured(DISTANCES, CORRECT)
    assert calibration.confidence == pytest.approx([1, 1, 0.5, 0.5, 0, 0])
    assert calibration.of(np.array([0.0, 0.25, 0.35, 2.0, np.inf])) == pytest.approx([1, 0.75, 0.5, 0, 0], abs=1e-6)


def test_a_given_threshold_says_nothing_of_confidence():
    given = NoAnswer(0.3)
    assert given.calibration is None
    assert given.record(answered(given.refuses(DISTANCES), CORRECT, None)).criterion == "given"
