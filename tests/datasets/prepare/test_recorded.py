"""Drives that are videos or ROS bags."""

import struct

import numpy as np
import pytest

from opticornet.datasets.images.video import video_start
from opticornet.datasets.prepare.folders import Folders
from opticornet.utils.errors import UserError

T = 1_600_000_000  # 2020-09-13T12:26:40Z
SINCE_1904 = T + 2_082_844_800
FRAMES, FPS = 20, 10


def write_video(path, created=SINCE_1904):
    """Two seconds that get brighter, and when they were created."""
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FPS, (64, 48))
    for value in range(FRAMES):
        writer.write(np.full((48, 64, 3), 10 * value, np.uint8))
    writer.release()
    if path.suffix == ".mp4":
        content = bytearray(path.read_bytes())
        at = content.index(b"mvhd") + 8  # behind version and flags
        content[at : at + 4] = struct.pack(">I", created)
        path.write_bytes(content)


def write_gpx(path, start=T - 1, count=5):
    points = (f'<trkpt lat="{48 + 1e-4 * i}" lon="11"><time>{iso(start + i)}</time></trkpt>' for i in range(count))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<gpx><trk><trkseg>{''.join(points)}</trkseg></trk></gpx>")


def iso(seconds):
    return np.datetime64(seconds, "s").item().isoformat() + "Z"


def read(root, **options):
    return Folders(**({"gap": 0, "fractions": (0, 0, 1)} | options)).read(root)


def test_when_a_video_began(tmp_path):
    write_video(tmp_path / "a.mp4")
    assert video_start(tmp_path / "a.mp4") == T
    write_video(tmp_path / "b.mp4", created=0)
    assert video_start(tmp_path / "b.mp4") is None
    write_video(tmp_path / "c.avi")
    assert video_start(tmp_path / "c.avi") is None
    whole = (tmp_path / "a.mp4").read_bytes()
    for stop in (0, 5, 30, len(whole) - 300):
        (tmp_path / "d.mp4").write_bytes(whole[:stop])
        assert video_start(tmp_path / "d.mp4") in (None, T)
    (tmp_path / "d.mp4").write_bytes(b"\0" * 64)
    assert video_start(tmp_path / "d.mp4") is None


@pytest.mark.parametrize("track", ["{}.gpx", "{}/track.gpx"])
def test_videos_are_joined_to_tracks_by_when_they_began(tmp_path, track):
    for name in ("ref", "query"):
        write_video(tmp_path / f"{name}.mp4")
        write_gpx(tmp_path / track.format(name))
    traverse = read(tmp_path).traverses[0]
    assert traverse.name == "ref"
    assert traverse.names[:2] == ("frame-000000", "frame-000001")
    assert traverse.images[1] == str(tmp_path / "ref.mp4" / "frame-000001")
    np.testing.assert_allclose(traverse.timestamps - T, 0.1 * np.arange(FRAMES), atol=2e-3)
    np.testing.assert_allclose(traverse.positions["lat"], 48.0001 + 1e-5 * np.arange(FRAMES), atol=1e-6)
    assert "at the times in ref.mp4, which began at 2020-09-13T12:26:40Z by its own clock; 20 of" in traverse.placed
    late = read(tmp_path, clock_offset=1.0).traverses[0]
    np.testing.assert_allclose(late.positions["lat"], 48.0002 + 1e-5 * np.arange(FRAMES), atol=1e-6)


def test_videos_that_do_not_say_when_they_began(tmp_path):
    for name in ("ref", "query"):
        write_video(tmp_path / f"{name}.mp4", created=0)
        write_gpx(tmp_path / f"{name}.gpx")
    with pytest.raises(UserError, match=r"ref\.mp4: does not say when it began.*; give `clock_offset`") as error:
        read(tmp_path)
    assert "\n" not in str(error.value)
    traverse = read(tmp_path, clock_offset=float(T)).traverses[0]
    np.testing.assert_allclose(traverse.timestamps - T, 0.1 * np.arange(FRAMES), atol=2e-3)


def test_videos_without_positions_keep_the_times_of_their_frames(tmp_path):
    for name in ("ref", "query"):
        write_video(tmp_path / f"{name}.mp4", created=0)
    traverse = read(tmp_path, fps=5.0).traverses[0]
    assert traverse.names[:3] == ("frame-000000", "frame-000002", "frame-000004")
    np.testing.assert_allclose(traverse.timestamps, 0.2 * np.arange(10), atol=2e-3)
    assert traverse.positions["frame"].tolist() == list(range(10))
    assert traverse.sequence_numbers().tolist() == [0] * 10


def test_a_table_places_frames_by_name(tmp_path):
    for name in ("ref", "query"):
        write_video(tmp_path / f"{name}.mp4")
        rows = [f"frame-{i:06d},{5 * i},0" for i in range(FRAMES)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["name,x,y", *rows[::-1]]))
    traverse = read(tmp_path).traverses[0]
    assert traverse.positions["x"].tolist() == [5.0 * i for i in range(FRAMES)]
    assert abs(traverse.timestamps[0] - T) < 1e-6


def test_what_holds_the_frames_is_certain(tmp_path):
    for name in ("ref", "query"):
        write_video(tmp_path / f"{name}.mp4")
    (tmp_path / "ref").mkdir()
    (tmp_path / "ref" / "0.jpg").touch()
    with pytest.raises(UserError, match=r"the folder ref and ref\.mp4 both hold frames of ref"):
        read(tmp_path)
    (tmp_path / "ref" / "0.jpg").unlink()
    write_video(tmp_path / "ref.avi")
    with pytest.raises(UserError, match=r"both ref\.avi and ref\.mp4 hold the frames of ref"):
        read(tmp_path)


@pytest.mark.parametrize("option", [{"fps": 2.0}, {"topic": "/cam"}, {"position_topic": "/fix"}])
def test_options_of_recordings_without_one(tmp_path, option):
    for name in ("ref", "query"):
        (tmp_path / name).mkdir()
        for i in range(20):
            (tmp_path / name / f"{i}.jpg").touch()
    with pytest.raises(UserError, match=f"`{next(iter(option))}` changes nothing"):
        read(tmp_path, **option)
