"""Adapted descriptors: values by hand, and the same numbers however rows are asked for."""

import tracemalloc

import numpy as np
import pytest
import torch

from opticornet.datasets.adapting.rows import STEP, AdaptedRows, ByOwnMean, ByRunningMean, RunningMean
from opticornet.datasets.adapting.statistics import Statistics, statistics_of
from opticornet.datasets.frames import DescriptorFrames

FRAMES, DIMS = 3 * STEP + 17, 5


def drive(seed: int = 0, dtype: type = np.float32) -> np.ndarray:
    """Frames of another mean and spread in each dimension."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((FRAMES, DIMS)) * [0.1, 1, 1, 2, 30] + [5, -3, 0, 1, 9]).astype(dtype)


def begun(scale: bool) -> Statistics:
    rng = np.random.default_rng(9)
    return Statistics(rng.standard_normal(DIMS), rng.random(DIMS) if scale else None, np.int64(70))


def running(rows: np.ndarray, scale: bool = False, enters: np.ndarray | None = None) -> AdaptedRows:
    enters = np.ones(len(rows), bool) if enters is None else enters
    return AdaptedRows(rows, [0], [ByRunningMean(rows, enters, begun(scale))])


def own(rows: np.ndarray, scale: bool = False) -> AdaptedRows:
    return AdaptedRows(rows, [0], [ByOwnMean(statistics_of(rows, np.ones(len(rows), bool), scale))])


def test_a_running_mean_by_hand():
    mean = RunningMean(Statistics(np.array([1.0]), None, np.int64(9)), frames=2)
    frames = np.array([[4.0], [10.0]], np.float32)
    np.testing.assert_array_equal(mean.add(frames[0]), [4 - 6 / 3])  # (2 x 1 + 4) / 3
    np.testing.assert_array_equal(mean.add(frames[1]), [10 - 16 / 4])  # (2 x 1 + 4 + 10) / 4


def test_a_running_deviation_by_hand():
    """Of one dimension the floor is a tenth of its own deviation."""
    mean = RunningMean(Statistics(np.array([0.0]), np.array([4.0]), np.int64(9)), frames=2)
    assert mean.add(np.array([3.0], np.float32)) == np.float32((3 - 1) / (1.1 * np.sqrt(8 / 3)))
    variance = (2 * 4 + (3 - 5) ** 2 + (7 - 5) ** 2) / 4  # around the frames' own mean
    assert mean.add(np.array([7.0], np.float32)) == np.float32((7 - 2.5) / (1.1 * np.sqrt(variance)))


@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_rows_are_the_same_to_the_bit_however_they_are_asked_for(scale, dtype):
    rows = drive(dtype=dtype)
    adapted = running(rows, scale)
    one_by_one = RunningMean(begun(scale))
    expected = np.stack([one_by_one.add(frame) for frame in rows])
    assert expected.dtype == adapted.dtype == np.float32
    np.testing.assert_array_equal(np.asarray(adapted), expected)
    for size in (1, 7, STEP, STEP + 1):
        parts = [np.asarray(adapted[start : start + size]) for start in range(0, FRAMES, size)]
        np.testing.assert_array_equal(np.concatenate(parts), expected)
    shuffled = np.random.default_rng(1).integers(0, FRAMES, 400)
    np.testing.assert_array_equal(adapted[shuffled], expected[shuffled])
    np.testing.assert_array_equal(adapted[-1], expected[-1])
    np.testing.assert_array_equal(adapted[10:300][50:60][np.array([[1, 0]])], expected[60:70][[[1, 0]]])


def test_an_own_mean_does_not_depend_on_the_blocks_either(tmp_path):
    rows = drive()
    expected = (rows - rows.astype(np.float64).mean(axis=0)).astype(np.float32)
    np.save(tmp_path / "d.npy", rows)
    mapped = own(np.load(tmp_path / "d.npy", mmap_mode="r"))
    np.testing.assert_allclose(np.asarray(mapped), expected, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(mapped), np.asarray(own(rows)))
    np.testing.assert_array_equal(mapped[np.arange(FRAMES)[::-1]], np.asarray(own(rows))[::-1])


def test_scaled_frames_have_the_spread_of_the_formula():
    rows = drive().astype(np.float64)
    deviation = rows.std(axis=0)
    expected = (rows - rows.mean(axis=0)) / (deviation + 0.1 * np.sqrt(np.square(deviation).mean()))
    np.testing.assert_allclose(np.asarray(own(drive(), scale=True)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [False, True])
def test_frames_that_are_all_the_same_become_zeros(scale):
    rows = np.full((40, 3), 0.1, np.float32)
    np.testing.assert_allclose(np.asarray(own(rows, scale)), 0, atol=1e-7)
    assert np.isfinite(np.asarray(running(np.full((40, DIMS), 0.1, np.float32), scale))).all()


@pytest.mark.parametrize("scale", [False, True])
def test_what_comes_later_changes_no_running_frame_and_every_own_one(scale):
    rows, other = drive(), drive()
    other[200:] += 3
    np.testing.assert_array_equal(running(rows, scale)[np.arange(200)], running(other, scale)[np.arange(200)])
    np.testing.assert_array_equal(np.asarray(running(rows[:200], scale)), running(rows, scale)[np.arange(200)])
    assert (own(rows, scale)[np.arange(200)] != own(other, scale)[np.arange(200)]).any(axis=1).all()


@pytest.mark.parametrize("scale", [False, True])
def test_frames_that_are_not_usable_or_hold_nan_enter_no_mean(scale):
    rows, enters = drive(), np.ones(FRAMES, bool)
    enters[[0, 130]] = False
    rows[0], rows[7], rows[200] = 1e6, np.nan, np.inf
    good = enters & np.isfinite(rows).all(axis=1)
    np.testing.assert_array_equal(running(rows, scale, enters)[np.flatnonzero(good)], running(rows[good], scale)[:])
    one_by_one = RunningMean(begun(scale))
    adapted = np.stack([one_by_one.add(frame, usable) for frame, usable in zip(rows, enters, strict=True)])
    np.testing.assert_array_equal(np.asarray(running(rows, scale, enters)), adapted)
    without = statistics_of(rows, enters, scale)
    np.testing.assert_allclose(without.mean, rows[good].astype(np.float64).mean(axis=0))
    assert without.count == good.sum()


def test_each_drive_begins_anew():
    first, second = drive(1), drive(2)
    both = np.concatenate([first, second])
    by = [ByRunningMean(rows, np.ones(FRAMES, bool), begun(False)) for rows in (first, second)]
    joined = AdaptedRows(both, [0, FRAMES], by)
    expected = np.concatenate([np.asarray(running(rows)) for rows in (first, second)])
    np.testing.assert_array_equal(np.asarray(joined), expected)
    around = np.array([FRAMES + 3, FRAMES - 2, 5, FRAMES])
    np.testing.assert_array_equal(joined[around], expected[around])


@pytest.mark.parametrize("wanted", [[1, 2], [FRAMES + 4], [2 * FRAMES - 1, FRAMES], []])
def test_rows_of_some_drives_only_are_read(wanted):
    rows, enters = drive(), np.ones(FRAMES, bool)
    base = np.concatenate([rows, drive(1)])
    adapted = AdaptedRows(base, [0, FRAMES], [ByRunningMean(part, enters, begun(False)) for part in (rows, drive(1))])
    np.testing.assert_array_equal(adapted[np.array(wanted, int)], np.asarray(adapted)[wanted])


def test_a_source_of_frames_serves_adapted_rows_and_windows():
    frames = DescriptorFrames(running(drive()), torch.device("cpu"))
    whole = np.asarray(running(drive()))
    np.testing.assert_array_equal(frames.rows(100, 300).numpy(), whole[100:300])
    np.testing.assert_array_equal(frames.windows(torch.tensor([0, 140]), 2).numpy(), whole[[[0, 1], [140, 141]]])


def test_an_array_cannot_be_had_without_a_copy():
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(running(drive()), copy=False)


@pytest.mark.parametrize("scale", [False, True])
def test_little_is_held_of_a_long_drive(tmp_path, scale):
    count, dims = 40_000, 64
    np.save(tmp_path / "d.npy", np.random.default_rng(0).standard_normal((count, dims), dtype=np.float32))
    mapped = np.load(tmp_path / "d.npy", mmap_mode="r")
    begin = Statistics(np.zeros(dims), np.ones(dims) if scale else None, np.int64(1))
    tracemalloc.start()
    adapted = AdaptedRows(mapped, [0], [ByRunningMean(mapped, np.ones(count, bool), begin)])
    for start in range(0, count, 1000):
        np.asarray(adapted[start : start + 1000])
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 0.2 * mapped.nbytes
    assert peak < 0.5 * mapped.nbytes
