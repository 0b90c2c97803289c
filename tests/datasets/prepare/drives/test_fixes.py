"""A drive of 40 rows, 5 m apart, with what receivers write when they have no fix."""

import numpy as np
import pytest

from opticornet.datasets.prepare.drives.fixes import fixes_of

XY, DEGREES = ("x", "y"), ("lat", "lon")


def drive(count=40, start=400_000.0):
    return np.stack([start + 5.0 * np.arange(count), np.full(count, 5e6)], axis=1)


def rows(mask):
    return np.flatnonzero(mask).tolist()


def test_a_drive_with_a_fix_everywhere():
    fixes = fixes_of(drive(), XY, 3)
    assert fixes.real.all()
    assert fixes.reasons() == []


def test_cells_without_a_number():
    positions = drive()
    positions[[3, 9], 1] = np.nan
    fixes = fixes_of(positions, XY, 3)
    assert rows(~fixes.real) == rows(fixes.empty) == [3, 9]
    assert fixes.reasons() == [(2, "without a number")]


def test_latitude_and_longitude_of_zero_are_no_fix_anywhere():
    degrees = np.stack([51 + 5e-5 * np.arange(40), np.full(40, -1.0)], axis=1)
    degrees[:6] = degrees[20] = 0
    assert rows(fixes_of(degrees, DEGREES, 3).at_zero) == [0, 1, 2, 3, 4, 5, 20]


@pytest.mark.parametrize("start", [400_000.0, 0.0])
def test_zeros_before_the_first_fix(start):
    positions = drive(start=start) - [0, 5e6]
    positions[:8] = 0
    fixes = fixes_of(positions, XY, 3)
    assert rows(fixes.at_zero) == list(range(8))
    assert fixes.reasons() == [(8, "at 0, 0 without a fix")]


def test_the_origin_of_a_map_is_a_place():
    positions = drive(start=0.0) - [0, 5e6]
    assert fixes_of(positions, XY, 3).real.all()
    standing_first = np.concatenate([np.zeros((5, 2)), positions])
    assert fixes_of(standing_first, XY, 3).real.all()
    passing = positions - [100, 0]
    assert passing[20].tolist() == [0, 0]
    assert fixes_of(passing, XY, 3).real.all()


def test_zeros_where_the_fix_is_lost():
    positions = drive()
    positions[10:13] = positions[38:] = 0
    assert rows(fixes_of(positions, XY, 3).at_zero) == [10, 11, 12, 38, 39]


def test_a_fix_that_froze_ends_in_a_jump():
    positions = drive()
    positions[10:25] = positions[10]
    fixes = fixes_of(positions, XY, 3)
    assert rows(fixes.frozen) == list(range(11, 25))
    assert fixes.reasons() == [(14, "of a frozen fix")]
    assert fixes_of(positions, XY, 15).real.all()
    assert fixes_of(positions, XY, 0).real.all()


def test_a_fix_that_froze_to_the_end_of_the_drive():
    positions = drive()
    positions[30:] = positions[30]
    assert rows(fixes_of(positions, XY, 3).frozen) == list(range(31, 40))


def test_a_car_that_stands_still_has_a_fix():
    moving = drive()
    standing = np.concatenate([moving[:20], np.tile(moving[20], (30, 1)), moving[20:]])
    assert fixes_of(standing, XY, 3).real.all()


def test_a_receiver_slower_than_the_camera_is_not_frozen():
    assert fixes_of(np.repeat(drive(), 10, axis=0), XY, 3).real.all()
    frozen = np.repeat(drive(), 10, axis=0)
    frozen[100:150] = frozen[100]
    assert rows(fixes_of(frozen, XY, 3).frozen) == list(range(101, 150))


def test_frozen_degrees():
    degrees = np.stack([51 + 5e-5 * np.arange(40), np.full(40, -1.0)], axis=1)
    degrees[10:25] = degrees[10]
    assert rows(fixes_of(degrees, DEGREES, 3).frozen) == list(range(11, 25))


def test_frame_numbers_may_be_zero_and_repeat():
    assert fixes_of(np.array([0, 0, 0, 0, 0, 7, 8, 9.0])[:, None], ("frame",), 3).real.all()
