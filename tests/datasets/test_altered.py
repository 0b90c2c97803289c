from dataclasses import replace

import numpy as np
import pytest

from opticornet.datasets.adapting.adaptation import Adaptation
from opticornet.datasets.altered import at_pace, at_speed, frames_at
from opticornet.datasets.filling import fill_frames
from opticornet.datasets.pace import frames_at_pace, steady, with_lost_frames
from opticornet.datasets.traverse import Drive, Split, Traverse
from opticornet.datasets.windows import Windows


def traverse(lengths: tuple[int, ...] = (12, 20), unusable: tuple[int, ...] = ()) -> Traverse:
    """Frame i is described by (i, 1)."""
    stops = np.cumsum(lengths)
    count = int(stops[-1])
    numbers = np.arange(count)
    return Traverse(
        "drive",
        np.stack([numbers, np.ones(count)], axis=1).astype(np.float32),
        numbers[:, None] * 10.0,
        "metres",
        np.repeat(np.stack([stops - lengths, stops], axis=1), lengths, axis=0),
        names=tuple(f"frame{number}" for number in numbers),
        timestamps=numbers / 2,
        images=tuple(f"{number}.png" for number in numbers),
        local_features=np.tile(numbers[:, None, None], (1, 3, 2)).astype(np.float32),
        usable=None if not unusable else ~np.isin(numbers, unusable),
    )


def steps_of(value: float):
    return lambda count, length, generator: np.full((count, length - 1), value)


def held(windows: Windows) -> np.ndarray:
    """(M, L) frame numbers in the windows, as they are read."""
    frames = np.asarray(windows.traverse.descriptors)[windows.starts[:, None] + np.arange(windows.length), 0]
    return (frames[:, ::-1] if windows.backwards else frames).astype(int)


GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize("rule", ["centred", "trailing"])
@pytest.mark.parametrize("longest", [4, 5, 9])
@pytest.mark.parametrize("backwards", [False, True])
def test_at_a_pace_of_ones_windows_of_either_length_hold_the_same_frames(rule, longest, backwards):
    windows = Windows.of(traverse(), 4, rule=rule, longest=longest, either_way=True)
    if backwards:
        windows = replace(windows.mirrored(), backwards=True)
    altered = at_pace(windows, steps_of(1), longest, GENERATOR)
    np.testing.assert_array_equal(held(altered), held(windows))
    np.testing.assert_array_equal(held(altered.with_length(longest)), held(windows.with_length(longest)))
    assert altered.anchor == windows.anchor


def test_every_window_is_a_sequence_of_its_own_whose_own_frame_is_the_recorded_one():
    windows = Windows.of(traverse(), 5)
    altered = at_pace(windows, steps_of(2), 5, GENERATOR)
    assert held(altered)[[0, 5, 11, 12]].tolist() == [
        [0, 2, 4, 6, 8],
        [1, 3, 5, 7, 9],
        [3, 5, 7, 9, 11],
        [12, 14, 16, 18, 20],
    ]
    assert altered.positions[:, 0].tolist() == windows.positions[:, 0].tolist()
    drive = altered.traverse
    assert [drive.names[row] for row in altered.rows] == list(windows.traverse.names)
    assert [drive.images[row] for row in altered.rows] == list(windows.traverse.images)
    assert drive.timestamps[altered.rows].tolist() == windows.traverse.timestamps.tolist()
    assert drive.drive_images == windows.traverse.images
    assert drive.bounds[altered.starts].tolist() == [[5 * i, 5 * i + 5] for i in range(32)]
    assert drive.local_features[int(altered.rows[7])].tolist() == [[7, 7]] * 3


def test_nothing_is_read_before_it_is_asked_for():
    read = []

    class Watched(np.ndarray):
        def __getitem__(self, key):
            read.append(key)
            return super().__getitem__(key)

    drive = traverse()
    windows = Windows.of(replace(drive, descriptors=drive.descriptors.view(Watched)), 5)
    altered = at_pace(windows, steps_of(0), 5, GENERATOR)
    assert not read
    assert altered.traverse.descriptors[7].tolist() == [1, 1]


