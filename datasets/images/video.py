"""Frames of a video as images."""

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from opticornet.datasets.images.decoding import BadImageError, to_grey
from opticornet.datasets.images.digest import digest_of, fingerprint
from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra

if TYPE_CHECKING:
    import cv2

FROM_1904_TO_1970_S = 2_082_844_800
FRAME_PREFIX = "frame-"
_INHERITED: list[
    "cv2.VideoCapture"
] = []  # of the process this one was forked from: closing waits for threads it has not
ROUNDING_S = 1e-3  # containers give times in milliseconds


def open_video(path: Path, fps: float | None) -> "VideoFrames":
    """Choose the frames of a video: all, or the first at or after each multiple of 1 / ``fps`` seconds.

    A video with fewer frames per second than that gives all.

    The file is read through once: the frame count in a container's header is often wrong.

    Raises:
        UserError: it cannot be opened, holds no frame, ``fps`` is not positive, or its frames have no times.
    """
    if fps is not None and not fps > 0:
        raise UserError(f"`fps` {fps:g}: wanted more than 0 frames per second")
    capture = _open_capture(path)
    if capture is None:
        raise UserError(f"cannot open the video {path}: it is damaged or its codec is unknown")
    import cv2

    chosen, times, count, last_tick, first, seconds = [], [], 0, -1, 0.0, 0.0
    while capture.grab():
        seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000  # a frame's own time: the rate of a phone's video varies
        first = first if count else seconds
        tick = count if fps is None else int((seconds - first + ROUNDING_S) * fps)
        if tick > last_tick:
            chosen.append(count)
            times.append(seconds)
            last_tick = tick
        count += 1
    capture.release()
    if fps is not None and count > 1 and not seconds > first:
        raise UserError(f"the video {path} does not say when its frames were taken: leave out `fps`, which takes all")
    if not chosen:
        raise UserError(f"the video {path} has no frames that can be decoded")
    return VideoFrames(path, tuple(chosen), tuple(times))


def video_start(path: Path) -> float | None:
    """When a video began, seconds since 1970, as an MP4 or QuickTime file says of itself; None where it does not.

    It is the clock of the camera. Some cameras write when the recording ended, or local time instead of UTC.
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            movie = _box(file, b"moov", 0, size)
            header = movie and _box(file, b"mvhd", *movie)
            if not header:
                return None
            file.seek(header[0])
            version = file.read(4)[0]
            (created,) = struct.unpack(">Q", file.read(8)) if version else struct.unpack(">I", file.read(4))
    except (OSError, struct.error, IndexError):
        return None
    return created - FROM_1904_TO_1970_S if created > FROM_1904_TO_1970_S else None


def _box(file: BinaryIO, kind: bytes, start: int, stop: int) -> tuple[int, int] | None:
    """Where the content of the first box of a kind begins and ends, within ``[start, stop)`` of an MP4 file."""
    while start + 8 <= stop:
        file.seek(start)
        size, found = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            (size,), head = struct.unpack(">Q", file.read(8)), 16
        size = size or stop - start
        if size < head:
            return None
        if found == kind:
            return start + head, min(start + size, stop)
        start += size
    return None


def _open_capture(path: Path) -> "cv2.VideoCapture | None":
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # errors are reported in one line of our own
    with needs_extra("images"):
        import cv2

    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    return capture if capture.isOpened() else None


@dataclass(frozen=True)
class VideoFrames:
    """Frames ``chosen`` (indices in the video, increasing), decoded in one pass: reading backwards starts again.

    ``seconds`` are theirs, since the video began.
    """

    path: Path
    chosen: tuple[int, ...]
    seconds: tuple[float, ...]
    names: tuple[str, ...] = field(init=False)
    digest: str = field(init=False)
    max_workers: int = field(init=False, default=1)
    _cursor: "VideoCursor" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(f"{FRAME_PREFIX}{frame:06d}" for frame in self.chosen))
        size = f"{self.path.name}\t{fingerprint(self.path)}"
        object.__setattr__(self, "digest", digest_of([size, *self.names]))
        object.__setattr__(self, "_cursor", VideoCursor(self.path))

    def digest_of_first(self, count: int) -> None:
        """A longer video is another file."""

    def read(self, index: int, grey: bool = False) -> np.ndarray:
        image = self._cursor.read(self.chosen[index])
        return to_grey(image) if grey else image


class VideoReader:
    """Reads frames of a video by their names."""

    def __init__(self, path: Path) -> None:
        self._cursor = VideoCursor(path)

    def read(self, name: str) -> np.ndarray:
        """(H, W, 3) RGB.

        Raises:
            BadImageError: no such frame, or it cannot be decoded.
        """
        number = name.removeprefix(FRAME_PREFIX)
        if number == name or not number.isdecimal():
            raise BadImageError(f"frames of a video are called {FRAME_PREFIX}000123")
        return self._cursor.read(int(number))


class VideoCursor:
    """A position in a video. A copy made by pickling starts at the beginning."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.owner: int | None = None  # the process that opened the capture
        self.capture: cv2.VideoCapture | None = None
        self.next_frame = 0

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        return VideoCursor, (self.path,)

    def read(self, frame: int) -> np.ndarray:
        import cv2

        if self.capture is not None and self.owner != os.getpid():
            _INHERITED.append(self.capture)
        if self.capture is None or self.owner != os.getpid() or frame < self.next_frame:
            self.capture, self.owner, self.next_frame = _open_capture(self.path), os.getpid(), 0
            if self.capture is None:
                raise BadImageError(f"the video {self.path} can no longer be opened")
        while self.next_frame <= frame:
            if not self.capture.grab():
                raise BadImageError(f"the video {self.path} ends before frame {frame}")
            self.next_frame += 1
        decoded, image = self.capture.retrieve()
        if not decoded:
            raise BadImageError(f"frame {frame} of the video {self.path} cannot be decoded")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
