"""Lists of correct references, by hand and against plain loops."""

import numpy as np
import pytest

from opticornet.datasets.positives import Positives

LISTS = [[3, 1, 3], [], [0, 1, 2, 7], [9]]


@pytest.fixture
def listed():
    return Positives.of_lists(LISTS)


def lists(positives):
    return [positives[query].tolist() for query in range(len(positives))]


def test_lists_are_sorted_and_without_repeats(listed):
    assert lists(listed) == [[1, 3], [], [0, 1, 2, 7], [9]]
    assert listed.counts.tolist() == [2, 0, 4, 1]
    assert listed.offsets.tolist() == [0, 2, 2, 6, 7]
    assert listed.queries.tolist() == [0, 0, 2, 2, 2, 2, 3]
    assert listed.middle.tolist() == [1, -1, 1, 9]


def test_no_query_and_no_reference_at_all():
    assert lists(Positives.of_lists([])) == []
    empty = Positives.of_lists([[], []])
    assert empty.ranges() == []
    assert lists(empty.widened(3, np.zeros((0, 2), int))) == [[], []]
    assert empty.distance(np.array([[0], [5]])).tolist() == [[np.inf], [np.inf]]
    assert empty.middle.tolist() == [-1, -1]


def test_references_in_a_range():
    assert lists(Positives.of_ranges(np.array([[2, 5], [4, 4], [0, 1], [3, 1]]))) == [[2, 3, 4], [], [0], []]


def test_references_within_a_radius_inclusive():
    near = Positives.within(np.array([[0.0], [50.0], [3.0]]), np.array([[1.0], [2.0], [4.0]]), 2.0)
    assert lists(near) == [[0, 1], [], [0, 1, 2]]


def test_some_queries_in_any_order(listed):
    assert lists(listed.of(np.array([2, 1, 0, 2]))) == [[0, 1, 2, 7], [], [1, 3], [0, 1, 2, 7]]
    assert len(listed.of(np.array([], np.int64))) == 0


def test_a_cut_of_the_reference_counts_from_its_first_row(listed):
    assert lists(listed.cut(1, 8)) == [[0, 2], [], [0, 1, 6], []]


def test_references_among_kept_rows_by_their_places(listed):
    assert lists(listed.among(np.array([1, 2, 3, 9]))) == [[0, 2], [], [0, 1], [3]]


def test_neighbours_are_added_once_and_none_beyond_their_drive(listed):
    one = np.tile([0, 11], (11, 1))
    assert lists(listed.widened(1, one)) == [[0, 1, 2, 3, 4], [], [0, 1, 2, 3, 6, 7, 8], [8, 9, 10]]
    two = np.repeat([[0, 4], [4, 11]], (4, 7), axis=0)
    assert lists(listed.widened(2, two)) == [[0, 1, 2, 3], [], [0, 1, 2, 3, 5, 6, 7, 8, 9], [7, 8, 9, 10]]


def test_ranges_are_runs_of_neighbours(listed):
    assert listed.ranges() == [(0, 1, 1), (0, 3, 3), (2, 0, 2), (2, 7, 7), (3, 9, 9)]


def test_distances_are_those_of_a_plain_loop():
    rng = np.random.default_rng(5)
    some = [np.flatnonzero(rng.random(30) < share) for share in (0, 0.05, 0.2, 0.6, 0)]
    found = rng.integers(-1, 33, (5, 40))
    plain = [
        [min((abs(reference - own) for own in near), default=np.inf) if reference >= 0 else np.inf for reference in row]
        for near, row in zip(some, found, strict=True)
    ]
    assert Positives.of_lists(some).distance(found).tolist() == plain
