"""Drives that are videos or ROS bags."""

import struct

import numpy as np
import pytest

from opticornet.datasets.images.video import video_start
from opticornet.datasets.prepare.sources.folders import Folders
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


NS = 10**9
GREY = np.zeros((4, 6), np.uint8)


def bag(write_bag, path, kind, **more):
    """Images at 10 Hz, recorded 0.3 s late; fixes at 1 Hz, of which the first is none."""
    topics = {
        "/cam": [(T * NS + i * NS // 10 + 300_000_000, T * NS + i * NS // 10, "mono8", GREY) for i in range(20)],
        "/gps/fix": [(T * NS + i * NS, T * NS + i * NS, 48 + 1e-4 * i, 11.0, -1 if i < 0 else 0) for i in range(-1, 4)],
    }
    return write_bag(path, kind, topics | more)


@pytest.mark.parametrize("kind", ["bag", "db3", "mcap"])
def test_bags_with_images_and_fixes(tmp_path, write_bag, kind):
    for name in ("ref", "query"):
        bag(write_bag, tmp_path / name, kind)
    prepared = read(tmp_path)
    traverse = prepared.traverses[0]
    assert traverse.names[1] == f"cam/{T * NS + 400_000_000}"
    np.testing.assert_allclose(traverse.timestamps - T, 0.1 * np.arange(20), atol=1e-6)
    np.testing.assert_allclose(traverse.positions["lat"], 48 + 1e-5 * np.arange(20), atol=1e-9)
    assert prepared.notes[0].endswith("fix has 1 rows that it says are no fix")


def test_other_topics_of_positions(tmp_path, write_bag):
    odometry = [(T * NS + i * NS // 2, T * NS + i * NS // 2, 1.0 * i, 2.0 * i, 0.0) for i in range(5)]
    for name in ("ref", "query"):
        bag(write_bag, tmp_path / name, "mcap", **{"/odom": odometry})
    traverse = read(tmp_path, position_topic="/odom").traverses[0]
    np.testing.assert_allclose(traverse.positions["y"], 0.4 * np.arange(20), atol=1e-5)
    with pytest.raises(
        UserError, match="no topic /imu of NavSatFix or Odometry or PoseStamped; it has /gps/fix, /odom"
    ):
        read(tmp_path, position_topic="/imu")


def test_several_receivers_have_to_be_told_apart(tmp_path, write_bag):
    for name in ("ref", "query"):
        bag(write_bag, tmp_path / name, "bag", **{"/gps2": [(T * NS, T * NS, 48.0, 11.0, 0)]})
    with pytest.raises(UserError, match="2 topics of NavSatFix: /gps/fix, /gps2; give `position_topic`"):
        read(tmp_path)


def test_a_bag_beside_a_folder_of_images_holds_its_positions(tmp_path, write_bag):
    for name in ("ref", "query"):
        bag(write_bag, tmp_path / name, "bag")
        (tmp_path / name).mkdir()
        for i in range(20):
            (tmp_path / name / f"{T * NS + i * NS // 10}.png").touch()
    traverse = read(tmp_path).traverses[1]
    np.testing.assert_allclose(traverse.positions["lat"], 48 + 1e-5 * np.arange(20), atol=1e-9)


def test_a_file_beside_a_bag_goes_first_and_that_is_said(tmp_path, write_bag):
    for name in ("ref", "query"):
        bag(write_bag, tmp_path / name, "bag")
        write_gpx(tmp_path / f"{name}.gpx")
    prepared = read(tmp_path)
    np.testing.assert_allclose(prepared.traverses[0].positions["lat"], 48.0001 + 1e-5 * np.arange(20), atol=1e-9)
    assert "ref: positions are those of ref.gpx, not those in ref.bag" in prepared.notes
