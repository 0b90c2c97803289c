"""Images in ROS bags: frames named after their topic and the time they were recorded, ``camera/image_raw/<ns>``."""

import os
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from opticornet.datasets.bags import Bag, Message, open_bag
from opticornet.datasets.images.bayer import demosaic
from opticornet.datasets.images.decoding import BadImageError
from opticornet.datasets.labels import first_repeated
from opticornet.utils.errors import UserError

RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
# Encoding to channels, type, and how colour is made of it.
ENCODINGS: dict[str, tuple[int, str, str]] = {
    "rgb8": (3, "u1", "rgb"),
    "bgr8": (3, "u1", "bgr"),
    "8UC3": (3, "u1", "bgr"),
    "rgba8": (4, "u1", "rgb"),
    "bgra8": (4, "u1", "bgr"),
    "8UC4": (4, "u1", "bgr"),
    "mono8": (1, "u1", ""),
    "8UC1": (1, "u1", ""),
    "mono16": (1, "u2", ""),
    "16UC1": (1, "u2", ""),
    "32FC1": (1, "f4", ""),
    **{
        f"bayer_{pattern}{bits}": (1, f"u{bits // 8}", pattern)
        for pattern in ("rggb", "bggr", "grbg", "gbrg")
        for bits in (8, 16)
    },
}


def image_topic(bag: Bag, topic: str) -> str:
    """The topic of images to take.

    Raises:
        UserError: there is none, or several and ``topic`` is empty, or ``topic`` is none of them.
    """
    if found := bag.chosen_topic((RAW, COMPRESSED), topic, "topic"):
        return found
    raise UserError(f"{bag.path}: no topic with images (sensor_msgs/Image or CompressedImage)")


def bag_frames(path: Path, topic: str = "") -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the images of a topic in a bag, and their stamps: (N,) float64 seconds.

    Raises:
        UserError: the bag cannot be read, see also :func:`image_topic`.
    """
    with open_bag(path) as bag:
        chosen = image_topic(bag, topic)
        stamps = list(bag.stamps(chosen))
    names = tuple(f"{chosen[1:]}/{recorded}" for recorded, _ in stamps)
    if twice := first_repeated(names):
        raise UserError(f"{path}: two images were recorded at the same time, {twice}; filter the bag to one of them")
    return names, np.array([stamp for _, stamp in stamps], np.float64) * 1e-9


class BagReader:
    """The images of one bag; those that follow one another are read in one pass."""

    def __init__(self, path: Path) -> None:
        self._path, self._owner = path, os.getpid()
        self._stack = ExitStack()
        self._bag: Bag | None = None
        self._pass: Iterator[Message] = iter(())
        self._topic, self._last = "", 0

    def read(self, name: str) -> np.ndarray | bytes:
        """A frame: pixels uint8 or uint16, (H, W) or (H, W, 3) RGB; or a whole image file.

        Raises:
            BadImageError: no such frame, or an encoding that is not known.
        """
        topic, _, recorded = name.rpartition("/")
        wanted = int(recorded)
        if f"/{topic}" != self._topic or wanted <= self._last or self._owner != os.getpid():
            self._start(f"/{topic}", wanted)
        try:
            message = next((one for one in self._pass if one.recorded >= wanted), None)
        except Exception as error:  # a damaged chunk
            raise BadImageError(" ".join(str(error).split()) or type(error).__name__) from error
        if message is None or message.recorded != wanted:
            raise BadImageError(f"the bag has no image of {recorded} on /{topic}")
        self._last = wanted
        return _pixels(message.content)

    def _start(self, topic: str, since: int) -> None:
        bag = self._bag
        if bag is None or self._owner != os.getpid():
            self._stack, self._owner = ExitStack(), os.getpid()
            try:
                bag = self._bag = self._stack.enter_context(open_bag(self._path))
                weakref.finalize(self, self._stack.close)  # before Python takes its modules down
            except UserError as error:
                raise BadImageError(str(error)) from error
        self._pass, self._topic = bag.messages(topic, since), topic


def _pixels(image: Any) -> np.ndarray | bytes:
    if hasattr(image, "format"):  # CompressedImage
        return image.data.tobytes()
    if image.encoding not in ENCODINGS:
        raise BadImageError(f"its encoding {image.encoding} is not known; known are {', '.join(ENCODINGS)}")
    channels, kind, colours = ENCODINGS[image.encoding]
    dtype = np.dtype(kind).newbyteorder(">" if image.is_bigendian else "<")
    width = image.width * channels * dtype.itemsize
    if image.step < width or len(image.data) < image.step * image.height or not image.height * image.width:
        raise BadImageError(f"{len(image.data)} bytes for {image.width} x {image.height} of {image.encoding}")
    rows = image.data[: image.step * image.height].reshape(image.height, image.step)[:, :width]
    pixels = np.ascontiguousarray(rows).view(dtype).reshape(image.height, image.width, channels)
    pixels = pixels.astype(dtype.newbyteorder("="))
    if channels == 1:
        return demosaic(pixels[..., 0], colours) if colours else pixels[..., 0]
    return np.ascontiguousarray(pixels[..., 2::-1] if colours == "bgr" else pixels[..., :3])
