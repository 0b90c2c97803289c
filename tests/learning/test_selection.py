"""What decides which epoch's weights are kept."""

import pytest

from opticornet.learning.selection import MEASURES, recalls_of, score_of

METRICS = {"recall@1": 0.5, "recall@5": 0.875, "recall@20": 1.0, "average-precision": 0.25}


@pytest.mark.parametrize(
    ("measure", "value"), [("mean-recall", 0.6875), ("average-precision", 0.25), ("recall@1", 0.5), ("recall@5", 0.875)]
)
def test_a_measure_is_what_its_name_says_and_recall_at_1_breaks_ties(measure, value):
    assert score_of(METRICS, measure) == (value, 0.5)


def test_every_measure_serves_a_map_of_fewer_than_five_places():
    metrics = {"recall@1": 0.5, "average-precision": 0.5}
    assert {score_of(metrics, measure) for measure in MEASURES} == {(0.5, 0.5)}


def test_the_default_tells_runs_apart_where_recall_at_5_is_reached():
    first, second = {"recall@1": 0.856, "recall@5": 1.0}, {"recall@1": 0.894, "recall@5": 0.9937}
    assert score_of(first, "recall@5") > score_of(second, "recall@5")
    assert score_of(first, "mean-recall") < score_of(second, "mean-recall")


def test_recalls_are_found_among_other_metrics():
    assert recalls_of(METRICS) == {1: 0.5, 5: 0.875, 20: 1.0}
