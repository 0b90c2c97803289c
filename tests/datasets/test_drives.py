"""Several drives as one traverse: whose rows are served, that nothing is copied, and what cannot be joined."""

import mmap
from dataclasses import replace

import numpy as np
import pytest

from opticornet.datasets.drives import JoinedRows, frame_labels, join_drives, joined_rows
from opticornet.datasets.filling import fill_frames
from opticornet.datasets.traverse import Traverse
from opticornet.datasets.windows import Windows
from opticornet.utils.errors import UserError

RNG = np.random.default_rng(0)


def drive(name: str, count: int, **more) -> Traverse:
    values = RNG.standard_normal((count, 3)).astype(np.float32)
    made = Traverse(name, values, np.arange(float(count))[:, None], "frames", np.tile([0, count], (count, 1)))
    return replace(made, source=f"{name}.npy", **more)


def on_disk(folder, name: str, count: int) -> np.ndarray:
    np.save(folder / f"{name}.npy", RNG.standard_normal((count, 3)).astype(np.float32))
    return np.load(folder / f"{name}.npy", mmap_mode="r")


@pytest.mark.parametrize(
    "key",
    [
        slice(None),
        slice(2, 9),
        slice(3, 3),
        slice(1, 4),
        slice(0, 10, 3),
        slice(-2, None),
        slice(8, 1, -2),
        slice(3, 99),
    ],
)
def test_slices_are_those_of_the_whole_matrix(key):
    parts = [RNG.standard_normal((count, 3)).astype(np.float32) for count in (4, 1, 5)]
    rows = JoinedRows(parts)
    assert (rows.shape, len(rows), rows.dtype) == ((10, 3), 10, np.float32)
    assert np.array_equal(np.asarray(rows[key]), np.concatenate(parts)[key])
    assert len(rows[key]) == len(range(10)[key])


@pytest.mark.parametrize("key", [0, -1, np.array([9, 0, 4, 4]), np.array([[3, 4], [5, 0]]), np.zeros(0, int)])
def test_rows_are_read_in_any_order_and_shape(key):
    parts = [RNG.standard_normal((count, 2, 3)).astype(np.float32) for count in (4, 1, 5)]
    assert np.array_equal(JoinedRows(parts)[key], np.concatenate(parts)[key])


def test_a_row_that_is_not_there_is_an_error():
    rows = JoinedRows([np.zeros((4, 3)), np.zeros((2, 3))])
    for row in (6, -7):
        with pytest.raises(IndexError):
            rows[np.array([0, row])]


def test_what_lies_in_one_memory_map_stays_a_view_of_it(tmp_path):
    maps = [on_disk(tmp_path, name, 5) for name in ("a", "b")]
    part = JoinedRows(maps)[6:9]
    assert np.shares_memory(part, maps[1])
    base = part
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, mmap.mmap)
    assert isinstance(JoinedRows(maps)[3:8], JoinedRows)


def test_halves_and_singles_are_served_as_singles():
    rows = JoinedRows([np.ones((2, 3), np.float16), np.ones((2, 3), np.float32)])
    assert rows.dtype == rows[0].dtype == np.asarray(rows[1:3]).dtype == np.float32


def test_one_drive_is_itself():
    alone = drive("summer", 4)
    assert join_drives([alone], "here") is alone
    assert alone.parts == (alone,)
    assert [(one.name, one.start, one.stop) for one in alone.drives] == [("summer", 0, 4)]


def test_drives_follow_one_another_and_know_their_own_rows():
    both = join_drives([drive("summer", 9).cut(2, 6), drive("fall", 5).cut(1, 4)], "here")
    assert (both.name, len(both), both.source) == ("summer + fall", 7, "summer.npy, fall.npy")
    assert [(one.name, one.start, one.stop) for one in both.drives] == [("summer", 0, 4), ("fall", 4, 7)]
    assert both.bounds.tolist() == [[0, 4]] * 4 + [[4, 7]] * 3
    assert both.positions.ravel().tolist() == [2, 3, 4, 5, 1, 2, 3]
    assert both.drive_rows.tolist() == [2, 3, 4, 5, 1, 2, 3]
    assert both.drive_numbers.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert both.drive_bounds.tolist() == both.bounds.tolist()


def test_parts_are_the_drives_as_they_were():
    drives = [
        drive("summer", 4, images=tuple("abcd"), images_source="s", scored=np.arange(4) > 1),
        drive("fall", 3, images=tuple("efg"), images_source="f", scored=np.arange(3) > 0),
    ]
    for part, before in zip(join_drives(drives, "here").parts, drives, strict=True):
        assert np.array_equal(part.descriptors, before.descriptors)
        for name in ("name", "source", "images_source", "images", "first_row", "joined"):
            assert getattr(part, name) == getattr(before, name)
        for name in ("positions", "bounds", "scored"):
            assert np.array_equal(getattr(part, name), getattr(before, name))


def test_a_cut_of_several_drives_knows_which_are_in_it():
    both = join_drives([drive("summer", 4), drive("fall", 3), drive("spring", 2)], "here")
    cut = both.cut(2, 6)
    assert [(one.name, one.start, one.stop) for one in cut.drives] == [("summer", 0, 2), ("fall", 2, 4)]
    assert cut.drive_rows.tolist() == [2, 3, 0, 1]
    assert [one.name for one in both.cut(4, 6).drives] == ["fall"]
    assert np.array_equal(np.asarray(cut.descriptors), np.asarray(both.descriptors)[2:6])


