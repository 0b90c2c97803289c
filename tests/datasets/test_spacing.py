import numpy as np

from opticornet.datasets.spacing import Steps, cut_at_jumps
from opticornet.datasets.traverse import Traverse


def drive(metres: list[float], lengths: list[int] | None = None) -> Traverse:
    lengths = lengths or [len(metres)]
    stops = np.cumsum(lengths)
    bounds = np.repeat(np.stack([stops - lengths, stops], axis=1), lengths, axis=0)
    positions = np.array(metres, np.float64)[:, None]
    return Traverse("drive", np.ones((len(metres), 2), np.float32), positions, "metres", bounds)


def test_steps_are_between_neighbours_of_a_sequence():
    steps = Steps.of(drive([0, 5, 10, 100, 105], lengths=[3, 2]))
    assert list(zip(steps.before, steps.after, steps.sizes, strict=True)) == [(0, 1, 5), (1, 2, 5), (3, 4, 5)]


def test_frames_of_unknown_position_share_the_step_over_them():
    steps = Steps.of(drive([0, 5, np.nan, np.nan, 20, 25]))
    assert steps.sizes.tolist() == [5, 15, 5]
    assert steps.per_frame.tolist() == [5, 5, 5]
    assert len(steps.jumps(0)) == 0


def test_jumps_are_above_five_median_steps_and_the_radius():
    steps = Steps.of(drive([0, 5, 10, 60, 65, 90, 95]))  # 50 and 25
    assert steps.jumps(10).sizes.tolist() == [50]
    assert steps.jumps(10).largest() == "50 (row 2 to 3)"
    assert len(steps.jumps(50)) == 0


def test_a_drive_that_mostly_stands_has_the_steps_of_when_it_moves():
    assert len(Steps.of(drive([0, 0, 0, 0, 4, 4, 4, 8, 8])).jumps(3)) == 0
    assert len(Steps.of(drive([1, 1, 1])).jumps(0)) == 0


def test_sequences_end_at_steps_above_a_limit():
    cut = cut_at_jumps(drive([0, 5, 60, 65, 70, 75], lengths=[4, 2]), 20)
    assert cut.bounds.tolist() == [[0, 2], [0, 2], [2, 4], [2, 4], [4, 6], [4, 6]]
