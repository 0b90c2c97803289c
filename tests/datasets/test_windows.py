from dataclasses import replace

import numpy as np
import pytest

from opticornet.datasets.traverse import Traverse
from opticornet.datasets.windows import Windows, inside, window_starts
from opticornet.utils.errors import UserError


def traverse_of(lengths: list[int]) -> Traverse:
    stops = np.cumsum(lengths)
    bounds = np.repeat(np.stack([stops - lengths, stops], axis=1), lengths, axis=0)
    count = int(stops[-1])
    return Traverse("drive", np.eye(count, 4, dtype=np.float32), np.arange(count)[:, None] * 1.0, "frames", bounds)


def test_windows_are_seqnets(shared):
    """Every (number of frames, length, frame) of the golden table."""
    golden = np.load(shared / "golden" / "seqnet" / "sequence_windows.npz")
    table = dict(zip(golden["columns"].tolist(), golden["table"].T, strict=True))
    bounds = np.stack([np.zeros_like(table["n"]), table["n"]], axis=1)
    for length in np.unique(table["seqL"]).tolist():
        rows = (table["seqL"] == length) & (table["n"] >= length)
        starts = window_starts(table["index"][rows], bounds[rows], length)
        np.testing.assert_array_equal(starts, table["first"][rows])
        np.testing.assert_array_equal(starts + length - 1, table["last"][rows])


def test_filter_drops_the_frames_whose_golden_window_is_cut(shared):
    golden = np.load(shared / "golden" / "seqnet" / "sequence_windows.npz")
    table = dict(zip(golden["columns"].tolist(), golden["table"].T, strict=True))
    for count, length in set(zip(table["n"].tolist(), table["seqL"].tolist(), strict=True)):
        rows = (table["n"] == count) & (table["seqL"] == length)
        kept = np.zeros(count, bool)
        kept[table["index"][rows]] = table["lenDiff"][rows] == 0
        np.testing.assert_array_equal(inside(np.tile([0, count], (count, 1)), length), kept)


def test_window_is_shifted_back_inside_its_own_sequence():
    bounds = traverse_of([4, 6]).bounds
    starts = window_starts(np.arange(10), bounds, 3)
    assert starts.tolist() == [0, 0, 1, 1, 4, 4, 5, 6, 7, 7]


def test_windows_take_only_the_frames_that_pass_the_filter():
    windows = Windows.of(traverse_of([2, 5]), length=3, filter_length=3)
    assert windows.rows.tolist() == [3, 4, 5]
    assert windows.starts.tolist() == [2, 3, 4]
    assert windows.positions.ravel().tolist() == [3.0, 4.0, 5.0]


@pytest.mark.parametrize(
    ("length", "starts"), [(3, [0, 0, 1, 1, 4, 4, 5, 6, 7, 7]), (4, [0, 0, 0, 0, 4, 4, 5, 6, 6, 6])]
)
def test_mirrored_windows_are_those_of_the_drive_the_other_way(length, starts):
    """By hand: one of even length has a frame more behind its own frame, not before it."""
    windows = Windows.of(traverse_of([4, 6]), length).mirrored()
    assert windows.starts.tolist() == starts
    turned = Windows.of(traverse_of([6, 4]), length)  # frame i is frame 9 - i here
    assert windows.starts.tolist() == (10 - length - turned.starts[::-1]).tolist()
    assert windows.mirrored().starts.tolist() == Windows.of(traverse_of([4, 6]), length).starts.tolist()
    assert windows.with_length(2).starts.tolist() == Windows.of(traverse_of([4, 6]), 2).mirrored().starts.tolist()


def test_length_above_a_sequence_is_refused():
    with pytest.raises(
        UserError, match=r"`sequence_length` 3 is above the shortest sequence of drive, which has 2 frames"
    ):
        Windows.of(traverse_of([2, 5]), length=3)


def test_filter_that_leaves_nothing_is_refused():
    with pytest.raises(UserError, match=r"`filter_length` 6 leaves no frame of drive"):
        Windows.of(traverse_of([2, 5]), length=3, filter_length=6)


def test_trailing_windows_end_at_their_frame_and_are_moved_forward_at_a_sequences_start():
    windows = Windows.of(traverse_of([4, 6]), length=3, rule="trailing")
    assert windows.starts.tolist() == [0, 0, 0, 1, 4, 4, 4, 5, 6, 7]


