import numpy as np
import pytest

from opticornet.datasets.traverse import Traverse
from opticornet.datasets.windows import Windows, inside, kept_ranges, window_starts
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


def test_table_of_positives_follows_the_filter():
    reference = Windows.of(traverse_of([7]), length=3, filter_length=3)  # keeps rows 1 to 5
    query = Windows.of(traverse_of([4]), length=3, filter_length=3)  # keeps rows 1 and 2
    table = np.array([[0, 1], [0, 2], [4, 7], [0, 7]])
    assert kept_ranges(table, reference, query).tolist() == [[0, 1], [3, 5]]
