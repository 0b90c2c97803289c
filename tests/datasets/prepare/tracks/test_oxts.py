import numpy as np
import pytest

from opticornet.datasets.prepare.tracks import read_track
from opticornet.utils.errors import UserError


def oxts(folder, packets, times=None):
    (folder / "data").mkdir(parents=True)
    for number, (lat, lon) in enumerate(packets):
        (folder / "data" / f"{number:010d}.txt").write_text(" ".join(map(str, [lat, lon, *[0.5] * 28])))
    times = len(packets) if times is None else times
    lines = [f"2011-09-26 13:02:{25 + i // 10}.{i % 10}64389445" for i in range(times)]
    (folder / "timestamps.txt").write_text("\n".join(lines))


def test_packets_at_their_times(tmp_path):
    oxts(tmp_path / "oxts", [(49.0 + 1e-5 * i, 8.4) for i in range(12)])
    track = read_track(tmp_path / "oxts")
    assert track.columns == ("lat", "lon")
    np.testing.assert_allclose(track.positions, [(49.0 + 1e-5 * i, 8.4) for i in range(12)])
    np.testing.assert_allclose(track.seconds - 1_317_042_145.064389, 0.1 * np.arange(12), atol=1e-6)


def test_what_is_missing_is_one_line(tmp_path):
    oxts(tmp_path / "a", [(49, 8)] * 3, times=2)
    with pytest.raises(UserError, match=r"a: 3 packets in data, 2 times in timestamps\.txt"):
        read_track(tmp_path / "a")
    oxts(tmp_path / "b", [(49, 8)] * 3)
    (tmp_path / "b" / "data" / "0000000001.txt").write_text("49 8")
    with pytest.raises(UserError, match=r"0000000001\.txt: fewer than 30 numbers"):
        read_track(tmp_path / "b")
    (tmp_path / "b" / "data" / "0000000001.txt").write_text("x " * 30)
    with pytest.raises(UserError, match="a packet that holds no numbers"):
        read_track(tmp_path / "b")
    (tmp_path / "b" / "timestamps.txt").unlink()
    with pytest.raises(UserError, match="cannot be read as KITTI's oxts"):
        read_track(tmp_path / "b")