def test_unusable_frames_and_other_sequences_are_in_no_window():
    windows = Windows.of(traverse(unusable=(5, 20)), 3)
    frames = held(at_pace(windows, steps_of(2.5), 3, GENERATOR))
    assert not np.isin(frames, (5, 20)).any()
    np.testing.assert_array_equal(windows.traverse.bounds[frames[:, 0]], windows.traverse.bounds[frames[:, -1]])
    between = np.sort(frames, axis=1)
    for gap in (5, 20):
        assert not ((between[:, 0] < gap) & (between[:, -1] > gap)).any()


def test_sequences_shorter_than_a_window_are_as_they_were_shortened():
    windows = Windows.of(traverse((3, 9)), 5, short="shorten")
    np.testing.assert_array_equal(held(at_pace(windows, steps_of(1), 5, GENERATOR)), held(windows))


def test_a_drive_read_backwards_that_went_backwards_is_the_recorded_one():
    windows = Windows.of(traverse(), 4, either_way=True)
    reverse = replace(windows.mirrored(), backwards=True)
    np.testing.assert_array_equal(held(at_pace(reverse, steps_of(-1), 4, GENERATOR)), held(windows))


def test_random_paces_are_those_of_the_generator():
    windows = Windows.of(traverse(), 5)

    def losing(count, length, generator):
        return with_lost_frames(steady(np.ones(count), length), 1 / 3, generator)

    first, again, other = (held(at_pace(windows, losing, 5, np.random.default_rng(seed))) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_frames_that_are_made_when_asked_for_are_served_too():
    drive = fill_frames(traverse(unusable=(5, 6)), "previous", frozenset({"descriptors"}))
    twice = at_pace(at_pace(Windows.of(drive, 3), steps_of(1), 3, GENERATOR), steps_of(-1), 3, GENERATOR)
    assert held(twice)[5:9].tolist() == [[4, 4, 4], [7, 4, 4], [8, 7, 4], [9, 8, 7]]


def test_windows_of_several_drives_are_each_of_its_own():
    whole = replace(traverse(), joined=(Drive("day", 0, 12), Drive("dusk", 12, 12), Drive("night", 12, 32)))
    altered = at_pace(Windows.of(whole, 3, filter_length=3), steps_of(2), 3, GENERATOR)
    assert [(drive.name, drive.start, drive.stop) for drive in altered.traverse.drives] == [
        ("day", 0, 30),
        ("night", 30, 84),
    ]
    day, night = altered.traverse.parts
    assert day.drive_images == tuple(f"{number}.png" for number in range(12))
    assert night.drive_images == tuple(f"{number}.png" for number in range(12, 32))
    assert altered.by_drive == (slice(0, 10), slice(10, 28))


@pytest.mark.parametrize("by", ["running", "traverse"])
def test_adapted_frames_are_adapted_by_the_recorded_drive(by):
    split = Split("test", traverse(), traverse(), 1.0)
    adapted = Adaptation(by).of(split).query
    windows = Windows.of(adapted, 5)
    altered = at_pace(windows, steps_of(-2), 5, GENERATOR)
    frames = frames_at_pace(windows.rows, adapted.bounds, np.full(4, -2.0), 2)
    recorded = np.asarray(adapted.descriptors)
    np.testing.assert_allclose(altered.traverse.descriptors[altered.starts[:, None] + np.arange(5)], recorded[frames])


def test_a_drive_at_a_speed_is_one_of_steady_steps_and_at_1_the_recorded_one():
    windows = Windows.of(traverse(), 5)
    assert at_speed(windows, 1) is windows
    np.testing.assert_array_equal(held(at_speed(windows, 2)), held(at_pace(windows, steps_of(2), 5, GENERATOR)))
    frames, own = frames_at(windows, np.full((1, 4), 2.0))
    np.testing.assert_array_equal(held(at_speed(windows, 2)), frames)
    np.testing.assert_array_equal(frames[np.arange(len(windows)), own], windows.rows)
