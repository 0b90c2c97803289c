import pytest

from opticornet.datasets.prepare.tracks import read_track
from opticornet.utils.errors import UserError


def test_tum_and_kitti(tmp_path):
    (tmp_path / "a.tum").write_text("# time x y z q\n0.5 1 2 3 0 0 0 1\n1.5 4 5 6 0 0 0 1\n")
    track = read_track(tmp_path / "a.tum")
    assert track.columns == ("x", "y", "z")
    assert track.seconds.tolist() == [0.5, 1.5]
    assert track.positions.tolist() == [[1, 2, 3], [4, 5, 6]]
    (tmp_path / "b.tum").write_bytes(b"\xef\xbb\xbf0.5 1 2 3 0 0 0 1\r\n1.5 4 5 6 0 0 0 1\r\n")
    assert read_track(tmp_path / "b.tum").positions.tolist() == track.positions.tolist()
    (tmp_path / "a.txt").write_text("1 0 0 7 0 1 0 8 0 0 1 9\n")
    assert read_track(tmp_path / "a.txt").seconds is None
    assert read_track(tmp_path / "a.txt").positions.tolist() == [[7, 8, 9]]


def test_tum_in_nanoseconds_is_seen_and_what_is_uncertain_is_seconds_as_the_format_says(tmp_path):
    rows = [f"{1_403_636_579_763_555_584 + 5_000_000 * i}, {i}, 0, 0, 0, 0, 0, 1" for i in range(9)]
    (tmp_path / "a.tum").write_text("\n".join(rows))
    seconds = read_track(tmp_path / "a.tum").seconds
    assert abs(seconds[8] - 1_403_636_579.803555584) < 1e-6
    (tmp_path / "a.tum").write_text("\n".join(f"{5 * i} {i} 0 0 0 0 0 1" for i in range(9)))
    assert read_track(tmp_path / "a.tum").seconds.tolist() == [5.0 * i for i in range(9)]


@pytest.mark.parametrize("text", ["1 2 3\n", "1 2 3 4 5 6 7 8\n1 2\n", "a b c d e f g h\n", "", "nan 1 2 3 0 0 0 1\n"])
@pytest.mark.filterwarnings("error")
def test_bad_pose_files(tmp_path, text):
    (tmp_path / "a.tum").write_text(text)
    with pytest.raises(UserError, match=r"a\.tum: (cannot be read as a table|shape .* wanted 8 numbers per line)"):
        read_track(tmp_path / "a.tum")


def test_no_pose_file(tmp_path):
    for name in ("none.tum", "none.txt"):
        with pytest.raises(UserError, match="cannot be read as a table of poses"):
            read_track(tmp_path / name)
