from pathlib import Path

import numpy as np
import pytest

from opticornet.datasets.prepare.tracks.trajectory import Trajectory
from opticornet.utils.errors import UserError


def test_positions_between_poses_and_which_are_known():
    drive = Trajectory.of(Path("p"), np.array([4.0, 0.0, 1.0, 1.0]), np.array([[8.0, 1], [0, 5], [2, 3], [9, 9]]))
    positions, known = drive.at(np.array([-0.1, 0.0, 0.5, 1.0, 2.0, 2.5, 3.5, 4.0, 4.1]), 1.0)
    assert known.tolist() == [False, True, True, True, True, False, True, True, False]
    np.testing.assert_allclose(positions[known], [[0, 5], [1, 4], [2, 3], [4, 7 / 3], [7, 4 / 3], [8, 1]])


def test_a_lone_pose():
    positions, known = Trajectory.of(Path("p"), np.array([2.0]), np.array([[7.0]])).at(np.array([1.0, 2.0]), 5.0)
    assert known.tolist() == [False, True]
    assert positions[1].tolist() == [7.0]


def test_times_that_do_not_overlap():
    drive = Trajectory.of(Path("p.tum"), np.array([0.0, 9.0]), np.zeros((2, 1)))
    for times in ([10.0, 11.0], [4.0, 5.0]):  # after the drive, and in a hole of it
        with pytest.raises(UserError, match=r"timestamps do not overlap: images from .* poses of p\.tum from 0\.000"):
            drive.at(np.array(times), 1.0)
