"""Drives that are recordings, a video or a ROS bag: their frames, when they were taken, and positions in the bag."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from opticornet.datasets.bags import Bag, is_bag, open_bag
from opticornet.datasets.images.bag import bag_frames
from opticornet.datasets.images.found import FoundImages
from opticornet.datasets.images.recordings import is_recording
from opticornet.datasets.images.video import open_video, video_start
from opticornet.datasets.prepare.drives.image_times import Taken
from opticornet.datasets.prepare.tracks.track import Track
from opticornet.utils.errors import UserError

FIX, POSES = "sensor_msgs/msg/NavSatFix", ("nav_msgs/msg/Odometry", "geometry_msgs/msg/PoseStamped")


@dataclass(frozen=True)
class Recording:
    """A drive that is one file, or a folder that is a bag.

    Attributes:
        path: of it.
        frames: their names, as files in it.
        taken: when.
        track: positions in a bag; None: there are none.
    """

    path: Path
    frames: FoundImages
    taken: Taken
    track: Track | None = None


def recordings_in(root: Path) -> dict[str, Path]:
    """Name of the drive to the recording, of all in a folder.

    Raises:
        UserError: two recordings have the same name but for the suffix.
    """
    found: dict[str, Path] = {}
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or not is_recording(path):
            continue
        name = path.name if path.is_dir() else path.stem
        if name in found:
            raise UserError(f"{root}: both {found[name].name} and {path.name} hold the frames of {name}; keep one")
        found[name] = path
    return found


def read_recording(path: Path, fps: float | None, topic: str, position_topic: str) -> Recording:
    """The frames of a recording.

    Args:
        fps: frames per second of a video to take; None: all.
        topic: images of a bag; empty: the only ones.
        position_topic: positions in a bag; empty: the only NavSatFix there is.

    Raises:
        UserError: it cannot be read, or a topic has to be chosen.
    """
    if not is_bag(path):
        return _video(path, fps)
    names, seconds = bag_frames(path, topic)
    taken = Taken(seconds, f"the stamps of {path.name}", dated=True)
    return Recording(path, _found(names), taken, bag_track(path, position_topic))


def bag_track(path: Path, topic: str) -> Track | None:
    """Positions in a bag: NavSatFix, or Odometry and PoseStamped if ``topic`` names one of those; None without any.

    Raises:
        UserError: several topics of NavSatFix and ``topic`` is empty, or ``topic`` is none with positions; no fix.
    """
    with open_bag(path) as bag:
        return _track_of(bag, topic)


def _track_of(bag: Bag, topic: str) -> Track | None:
    types = (FIX, *POSES) if topic else (FIX,)
    chosen = bag.chosen_topic(types, topic, "position_topic")
    if not chosen:
        return None
    kind = bag.topics(types)[chosen]
    messages = list(bag.messages(chosen))
    seconds = np.array([message.stamp for message in messages], np.float64) * 1e-9
    path = bag.path / chosen[1:]
    if kind == FIX:
        degrees = np.array([(one.content.latitude, one.content.longitude) for one in messages], np.float64)
        status = np.array([one.content.status.status for one in messages])
        degrees[status < 0] = np.nan
        return Track.of(path, ("lat", "lon"), degrees, seconds, np.asarray(np.isfinite(degrees).all(axis=1)))
    poses = [one.content.pose.pose if kind == POSES[0] else one.content.pose for one in messages]
    metres = np.array([(pose.position.x, pose.position.y, pose.position.z) for pose in poses], np.float64)
    return Track.of(path, ("x", "y", "z"), metres, seconds, np.asarray(np.isfinite(metres).all(axis=1)))


def _video(path: Path, fps: float | None) -> Recording:
    video, start = open_video(path, fps), video_start(path)
    seconds = np.array(video.seconds)
    if start is None:
        return Recording(path, _found(video.names), Taken(seconds, path.name, dated=False))
    began = datetime.fromtimestamp(start, UTC).isoformat().replace("+00:00", "Z")
    source = f"{path.name}, which began at {began} by its own clock"
    return Recording(path, _found(video.names), Taken(start + seconds, source, dated=True))


def _found(names: tuple[str, ...]) -> FoundImages:
    return FoundImages(names, {}, (), ())
