from pathlib import Path

import numpy as np
import pytest

from opticornet.datasets.prepare.trajectory import Trajectory, image_seconds, read_poses
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


def test_times_in_file_names():
    names = ["a/1418755480.5.png", "1418755480500.png", "1418755480500000.jpg", "1418755480500000000.jpg"]
    np.testing.assert_allclose(image_seconds(names, Path("d")), 1418755480.5, rtol=1e-15)
    assert image_seconds(["17.png", "0.25.png"], Path("d")).tolist() == [17, 0.25]
    for bad in ("x7", "nan", "1_000", "1e5", "1.2.3", "\u0663"):
        with pytest.raises(UserError, match=rf"d: the file name {bad} is no time"):
            image_seconds(["1.png", f"{bad}.png"], Path("d"))


def test_tum_and_kitti(tmp_path):
    (tmp_path / "a.tum").write_text("# time x y z q\n0.5 1 2 3 0 0 0 1\n1.5 4 5 6 0 0 0 1\n")
    seconds, positions = read_poses(tmp_path / "a.tum")
    assert seconds.tolist() == [0.5, 1.5]
    assert positions.tolist() == [[1, 2, 3], [4, 5, 6]]
    (tmp_path / "b.tum").write_bytes(b"\xef\xbb\xbf0.5 1 2 3 0 0 0 1\r\n1.5 4 5 6 0 0 0 1\r\n")
    assert read_poses(tmp_path / "b.tum")[1].tolist() == positions.tolist()
    (tmp_path / "a.txt").write_text("1 0 0 7 0 1 0 8 0 0 1 9\n")
    seconds, positions = read_poses(tmp_path / "a.txt")
    assert seconds is None
    assert positions.tolist() == [[7, 8, 9]]


@pytest.mark.parametrize("text", ["1 2 3\n", "1 2 3 4 5 6 7 8\n1 2\n", "a b c d e f g h\n", "", "nan 1 2 3 0 0 0 1\n"])
@pytest.mark.filterwarnings("error")
def test_bad_pose_files(tmp_path, text):
    (tmp_path / "a.tum").write_text(text)
    with pytest.raises(UserError, match=r"a\.tum: (cannot be read as a table|shape .* wanted 8 numbers per line)"):
        read_poses(tmp_path / "a.tum")


def test_no_pose_file(tmp_path):
    with pytest.raises(UserError, match="cannot be read as a table of poses"):
        read_poses(tmp_path / "none.tum")
