"""Equal windows are one answer, against worlds worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from opticornet.datasets.positives import Positives
from opticornet.datasets.traverse import Traverse
from opticornet.datasets.windows import Windows
from opticornet.evaluation.equal_windows import EqualWindows
from opticornet.evaluation.ground_truth import GroundTruth
from opticornet.matching.ranking import Ranking

FRAMES = 8


def windows(length: int, rule="centred", bounds=((0, FRAMES),)) -> Windows:
    """Of every frame of a drive of eight, in sequences."""
    own = np.concatenate([np.tile(pair, (pair[1] - pair[0], 1)) for pair in bounds])
    positions = np.arange(FRAMES, dtype=np.float64)[:, None]
    traverse = Traverse("drive", np.zeros((FRAMES, 2), np.float32), positions, "frames", own)
    return Windows.of(traverse, length, rule=rule)


def by_distance(*rows: list[int]) -> Ranking:
    indices = np.array(rows)
    return Ranking(indices, np.where(indices < 0, np.inf, np.arange(indices.shape[1]) / 10).astype(np.float32))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (windows(5), [2, 2, 2, 3, 4, 5, 5, 5]),  # starts 0 0 0 1 2 3 3 3
        (windows(4), [2, 2, 2, 3, 4, 5, 6, 6]),  # starts 0 0 0 1 2 3 4 4: an even window is around its third frame
        (windows(4).mirrored(), [1, 1, 2, 3, 4, 5, 5, 5]),  # starts 0 0 1 2 3 4 4 4
        (windows(3, "trailing"), [2, 2, 2, 3, 4, 5, 6, 7]),  # starts 0 0 0 1 2 3 4 5
        (windows(3, "trailing").mirrored(), [0, 1, 2, 3, 4, 5, 5, 5]),
        (windows(3, bounds=((0, 4), (4, 8))), [1, 1, 2, 2, 5, 5, 6, 6]),  # starts 0 0 1 1 4 4 5 5
        (windows(1), list(range(8))),
    ],
)
def test_the_frames_at_the_ends_are_shown_as_the_frame_that_their_window_is_around(given, shown):
    assert EqualWindows.of(given).shown.tolist() == [shown]


def test_windows_of_two_lengths_are_one_answer_where_both_are_the_same():
    assert EqualWindows.of(windows(5), windows(3)).shown.tolist() == [[1, 1, 2, 3, 4, 5, 6, 6]]
    assert EqualWindows.of(windows(5), windows(1)).shown.tolist() == [list(range(8))]
    assert EqualWindows.of(windows(3), windows(5)).shown.tolist() == [[1, 1, 2, 3, 4, 5, 6, 6]]


def test_a_retrieved_window_is_as_far_off_as_the_nearest_frame_it_stands_for():
    equal = EqualWindows.of(windows(5))  # 0 1 2 | 3 | 4 | 5 6 7
    truth = GroundTruth(np.arange(8.0)[:, None], np.array([[2.0], [7.0], [3.0], [9.0]]))
    found = np.array([[0, 3], [5, 4], [1, -1], [6, 0]])
    assert truth.errors(found).tolist() == [[2, 1], [2, 3], [2, np.inf], [3, 9]]
    assert equal.errors(truth, found).tolist() == [[0, 1], [0, 3], [1, np.inf], [2, 7]]
    assert EqualWindows.each(8).errors(truth, found).tolist() == truth.errors(found).tolist()


def test_by_a_table_it_is_right_where_one_of_its_frames_is_listed():
    equal = EqualWindows.of(windows(5))
    truth = GroundTruth(np.zeros((8, 1)), np.zeros((3, 1)), Positives.of_lists([[2], [6, 7], []]))
    found = np.array([[0, 3], [5, 2], [0, 1]])
    assert equal.errors(truth, found).tolist() == [[0, 1], [0, 4], [np.inf, np.inf]]


def test_equal_windows_take_one_place_of_a_ranking():
    equal = EqualWindows.of(windows(5))
    ranking = by_distance([0, 1, 2, 4, 7, 6], [3, 7, 4, 5, 0, -1], [-1, -1, -1, -1, -1, -1])
    distinct = equal.distinct(ranking)
    assert distinct.indices.tolist() == [[2, 4, 5, -1, -1, -1], [3, 5, 4, 2, -1, -1], [-1] * 6]
    assert distinct.distances[0].tolist() == pytest.approx([0, 0.3, 0.4, np.inf, np.inf, np.inf])
    assert equal.distinct(ranking, 2).indices.tolist() == [[2, 4], [3, 5], [-1, -1]]
    again = equal.distinct(distinct)
    assert again.indices.tolist() == distinct.indices.tolist()
    assert EqualWindows.each(8).distinct(ranking, 4).indices.tolist() == ranking.indices[:, :4].tolist()


def test_each_of_equal_windows_has_the_distance_of_the_one_that_is_shown():
    equal = EqualWindows.of(windows(5))  # 0 1 2 as 2, 5 6 7 as 5
    ranking = Ranking(np.array([[5, 2, 4], [3, 2, -1]]), np.array([[0.1, 0.2, 0.4], [0.3, 0.5, np.inf]], np.float32))
    spread = equal.spread(ranking, np.array([[0, 4, 7, 5], [-1, 2, 3, 1]]))
    assert spread.indices.tolist() == [[5, 7, 0, 4], [3, 1, 2, -1]]
    assert spread.distances[0].tolist() == pytest.approx([0.1, 0.1, 0.2, 0.4])
    assert spread.distances[1].tolist() == pytest.approx([0.3, 0.5, 0.5, np.inf])
    assert EqualWindows.each(8).spread(ranking, ranking.indices) is ranking


def test_a_ranking_as_deep_as_asked_for_is_sure_of_k_answers():
    equal = EqualWindows.of(windows(5))  # four answers, two of three references each
    assert [equal.depth(k) for k in (1, 2, 3, 4, 20)] == [3, 6, 7, 8, 8]
    assert EqualWindows.each(8).depth(5) == 5


def test_queries_read_the_other_way_have_the_equal_windows_of_that_way():
    trailing = windows(3, "trailing")
    equal, ways = EqualWindows.of(trailing).or_of(EqualWindows.of(trailing.mirrored())), np.array([[0], [1], [1]])
    truth = GroundTruth(np.arange(8.0)[:, None], np.array([[0.0], [0.0], [7.0]]))
    assert equal.errors(truth, np.array([[2], [2], [5]]), ways).tolist() == [[0], [2], [0]]
    ranking = replace(by_distance([0, 1], [0, 1], [5, 7]), ways=ways.repeat(2, axis=1))
    assert equal.distinct(ranking).indices.tolist() == [[2, -1], [0, 1], [5, -1]]
    assert equal.depth(1) == 3


def test_at_another_pace_other_windows_are_the_same():
    equal = EqualWindows.at_speeds((1, 2, 0), windows(3))
    as_recorded, twice, standing = equal.shown.tolist()
    assert as_recorded == EqualWindows.of(windows(3)).shown[0].tolist() == [1, 1, 2, 3, 4, 5, 6, 6]
    assert twice == [2, 3, 2, 3, 4, 5, 4, 5]  # 0 2 4, 1 3 5, 0 2 4, 1 3 5, 2 4 6, 3 5 7, 2 4 6, 3 5 7
    assert standing == list(range(8))
    truth = GroundTruth(np.arange(8.0)[:, None], np.zeros((3, 1)))
    found, ways = np.array([[2], [2], [1]]), np.array([[0], [1], [2]])
    assert equal.errors(truth, found, ways).tolist() == [[2], [0], [1]]


def test_a_place_found_at_two_paces_is_one_answer_the_nearer():
    equal = EqualWindows.at_speeds((1, 2), windows(3))
    ranking = replace(by_distance([4, 6, 4, 0, 1], [3, 1, 0, 1, -1]), ways=np.array([[1, 1, 0, 0, 0], [0, 1, 0, 0, 0]]))
    distinct = equal.distinct(ranking, 3)
    assert distinct.indices.tolist() == [[4, 1, -1], [3, 1, -1]]
    assert distinct.ways[:, :2].tolist() == [[1, 0], [0, 0]]
    assert distinct.distances[:, :2].tolist() == np.float32([[0, 0.3], [0, 0.2]]).tolist()


def test_windows_compared_as_recorded_keep_apart_what_a_pace_makes_the_same():
    equal = EqualWindows.at_speeds((1, 2), windows(3), windows(5))  # compared: 0 1 2 | 3 | 4 | 5 6 7
    assert equal.shown.tolist() == [[1, 1, 2, 3, 4, 5, 6, 6], [2, 1, 2, 3, 4, 5, 6, 5]]


def test_a_place_whose_shown_one_is_not_ranked_has_no_distance():
    equal = EqualWindows.at_speeds((1, 2), windows(3))
    ranking = Ranking(np.array([[2, 6]]), np.array([[0.1, 0.2]], np.float32))
    spread = equal.spread(ranking, np.array([[0, 7, 3, 0]]), np.array([[1, 0, 0, 0]]))  # shown as 2, 6, 3 and 1
    assert spread.indices.tolist() == [[0, 7, -1, -1]]
    assert spread.distances.tolist() == [[np.float32(0.1), np.float32(0.2), np.inf, np.inf]]
