"""Frames in recordings, videos and ROS bags, go by paths that lead into them: ``day.mp4/frame-000123``."""

from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Protocol

import numpy as np

from opticornet.datasets.bags import BAG_SUFFIXES, is_bag
from opticornet.datasets.images.bag import BagReader
from opticornet.datasets.images.decoding import BadImageError, decode, deep_pixels, from_pixels, is_deep
from opticornet.datasets.images.found import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from opticornet.datasets.images.video import VideoReader

OPENED = 4  # recordings that stay open


class RecordingReader(Protocol):
    """What reads frames of one recording."""

    def read(self, name: str) -> np.ndarray | bytes:
        """A frame: pixels uint8 or uint16, (H, W) or (H, W, 3) RGB; or a whole image file."""
        ...


def is_recording(path: Path) -> bool:
    """Whether a path is a video file or a bag."""
    return (path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()) or is_bag(path)


def recording_of(path: Path) -> Path | None:
    """The recording that a path leads into; None of a path to a file of its own."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return None
    return next((one for one in path.parents if _could_be(one) and is_recording(one)), None)


def frame_exists(path: Path) -> bool:
    """Whether a path is a file, or leads into a recording that is there."""
    return path.is_file() or recording_of(path) is not None


def read_image(
    path: Path, bayer: str = "", grey: bool = False, levels: tuple[float, float] | None = None
) -> np.ndarray:
    """As :func:`opticornet.datasets.images.decoding.decode`, also of a frame of a recording."""
    recording = recording_of(path)
    if recording is None:
        return decode(path, bayer, grey, levels)
    found = _opened(recording).read(_name(path, recording))
    if isinstance(found, bytes):
        return decode(BytesIO(found), bayer, grey, levels)
    return from_pixels(found, bayer, grey, levels)


def read_deep_pixels(path: Path) -> np.ndarray | None:
    """As :func:`opticornet.datasets.images.decoding.deep_pixels`, also of a frame of a recording."""
    recording = recording_of(path)
    if recording is None:
        return deep_pixels(path)
    if recording.suffix.lower() in VIDEO_SUFFIXES:  # of 8 bits
        return None
    try:
        found = _opened(recording).read(_name(path, recording))
    except BadImageError:
        return None
    if isinstance(found, bytes):
        return deep_pixels(BytesIO(found))
    return found if is_deep(found) else None


def _could_be(path: Path) -> bool:
    """Whether a look at the disk is worth it: a bag may also be a folder of any name."""
    return path.suffix.lower() in VIDEO_SUFFIXES | BAG_SUFFIXES or path.is_dir()


def _name(path: Path, recording: Path) -> str:
    return path.relative_to(recording).as_posix()


@lru_cache(OPENED)
def _opened(recording: Path) -> RecordingReader:
    return VideoReader(recording) if recording.suffix.lower() in VIDEO_SUFFIXES else BagReader(recording)