def test_what_some_drives_have_is_filled_up_and_what_not_all_have_is_left_out():
    summer = drive("summer", 2, names=("a", "b"), timestamps=np.array([5.0, 6.0]), usable=np.array([True, False]))
    summer = replace(summer, lat_lon=np.zeros((2, 2)), local_features=np.zeros((2, 1, 3), np.float32))
    fall = drive("fall", 3, first_row=7)
    both = join_drives([summer, fall], "here")
    assert both.names == ("a", "b", "7", "8", "9")
    assert both.usable.tolist() == [True, False, True, True, True]
    assert both.timestamps[:2].tolist() == [5, 6]
    assert np.isnan(both.timestamps[2:]).all()
    assert both.scored is both.filled is both.lat_lon is both.local_features is both.images is None


def test_local_features_are_joined():
    some = [RNG.standard_normal((count, 2, 3)).astype(np.float32) for count in (2, 3)]
    both = join_drives([drive("a", 2, local_features=some[0]), drive("b", 3, local_features=some[1])], "here")
    assert np.array_equal(both.local_features[np.array([4, 0])], np.stack([some[1][2], some[0][0]]))


def test_drives_with_fewer_local_features_get_zero_rows():
    some = [RNG.standard_normal((count, rows, 3)).astype(np.float32) for count, rows in ((2, 4), (3, 2))]
    both = join_drives([drive("a", 2, local_features=some[0]), drive("b", 3, local_features=some[1])], "here")
    assert both.local_features.shape == (5, 4, 3)
    frames = both.local_features[np.array([4, 0])]
    assert np.array_equal(frames[0, :2], some[1][2])
    assert not frames[0, 2:].any()
    assert np.array_equal(frames[1], some[0][0])
    assert np.array_equal(both.cut(1, 4).local_features[np.array([0, 2])][:, :2], [some[0][1, :2], some[1][1]])


def test_local_features_of_other_dimensions_are_refused():
    drives = [drive(name, 2, local_features=np.zeros((2, 4, dims), np.float32)) for name, dims in (("a", 3), ("b", 5))]
    with pytest.raises(UserError, match="here: a has local features of 3 dimensions and b of 5; extract both"):
        join_drives(drives, "here")


def test_windows_stay_in_their_drive():
    both = join_drives([drive("summer", 4), drive("fall", 5)], "here")
    windows = Windows.of(both, 3)
    assert windows.starts.tolist() == [0, 0, 1, 1, 4, 4, 5, 6, 6]
    assert windows.by_drive == (slice(0, 4), slice(4, 9))
    assert [(part.traverse.name, part.starts.tolist()) for part in windows.parts] == [
        ("summer", [0, 0, 1, 1]),
        ("fall", [0, 0, 1, 2, 2]),
    ]
    with pytest.raises(UserError, match="above the shortest sequence of summer, which has 4"):
        Windows.of(both, 5)


def test_windows_over_the_ends_of_short_sequences_stay_in_their_drive():
    """Rows 2 and 3 of summer are a sequence of two: its windows of three reach back, not into fall."""
    summer = replace(drive("summer", 4), bounds=np.array([[0, 2], [0, 2], [2, 4], [2, 4]]))
    both = join_drives([summer, drive("fall", 4)], "here")
    assert Windows.of(both, 3, short="shorten").starts.tolist() == [0, 0, 1, 1, 4, 4, 5, 5]
    with pytest.raises(UserError, match="above the 4 frames of all of summer"):
        Windows.of(both, 5, short="shorten")


def test_frames_are_filled_from_their_own_drive():
    summer, fall = drive("summer", 3, usable=np.array([True, True, False])), drive("fall", 3)
    fall = replace(fall, usable=np.array([False, True, True]))
    filled = fill_frames(join_drives([summer, fall], "here"), "previous", frozenset({"descriptors"}))
    assert filled.filled.tolist() == [False, False, True, True, False, False]
    rows = np.asarray(filled.descriptors)
    assert np.array_equal(rows[2], summer.descriptors[1])
    assert np.array_equal(rows[3], fall.descriptors[1])


def test_tables_call_frames_of_equal_names_by_drive_and_name():
    summer, fall = drive("summer", 2, names=("a", "b")), drive("fall", 2, names=("b", "c"))
    assert frame_labels([summer]) == ("a", "b")
    assert frame_labels([summer, fall]) == ("summer/a", "summer/b", "fall/b", "fall/c")
    assert frame_labels([summer, replace(fall, names=("c", "d"))]) == ("a", "b", "c", "d")
    assert frame_labels([drive("summer", 2), drive("fall", 3)]) == 5
    assert joined_rows([summer, fall], [(1, 2), (0, 2)]).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "summer"}, "here: drive summer is named twice"),
        ({"descriptors": np.zeros((3, 5), np.float32)}, "here: summer has 3-D descriptors and fall 5-D"),
        ({"units": "metres"}, "here: summer and fall have positions of different kinds"),
        ({"positions": np.zeros((3, 2))}, "here: summer and fall have positions of different kinds"),
        (
            {"descriptors": None, "images": tuple("abc")},
            "here: fall has images only and summer descriptors only; give all drives descriptors or all of them images",
        ),
    ],
)
def test_drives_that_cannot_be_joined(change, message):
    with pytest.raises(UserError) as caught:
        join_drives([drive("summer", 4), replace(drive("fall", 3), **change)], "here")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_of_drives_with_images_the_one_without_descriptors_is_named():
    summer, fall = drive("summer", 1, images=("a",)), drive("fall", 1, images=("b",))
    both = join_drives([summer, replace(fall, descriptors=None, undescribed="extract fall.npy first")], "here")
    assert both.need_images() == ("a", "b")
    with pytest.raises(UserError, match=r"traverse fall has images only.*: extract fall\.npy first"):
        both.need_descriptors()
