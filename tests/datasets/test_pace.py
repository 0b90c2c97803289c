import numpy as np
import pytest

from opticornet.datasets.pace import frames_at_pace, steady, with_lost_frames, with_repeated_frames, with_stop
from opticornet.datasets.windows import window_starts


def frames(row: int, steps: list[float], anchor: int, bounds: tuple[int, int] = (0, 100)) -> list[int]:
    """The one window of a frame."""
    return frames_at_pace(np.array([row]), np.array([bounds]), np.array(steps, float), anchor)[0].tolist()


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([1, 1, 1, 1], [48, 49, 50, 51, 52]),
        ([2, 2, 2, 2], [46, 48, 50, 52, 54]),
        ([0.5, 0.5, 0.5, 0.5], [49, 50, 50, 51, 51]),  # halves up
        ([0, 0, 0, 0], [50, 50, 50, 50, 50]),
        ([-1, -1, -1, -1], [52, 51, 50, 49, 48]),
        ([1, 0, 0, 1], [49, 50, 50, 50, 51]),
        ([1, 3, 1, 2], [46, 47, 50, 51, 53]),
    ],
)
def test_frames_lie_as_many_steps_apart_as_the_pace_says(steps, expected):
    assert frames(50, steps, anchor=2) == expected


def test_a_window_that_would_leave_its_sequence_is_of_its_frame_at_another_position():
    assert frames(1, [2, 2, 2, 2], anchor=2) == [1, 3, 5, 7, 9]
    assert frames(98, [2, 2, 2, 2], anchor=2) == [90, 92, 94, 96, 98]
    assert frames(11, [-1, -1, -1, -1], anchor=2, bounds=(10, 20)) == [14, 13, 12, 11, 10]


def test_a_window_too_long_for_its_sequence_stands_at_its_ends():
    assert frames(12, [3, 3, 3, 3], anchor=2, bounds=(10, 17)) == [10, 10, 12, 15, 16]


@pytest.mark.parametrize("anchor", [2, 4])
def test_every_window_stays_within_its_bounds_and_holds_its_own_frame(anchor):
    generator = np.random.default_rng(0)
    low = generator.integers(0, 50, size=200)
    bounds = np.stack([low, low + generator.integers(1, 30, size=200)], axis=1)
    rows = generator.integers(bounds[:, 0], bounds[:, 1])
    steps = with_stop(steady(generator.uniform(0.4, 2.5, 200), 5), 1, generator)
    found = frames_at_pace(rows, bounds, steps, anchor)
    assert ((found >= bounds[:, :1]) & (found < bounds[:, 1:])).all()
    assert (found == rows[:, None]).any(axis=1).all()


@pytest.mark.parametrize(("length", "rule"), [(1, "centred"), (2, "centred"), (5, "centred"), (6, "trailing")])
def test_steps_of_one_are_the_plain_windows(length, rule):
    bounds = np.repeat([[0, 7], [7, 20]], [7, 13], axis=0)
    rows = np.arange(20)
    anchor = length // 2 if rule == "centred" else length - 1
    starts = window_starts(rows, bounds, length, rule)
    plain = starts[:, None] + np.arange(length)
    np.testing.assert_array_equal(frames_at_pace(rows, bounds, np.ones(length - 1), anchor), plain)


def test_each_window_goes_at_its_own_speed():
    steps = steady(np.array([1.0, 2.0]), 3)
    found = frames_at_pace(np.array([5, 5]), np.array([[0, 10], [0, 10]]), steps, 1)
    assert found.tolist() == [[4, 5, 6], [3, 5, 7]]


def test_a_stop_is_in_one_piece_and_anywhere_in_the_window():
    steps = with_stop(np.full((300, 6), 2.0), 3, np.random.default_rng(0))
    assert set(map(tuple, steps.tolist())) == {
        tuple(0.0 if first <= place < first + 3 else 2.0 for place in range(6)) for first in range(4)
    }


def test_a_third_of_the_frames_is_lost_or_repeated():
    steps = np.ones((2000, 9))
    lost = with_lost_frames(steps, 1 / 3, np.random.default_rng(0))
    assert lost.min() == 1
    assert steps.sum() / lost.sum() == pytest.approx(2 / 3, abs=0.01)
    repeated = with_repeated_frames(steps, 1 / 3, np.random.default_rng(0))
    assert set(repeated.ravel()) == {0.0, 1.0}
    assert repeated.mean() == pytest.approx(2 / 3, abs=0.01)


def test_no_frame_is_lost_with_a_share_of_none():
    steps = steady(np.array([0.7]), 5)
    generator = np.random.default_rng(0)
    np.testing.assert_array_equal(with_lost_frames(steps, 0.0, generator), steps)
    np.testing.assert_array_equal(with_repeated_frames(steps, 0.0, generator), steps)
