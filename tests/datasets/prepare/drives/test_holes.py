import numpy as np
import pytest

from opticornet.datasets.prepare.drives.holes import inside, sequences_of


def cut(names, positions=None, kept=None, labels=None, max_hole=0, max_step_ratio=5.0):
    kept = np.arange(len(names)) if kept is None else np.array(kept)
    positions = np.arange(len(names)) * 5.0 if positions is None else np.array(positions, float)
    labels = np.zeros(len(names), int) if labels is None else np.array(labels)
    return sequences_of(tuple(names), kept, labels[kept], positions[kept][:, None], max_hole, max_step_ratio)


def starts(sequences):
    """Where sequences begin, but for the first."""
    return (np.flatnonzero(np.diff(sequences.numbers)) + 1).tolist()


NUMBERED = [f"{i:06}.png" for i in range(40)]


def test_nothing_missing():
    found = cut(NUMBERED)
    assert (starts(found), found.holes, found.jumps) == ([], 0, 0)


@pytest.mark.parametrize(("max_hole", "ends"), [(0, [20]), (8, [20]), (9, [])])
def test_frames_that_are_left_out_end_a_sequence(max_hole, ends):
    found = cut(NUMBERED, kept=[*range(20), *range(29, 40)], max_hole=max_hole)
    assert starts(found) == ends
    assert found.holes == len(ends)
    assert found.jumps == 0  # the 50 m step over nine frames is 5 m per frame


@pytest.mark.parametrize(("max_hole", "ends"), [(0, [20]), (8, [20]), (9, [])])
def test_frames_that_are_missing_in_the_names_end_a_sequence(max_hole, ends):
    names = [f"left_{i}.png" for i in (*range(20), *range(29, 49))]
    assert starts(cut(names, positions=[5.0 * i for i in (*range(20), *range(29, 49))], max_hole=max_hole)) == ends


@pytest.mark.parametrize("scale", [33_333_333, 0.1, 1])
def test_missing_times(scale):
    jitter = np.random.default_rng(0).uniform(-0.04, 0.04, 100)
    times = [(1_700_000_000 + i + jitter[i]) * scale for i in range(100) if i not in (40, 41, 70)]
    names = [f"{time:.3f}.png" if scale < 1e3 else f"{time:.0f}.png" for time in times]
    found = cut(names)
    assert (starts(found), found.holes) == ([40, 68], 2)
    assert starts(cut(names, max_hole=1)) == [40]


def test_times_of_the_day():
    names = [f"20240131_{h:02}{m:02}{s:02}.jpg" for h in (22, 23) for m in (58, 59) for s in range(60)]
    assert starts(cut(names, max_step_ratio=0)) == [120]


def test_keyframes_and_names_without_numbers_have_no_missing_numbers():
    rng = np.random.default_rng(1)
    numbers = np.cumsum(rng.integers(1, 6, 50))
    assert starts(cut([f"{n}.png" for n in numbers])) == []
    numbers[25:] += 100
    assert starts(cut([f"{n}.png" for n in numbers])) == [25]
    assert starts(cut([f"{n}.png" for n in numbers], max_step_ratio=0)) == []
    assert starts(cut([f"{name:x}.png" for name in rng.integers(1 << 40, 1 << 44, 50)])) == []


def test_a_jump_in_positions_ends_a_sequence():
    positions = 5.0 * np.arange(40)
    positions[15:] += 45.0  # a step of 50 m among steps of 5
    found = cut([f"{i}x{i}.png" for i in range(40)], positions)
    assert (starts(found), found.jumps) == ([15], 1)
    assert starts(cut(NUMBERED, positions, max_step_ratio=10)) == []
    assert starts(cut(NUMBERED, positions, max_step_ratio=0)) == []


def test_driving_faster_is_no_jump():
    steps = np.concatenate([np.full(60, 2.0), np.linspace(2, 30, 8), np.full(20, 30.0), np.zeros(10), np.full(10, 2.0)])
    assert starts(cut([f"{i}.png" for i in range(109)], np.concatenate([[0], np.cumsum(steps)]))) == []


def test_sequences_that_change_are_no_jumps():
    positions = [*range(20), *range(1000, 1020)]
    found = cut([f"{run}/{i}.png" for run in "ab" for i in range(20)], positions, labels=[0] * 20 + [1] * 20)
    assert (starts(found), found.jumps, found.holes) == ([20], 0, 0)


def test_what_lies_between_known_rows_of_one_sequence():
    known = np.array([0, 1, 0, 0, 1, 0, 1, 0], bool)
    assert np.flatnonzero(inside(known, np.zeros(8))).tolist() == [2, 3, 5]
    assert np.flatnonzero(inside(known, np.array([0, 0, 9, 9, 0, 9, 1, 1]))).tolist() == [2, 3]
