"""Where images come from: a folder, a list of files, a video or a ROS bag."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from opticornet.datasets.bags import BAG_SUFFIXES, is_bag
from opticornet.datasets.images.bag import bag_frames
from opticornet.datasets.images.cropping import Crop
from opticornet.datasets.images.digest import digest_of, fingerprint
from opticornet.datasets.images.found import VIDEO_SUFFIXES, find_images
from opticornet.datasets.images.recordings import frame_exists, read_image, recording_of
from opticornet.datasets.images.video import open_video
from opticornet.datasets.labels import first_repeated
from opticornet.utils.errors import UserError
from opticornet.utils.text import read_lines


class ImageSource(Protocol):
    """Images in order. It can be pickled, so that decoding workers read from it.

    Attributes:
        names: of the images, unique: paths relative to the folder or list, ``frame-000123`` of a video.
        digest: SHA-256 (hex) that tells this set of images from another.
        max_workers: how many processes may usefully read from it at the same time.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def digest(self) -> str: ...

    @property
    def max_workers(self) -> int: ...

    def digest_of_first(self, count: int) -> str | None:
        """The digest that the first ``count`` images alone would have; None where that cannot be told."""
        ...

    def read(self, index: int, grey: bool = False) -> np.ndarray:
        """Decode image ``index``: uint8 (H, W, 3) RGB, or with ``grey`` its luma (H, W).

        Raises:
            BadImageError: it is empty, truncated, or not an image that is understood.
        """
        ...


def open_images(path: str | Path, fps: float | None = None, bayer: str = "", topic: str = "") -> ImageSource:
    """Open a folder (searched recursively), a ``.txt`` list of files, a video, or a ROS bag, by what ``path`` is.

    Args:
        path: see above.
        fps: frames per second to take from a video; None takes all.
        bayer: the pattern of raw frames that are to be turned into colour (``bayer.PATTERNS``); empty: none are raw.
        topic: of a bag; empty: the only one with images.

    Raises:
        UserError: nothing there, nothing readable, ``fps`` without a video, ``bayer`` with one, ``topic`` without a
            bag.
    """
    path = Path(path)
    is_video = path.suffix.lower() in VIDEO_SUFFIXES
    if not path.exists():
        raise UserError(f"no images at {path}: give `images` a folder, a list.txt or a video file that exists")
    if fps is not None and (path.is_dir() or not is_video):
        raise UserError(f"`fps` is for videos and {path} is none: leave it out")
    if bayer and path.is_file() and is_video:
        raise UserError(f"`bayer` is for image files of raw frames and {path} is a video: leave it out")
    if topic and not is_bag(path):
        raise UserError(f"`topic` is for ROS bags and {path} is none: leave it out")
    if is_bag(path):
        return ImageFiles(path, bag_frames(path, topic)[0], bayer)
    if path.is_dir():
        return ImageFiles(path, find_images(path), bayer)
    if is_video:
        return open_video(path, fps)
    if path.suffix.lower() == ".txt":
        return ImageFiles(path.parent, read_list(path), bayer)
    kinds = " ".join(sorted(VIDEO_SUFFIXES))
    bags = " ".join(sorted(BAG_SUFFIXES))
    raise UserError(f"{path} is neither a folder, nor a .txt list of images, nor a video ({kinds}), nor a bag ({bags})")


def read_list(path: Path) -> tuple[str, ...]:
    """Names in a list file, one per line, in its order; relative names start at the list's folder.

    Raises:
        UserError: the list is empty, is not text, repeats a name, or names files that do not exist.
    """
    names = read_lines(path, "one file name per line")
    missing = [name for name in names if not frame_exists(path.parent / name)]
    if missing:
        raise UserError(
            f"{path} names {len(missing)} file(s) that do not exist, first {missing[0]!r}: "
            f"names are taken relative to {path.parent}"
        )
    if twice := first_repeated(names):
        raise UserError(f"{path} names {twice!r} more than once: each image must have its own row")
    return tuple(names)


@dataclass(frozen=True)
class ImageFiles:
    """Image files below ``root``, or frames of recordings (``recordings.py``), decoded with ``bayer`` and ``levels``
    and cropped."""

    root: Path
    names: tuple[str, ...]
    bayer: str = ""
    levels: tuple[float, float] | None = None
    crop: Crop | None = None

    @cached_property
    def max_workers(self) -> int:
        """One where there is a recording, which is read from its beginning to its end."""
        return 1 if any(self._recordings) else 64

    @cached_property
    def digest(self) -> str:
        """Of names, sizes and a few bytes of each file (:func:`fingerprint`); asked for first, it reads them all."""
        places = zip(self.names, self._recordings, strict=True)
        return digest_of(f"{name}\t{recording or fingerprint(self.root / name)}" for name, recording in places)

    @cached_property
    def _recordings(self) -> tuple[str, ...]:
        """(N,) fingerprint of the recording that each image is in; empty where it is a file of its own."""
        found = [recording_of(self.root / name) for name in self.names]
        prints = {path: fingerprint(path) or path.name for path in set(found) if path is not None}
        return tuple("" if path is None else prints[path] for path in found)

    def digest_of_first(self, count: int) -> str:
        return ImageFiles(self.root, self.names[:count]).digest

    def read(self, index: int, grey: bool = False) -> np.ndarray:
        image = read_image(self.root / self.names[index], self.bayer, grey, self.levels)
        return image if self.crop is None else self.crop.of(image)


@dataclass(frozen=True)
class JoinedImages:
    """The images of several sources, one after the other, each decoded as its own source does."""

    sources: tuple[ImageFiles, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(name for source in self.sources for name in source.names)

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.cumsum([0, *(len(source.names) for source in self.sources)])[:-1]

    @property
    def max_workers(self) -> int:
        return min(source.max_workers for source in self.sources)

    @cached_property
    def digest(self) -> str:
        return digest_of(source.digest for source in self.sources)

    def digest_of_first(self, count: int) -> None:
        return None

    def read(self, index: int, grey: bool = False) -> np.ndarray:
        number = int(np.searchsorted(self._starts, index, "right")) - 1
        return self.sources[number].read(index - int(self._starts[number]), grey)
