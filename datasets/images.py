"""Where images come from: a folder, a list of files or a video; and how one is decoded."""

import hashlib
import os
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from utils.errors import UserError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm"})


class BadImageError(Exception):
    """One image that cannot be decoded; the message says why, without the name."""


class ImageSource(Protocol):
    """Images in order. It can be pickled, so that decoding workers read from it.

    Attributes:
        names: of the images, unique: paths relative to the folder or list, ``frame-000123`` of a video.
        digest: SHA-256 (hex) that tells this set of images from another.
        max_workers: how many processes may usefully read from it at the same time.
    """

    names: tuple[str, ...]
    digest: str
    max_workers: int

    def read(self, index: int) -> np.ndarray:
        """Decode image ``index``: uint8 (H, W, 3) RGB.

        Raises:
            BadImageError: it is empty, truncated, or not an image that is understood.
        """
        ...


def open_images(path: str | Path, fps: float | None = None) -> ImageSource:
    """Open a folder (searched recursively), a ``.txt`` list of files, or a video, by what ``path`` is.

    ``fps`` is how many frames a second to take from a video; None takes all.

    Raises:
        UserError: nothing there, nothing readable, or ``fps`` given where there is no video.
    """
    path = Path(path)
    is_video = path.suffix.lower() in VIDEO_SUFFIXES
    if not path.exists():
        raise UserError(f"no images at {path}: give --images a folder, a list.txt or a video file that exists")
    if fps is not None and (path.is_dir() or not is_video):
        raise UserError(f"--fps is for videos and {path} is none: leave it out")
    if path.is_dir():
        return ImageFiles(path, find_images(path))
    if is_video:
        return open_video(path, fps)
    if path.suffix.lower() == ".txt":
        return ImageFiles(path.parent, read_list(path))
    kinds = " ".join(sorted(VIDEO_SUFFIXES))
    raise UserError(f"{path} is neither a folder, nor a .txt list of images, nor a video ({kinds})")


def natural_key(name: str) -> tuple[list[list[tuple[int, int, str]]], str]:
    """Sort key by which ``a2.png`` comes before ``a10.png``, folder by folder; equal numbers go by spelling."""
    folders = [
        [(0, int(token), "") if token.isdecimal() else (1, 0, token) for token in re.split(r"(\d+)", part) if token]
        for part in name.split("/")
    ]
    return folders, name


def find_images(folder: Path) -> tuple[str, ...]:
    """Names of all images below ``folder``, relative to it, in natural order. Hidden files are left out.

    Raises:
        UserError: a folder cannot be read, or there is no image.
    """
    def stop(error: OSError) -> None:
        raise UserError(f"cannot read the folder {error.filename}: {error.strerror}; check its permissions") from error

    names, seen = [], set()
    for current, folders, files in os.walk(folder, followlinks=True, onerror=stop):
        real = os.path.realpath(current)
        if real in seen:  # a link back up
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = os.path.relpath(current, folder)
        names += [name if relative == "." else f"{relative}/{name}".replace(os.sep, "/") for name in files
                  if not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES]
    if not names:
        raise UserError(f"no images in {folder}: wanted files ending in {' '.join(sorted(IMAGE_SUFFIXES))}")
    return tuple(sorted(names, key=natural_key))