def test_filter_of_trailing_windows_drops_the_first_frames_of_each_sequence():
    windows = Windows.of(traverse_of([2, 5]), length=2, filter_length=3, rule="trailing")
    assert windows.rows.tolist() == [4, 5, 6]
    assert windows.starts.tolist() == [3, 4, 5]


def test_windows_of_scored_frames_hold_all_frames():
    scored = np.arange(20) % 10 == 5
    windows = Windows.of(replace(traverse_of([20]), scored=scored), length=5)
    assert windows.rows.tolist() == [5, 15]
    assert windows.starts.tolist() == [3, 13]


def test_frames_of_unknown_position_are_seen_and_not_scored():
    traverse = traverse_of([6])
    traverse.positions[2] = np.nan
    windows = Windows.of(traverse, length=3)
    assert windows.rows.tolist() == [0, 1, 3, 4, 5]
    assert windows.starts.tolist() == [0, 0, 2, 3, 3]
    assert len(Windows.of(traverse, length=3, need_positions=False)) == 6


def test_windows_that_hold_an_unusable_frame_are_dropped_and_counted():
    traverse = replace(traverse_of([10]), usable=np.arange(10) != 4)
    windows = Windows.of(traverse, length=3)
    assert windows.rows.tolist() == [0, 1, 2, 6, 7, 8, 9]
    assert windows.unusable == 3


def test_frames_keep_only_what_a_longer_window_can_use_where_one_will_be_asked_for():
    traverse = replace(traverse_of([12]), usable=np.arange(12) != 2)
    windows = Windows.of(traverse, length=1, longest=5)
    assert windows.rows.tolist() == [5, 6, 7, 8, 9, 10, 11]
    assert windows.with_length(5, "rerank_length").starts.tolist() == [3, 4, 5, 6, 7, 7, 7]
    with pytest.raises(UserError, match=r"`rerank_length` 5: windows of drive would hold unusable frames"):
        Windows.of(traverse, length=1).with_length(5, "rerank_length")


def test_short_sequences_are_dropped_on_request():
    windows = Windows.of(traverse_of([2, 5, 3]), length=4, short="drop")
    assert windows.rows.tolist() == [2, 3, 4, 5, 6]
    assert windows.too_short == 5


def test_short_sequences_reach_over_their_ends_as_seqnets_on_request():
    """Frames before the middle of a window begin with their sequence, the others end with it, within the traverse."""
    windows = Windows.of(traverse_of([3, 9, 3]), length=5, short="shorten")
    assert windows.starts.tolist() == [0, 0, 0, 3, 3, 3, 4, 5, 6, 7, 7, 7, 10, 10, 10]


@pytest.mark.parametrize(
    ("traverse", "options", "message"),
    [
        (replace(traverse_of([4]), scored=np.zeros(4, bool)), {}, "no frame of drive is both scored and of known"),
        (
            replace(traverse_of([4]), usable=np.zeros(4, bool)),
            {},
            "every window of 3 frames of drive holds an unusable",
        ),
        (traverse_of([2, 2]), {"short": "drop"}, "no sequence of drive has 3 frames"),
        (traverse_of([2]), {"short": "shorten"}, "`sequence_length` 3 is above the 2 frames of all of drive"),
    ],
)
def test_windows_that_no_frame_has_are_refused(traverse, options, message):
    with pytest.raises(UserError, match=message):
        Windows.of(traverse, 3, **options)


def test_a_cut_keeps_what_is_known_of_its_frames():
    flags = {name: np.arange(6) % 2 == 0 for name in ("scored", "usable", "filled")}
    cut = replace(traverse_of([6]), **flags).cut(1, 4)
    assert [getattr(cut, name).tolist() for name in flags] == [[False, True, False]] * 3


@pytest.mark.parametrize("rule", ["centred", "trailing"])
@pytest.mark.parametrize("seed", range(5))
def test_windows_hold_their_frame_no_unusable_one_and_stay_in_their_sequence(rule, seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(5, 30, 6).tolist()
    count = sum(lengths)
    traverse = replace(traverse_of(lengths), usable=rng.random(count) > 0.05, scored=rng.random(count) > 0.3)
    windows = Windows.of(traverse, 5, rule=rule)
    held = windows.starts[:, None] + np.arange(5)
    assert (held == windows.rows[:, None]).any(axis=1).all()
    assert traverse.usable[held].all()
    assert (traverse.bounds[held] == traverse.bounds[windows.rows][:, None]).all()
    low, high = windows.surroundings.T
    assert all(traverse.usable[a:b].all() for a, b in zip(low, high, strict=True))
    assert len(windows) + windows.unusable == traverse.scored.sum()
