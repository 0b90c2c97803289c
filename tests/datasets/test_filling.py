from dataclasses import replace

import numpy as np
import pytest
import torch

from opticornet.datasets.filling import fill_frames
from opticornet.datasets.frames import DescriptorFrames
from opticornet.datasets.traverse import Traverse
from opticornet.utils.errors import UserError

DESCRIPTORS = frozenset({"descriptors"})


def drive(usable: list[int], lengths: list[int] | None = None) -> Traverse:
    """Frames whose descriptors are their row numbers and 1; those that are not usable hold NaN."""
    mask = np.array(usable, bool)
    rows = np.stack([np.arange(len(mask)), np.ones(len(mask))], axis=1).astype(np.float32)
    rows[~mask] = np.nan
    stops = np.cumsum(lengths or [len(mask)])
    bounds = np.repeat(np.stack([stops - (lengths or [len(mask)]), stops], axis=1), lengths or [len(mask)], axis=0)
    return Traverse("drive", rows, np.arange(len(mask))[:, None] * 1.0, "frames", bounds, usable=mask)


def first_numbers(traverse: Traverse) -> list[float]:
    return np.asarray(traverse.descriptors)[:, 0].tolist()


def test_previous_takes_the_usable_frame_before_and_the_first_one_before_that():
    filled = fill_frames(drive([0, 1, 0, 0, 1]), "previous", DESCRIPTORS)
    assert first_numbers(filled) == [1, 1, 1, 1, 4]
    assert filled.filled.tolist() == [True, False, True, True, False]
    assert filled.usable.all()


def test_filling_stays_inside_a_sequence():
    filled = fill_frames(drive([1, 1, 0, 1], lengths=[2, 2]), "previous", DESCRIPTORS)
    assert first_numbers(filled) == [0, 1, 3, 3]


def test_interpolation_is_linear_in_rows_and_keeps_the_average_length():
    filled = fill_frames(drive([1, 0, 0, 1]), "interpolate", DESCRIPTORS)
    rows = np.asarray(filled.descriptors)
    expected = np.array([1.0, 1.0])  # a third of the way from (0, 1) to (3, 1)
    length = (2 * 1 + np.sqrt(10)) / 3
    np.testing.assert_allclose(rows[1], expected / np.linalg.norm(expected) * length, rtol=1e-6)
    np.testing.assert_array_equal(rows[[0, 3]], [[0, 1], [3, 1]])


def test_unusable_frames_of_a_sequence_without_others_stay_so():
    filled = fill_frames(drive([1, 1, 0, 0], lengths=[2, 2]), "previous", DESCRIPTORS)
    assert filled.usable.tolist() == [True, True, False, False]
    assert filled.filled.tolist() == [False] * 4
    assert first_numbers(filled) == [0, 1, 1, 1]  # to be looked at, never to be held by a window


def test_without_filling_a_usable_frame_stands_in_and_none_becomes_usable():
    left = fill_frames(drive([1, 0, 1]), "none", DESCRIPTORS)
    assert left.usable.tolist() == [True, False, True]
    assert left.filled is None
    assert first_numbers(left) == [0, 0, 2]


def test_filled_frames_are_read_in_rows_windows_and_cuts():
    filled = fill_frames(drive([1, 0, 1, 0, 1]), "interpolate", DESCRIPTORS)
    whole = np.asarray(filled.descriptors)
    frames = DescriptorFrames(filled.descriptors, torch.device("cpu"))
    np.testing.assert_array_equal(frames.rows(1, 4).numpy(), whole[1:4])
    np.testing.assert_array_equal(frames.windows(torch.tensor([0, 2]), 2).numpy(), whole[[[0, 1], [2, 3]]])
    np.testing.assert_array_equal(np.asarray(filled.cut(1, 4).descriptors), whole[1:4])
    np.testing.assert_array_equal(filled.descriptors[3], whole[3])


def test_images_are_filled_with_the_one_before():
    traverse = replace(drive([1, 0, 1]), descriptors=None, images=("a.png", "b.png", "c.png"))
    assert fill_frames(traverse, "previous", frozenset({"images"})).images == ("a.png", "a.png", "c.png")
    with pytest.raises(UserError, match="`fill_frames` interpolate mixes descriptors"):
        fill_frames(traverse, "interpolate", frozenset({"images"}))


def test_a_drive_of_unusable_frames_is_refused():
    with pytest.raises(UserError, match="none of its 2 frames is usable"):
        fill_frames(drive([0, 0]), "previous", DESCRIPTORS)