def read_list(path: Path) -> tuple[str, ...]:
    """Names in a list file, one a line, in its order; relative names start at the list's folder.

    Raises:
        UserError: the list is empty, is not text, repeats a name, or names files that do not exist.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the list {path}: {error}") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise UserError(f"no images in {path}: wanted one file name a line")
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing:
        raise UserError(f"{path} names {len(missing)} file(s) that do not exist, first {missing[0]!r}: "
                        f"names are taken relative to {path.parent}")
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise UserError(f"{path} names {twice!r} more than once: each image must have its own row")
    return tuple(names)


@dataclass(frozen=True)
class ImageFiles:
    """Image files below ``root``. The digest covers names and sizes in bytes, not pixels."""

    root: Path
    names: tuple[str, ...]
    digest: str = field(init=False)
    max_workers: int = field(init=False, default=64)

    def __post_init__(self) -> None:
        lines = (f"{name}\t{(self.root / name).stat().st_size}" for name in self.names)
        object.__setattr__(self, "digest", _digest(lines))

    def read(self, index: int) -> np.ndarray:
        return decode(self.root / self.names[index])


def decode(path: Path) -> np.ndarray:
    """Decode an image file to uint8 (H, W, 3) RGB, turned upright by its EXIF orientation.

    Grey is repeated, palettes are looked up, an alpha channel is dropped, 16 bits are scaled to 8.

    Raises:
        BadImageError: empty, truncated, unknown format, or pixels without a known range (32-bit).
    """
    from PIL import Image, ImageOps

    try:
        if path.stat().st_size == 0:
            raise BadImageError("the file is empty")
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")  # odd metadata is no reason to disturb the progress line
            ImageOps.exif_transpose(image, in_place=True)
            if image.mode.startswith("I"):
                return _from_16_bits(np.asarray(image))
            if image.mode == "F":
                raise BadImageError("floating-point pixels have no known range; convert it to 8 or 16 bits")
            if image.mode == "P" and "transparency" in image.info:
                image = image.convert("RGBA")
            return np.array(image if image.mode == "RGB" else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).replace(str(path), "the file").split())
        raise BadImageError(reason or type(error).__name__) from error


def _from_16_bits(grey: np.ndarray) -> np.ndarray:
    if grey.max(initial=0) > 65535 or grey.min(initial=0) < 0:
        raise BadImageError("32-bit pixels have no known range; convert it to 8 or 16 bits")
    eight = ((grey.astype(np.uint32) + 128) // 257).astype(np.uint8)  # 65535 -> 255, rounded
    return np.repeat(eight[..., None], 3, axis=2)


def open_video(path: Path, fps: float | None) -> "VideoFrames":
    """Choose the frames of a video: all, or the first at or after each multiple of 1 / ``fps`` seconds.

    The file is gone through once: the frame count in a container's header is often wrong.

    Raises:
        UserError: it cannot be opened, holds no frame, or ``fps`` is not positive.
    """
    if fps is not None and not fps > 0:
        raise UserError(f"--fps {fps:g}: wanted more than 0 frames a second")
    capture = _open_capture(path)
    if capture is None:
        raise UserError(f"cannot open the video {path}: it is damaged or its codec is unknown")
    import cv2

    chosen, count, due = [], 0, 0.0
    rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
    while capture.grab():
        if fps is None or count / rate >= due - 1e-6:
            chosen.append(count)
            due = 0.0 if fps is None else due + max(1, round((count / rate - due) * fps)) / fps
        count += 1
    capture.release()
    if not chosen:
        raise UserError(f"the video {path} has no frames that can be decoded")
    return VideoFrames(path, tuple(chosen))


def _open_capture(path: Path) -> Any:
    import cv2

    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    return capture if capture.isOpened() else None


@dataclass(frozen=True)
class VideoFrames:
    """Frames ``chosen`` (indices in the video, increasing), decoded in one pass: reading backwards starts anew."""

    path: Path
    chosen: tuple[int, ...]
    names: tuple[str, ...] = field(init=False)
    digest: str = field(init=False)
    max_workers: int = field(init=False, default=1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(f"frame-{frame:06d}" for frame in self.chosen))
        size = f"{self.path.name}\t{self.path.stat().st_size}"
        object.__setattr__(self, "digest", _digest([size, *self.names]))
        object.__setattr__(self, "_cursor", _Cursor(self.path))

    def read(self, index: int) -> np.ndarray:
        return self._cursor.read(self.chosen[index])


class _Cursor:
    """A position in a video. A copy made by pickling starts at the beginning."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.owner = self.capture = None
        self.next_frame = 0

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        return _Cursor, (self.path,)

    def read(self, frame: int) -> np.ndarray:
        import cv2

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


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()
