from dataclasses import replace

import numpy as np
import pytest

from opticornet.reports.results import CLOSE, NO_POSITIVE, RIGHT, WRONG, read_result
from opticornet.reports.route import failure_text, longest_failure, place_map, route


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ([RIGHT, RIGHT], (0, 0)),
        ([WRONG, WRONG, RIGHT, WRONG], (0, 2)),
        ([WRONG, RIGHT, WRONG, CLOSE, WRONG], (2, 5)),
        ([WRONG, NO_POSITIVE, WRONG, RIGHT], (0, 3)),  # a query without a positive does not end a failure
        ([NO_POSITIVE, WRONG, NO_POSITIVE], (1, 2)),  # nor is it a part of its ends
    ],
)
def test_longest_failure(outcome, expected):
    assert longest_failure(np.array(outcome), np.arange(len(outcome))) == expected


def test_a_gap_in_the_rows_ends_a_failure():
    assert longest_failure(np.full(5, WRONG), np.array([0, 1, 7, 8, 9])) == (2, 5)


def test_recall_along_the_route(record):
    result = read_result(record(wrong=(3, 4, 5), no_positive=(19,)))
    found = route(result, result.answers)
    assert found.window == 9
    assert found.recall[4] == pytest.approx(6 / 9)
    assert found.recall[18] == 1.0  # the query without a positive is not counted
    assert found.failure == (3, 6)
    chord = 2 * 100 * np.sin(np.pi / 20)
    assert found.failure_length == pytest.approx(2 * chord)
    assert failure_text(found, result.answers.outcome, "metres") == f"3 queries in a row, {2 * chord:.0f} metres"


def test_kind_of_map(record):
    assert place_map(read_result(record("a")).answers).kind == "metres"
    assert place_map(read_result(record("b", planar=False)).answers).kind == "line"
    path = record("c")
    arrays = dict(np.load(path.with_suffix(".npz")))
    degrees = np.stack([np.linspace(60, 61, 20), np.full(20, 10.0)], axis=1)
    np.savez(path.with_suffix(".npz"), **arrays, referenceLatLon=degrees, queryLatLon=degrees)
    found = place_map(read_result(path).answers)
    assert found.kind == "lat-lon"
    assert found.query[0].tolist() == [10.0, 60.0]  # x, y: longitude first


def test_a_query_without_a_position_is_drawn_where_it_was_matched(record):
    answers = read_result(record(truth=False, placed=False, lat_lon=True)).answers
    for query in (answers.query, replace(answers.query, lat_lon=None)):
        where = place_map(replace(answers, query=query))
        assert where.kind == "lat-lon"
        assert np.array_equal(where.query, where.reference[answers.predictions[:, 0]])
    assert (answers.nearest == -1).all()


def test_listed_places_are_known_where_positions_are_not(record):
    answers = read_result(record(table=True, placed=False)).answers
    assert answers.nearest.tolist() == list(range(20))


def test_a_failure_is_as_long_as_its_known_places_are_apart(record):
    result = read_result(record(table=True, wrong=(3, 4, 5)))
    result.answers.query.positions[4] = np.nan
    found = route(result, result.answers)
    assert found.failure_length == pytest.approx(2 * 100 * np.sin(2 * np.pi / 20))
    result.answers.query.positions[:] = np.nan
    del result.answers.__dict__["placed"]
    assert failure_text(route(result, result.answers), result.answers.outcome, "metres") == "3 queries in a row"
