"""What reports say of queries without an answer."""

import pytest

from opticornet.reports.no_answer import facts, operating_point
from opticornet.reports.results import read_result


def test_the_counts_in_words(record):
    result = read_result(record(no_positive=(6, 7), threshold=0.1))
    tested = result.record["no_answer"]["tested"]
    assert tested["right"] + tested["wrong"] + tested["refused_with_place"] == 18
    said = dict(facts(result))
    assert said["no answer above"].startswith("0.1 (best F1 on val): ")
    assert said["queries without a place"].endswith("answered")
    assert operating_point(result) == pytest.approx((tested["right"] / 18, tested["right"] / tested["answered"]))


def test_nothing_that_needs_ground_truth_is_said_without_it(record):
    result = read_result(record(truth=False, placed=False, threshold=0.1))
    assert [name for name, _ in facts(result)] == ["no answer above"]
    assert operating_point(result) is None
    assert facts(read_result(record("older"))) == []
