"""From an image file to pixels."""

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np

from opticornet.datasets.images.bayer import demosaic
from opticornet.utils.extras import needs_extra

DEEP = ("I", "F")  # how Pillow's modes of 16 bits, 32 bits and floating point begin


class BadImageError(Exception):
    """One image that cannot be decoded; the message says why, without the name."""


def decode(
    path: Path | BytesIO, bayer: str = "", grey: bool = False, levels: tuple[float, float] | None = None
) -> np.ndarray:
    """Decode an image file, or its bytes, to uint8 (H, W, 3) RGB, or with ``grey`` to its luma (H, W), turned upright
    by its EXIF orientation.

    Grey is repeated, palettes are looked up, an alpha channel is dropped. Deep pixels (16 bits, 32 bits, floating
    point) are scaled so that ``levels`` (low, high) become 0 and 255; without them, so that 16 bits do. With ``bayer``
    (one of ``bayer.PATTERNS``) the image is a raw frame, one colour per pixel, of which colour is made. Of a JPEG only
    luma is decoded where that is all that is wanted: a third of the work. Pillow warns of odd metadata; see
    :func:`without_warnings`.

    Raises:
        BadImageError: empty, truncated, unknown format, 32-bit or floating-point pixels without ``levels``, or a raw
            frame that is none.
    """
    with needs_extra("images"):
        from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        if not (path.getbuffer().nbytes if isinstance(path, BytesIO) else path.stat().st_size):
            raise BadImageError("the file is empty")
        with Image.open(path) as image:
            if bayer:
                pixels = _from_raw(np.asarray(image), bayer, levels)
                return to_grey(pixels) if grey else pixels
            if grey and image.format == "JPEG":
                image.draft("L", image.size)
            ImageOps.exif_transpose(image, in_place=True)
            if image.mode.startswith(DEEP):
                pixels = _to_8_bits(np.asarray(image), levels)
                return pixels if grey else np.repeat(pixels[..., None], 3, axis=2)
            has_alpha = image.mode == "P" and "transparency" in image.info
            looked_up = image.convert("RGBA") if has_alpha else image
            mode = "L" if grey and looked_up.mode == "L" else "RGB"
            pixels = np.array(looked_up if looked_up.mode == mode else looked_up.convert(mode))
            return to_grey(pixels) if grey and mode == "RGB" else pixels
    except UnidentifiedImageError as error:
        raise BadImageError("not an image") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).replace(str(path), "the file").split())
        raise BadImageError(reason or type(error).__name__) from error


def from_pixels(
    pixels: np.ndarray, bayer: str = "", grey: bool = False, levels: tuple[float, float] | None = None
) -> np.ndarray:
    """As :func:`decode`, of pixels that are there: (H, W) or (H, W, 3) RGB, of 8 bits or deep.

    Raises:
        BadImageError: deep pixels without ``levels`` that are no 16 bits, or a raw frame that is none.
    """
    if bayer:
        pixels = _from_raw(pixels, bayer, levels)
    if is_deep(pixels):
        pixels = _to_8_bits(pixels, levels)
    if pixels.ndim == 2:
        return pixels if grey else np.repeat(pixels[..., None], 3, axis=2)
    return to_grey(pixels) if grey else pixels


def is_deep(pixels: np.ndarray) -> bool:
    """Whether pixels have more than 8 bits."""
    return pixels.dtype != np.uint8


def is_flat(image: np.ndarray) -> bool:
    """Whether an image, uint8 (H, W, 3) or (H, W), has no contrast: each channel deviates by less than a grey level."""
    with needs_extra("images"):
        import cv2

    some_rows = cv2.meanStdDev(image[::8])[1]
    return bool(some_rows.max() < 1 and cv2.meanStdDev(image)[1].max() < 1)


def without_warnings() -> warnings.catch_warnings:
    """Silence Pillow's warnings of odd metadata while images are decoded.

    Around the whole loop over images, in its own thread: what it sets holds for all threads of the process.
    """
    return warnings.catch_warnings(action="ignore")


def to_grey(image: np.ndarray) -> np.ndarray:
    """Luma of Rec. 601, the grey that JPEG stores: uint8 (H, W, 3) RGB -> uint8 (H, W)."""
    with needs_extra("images"):
        import cv2

    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def deep_pixels(path: Path | BytesIO) -> np.ndarray | None:
    """The pixels of an image of 16 bits or more as the file has them, (H, W); None of another, or where it cannot be
    decoded."""
    with needs_extra("images"):
        from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image) if image.mode.startswith(DEEP) else None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        return None


def _to_8_bits(pixels: np.ndarray, levels: tuple[float, float] | None) -> np.ndarray:
    if levels is None:
        return ((_as_16_bits(pixels).astype(np.uint32) + 128) // 257).astype(np.uint8)  # 65535 -> 255, rounded
    low, high = levels
    scaled = (np.nan_to_num(pixels.astype(np.float32), nan=low) - low) * (255 / (high - low))
    return (np.clip(scaled, 0, 255) + 0.5).astype(np.uint8)


def _as_16_bits(pixels: np.ndarray) -> np.ndarray:
    """uint16, of the machine's byte order; Pillow gives 16 bits in several ways."""
    if pixels.dtype.kind == "f":
        raise BadImageError("floating-point pixels have no known range; convert it to 8 or 16 bits")
    if pixels.max(initial=0) > 65535 or pixels.min(initial=0) < 0:
        raise BadImageError("32-bit pixels have no known range; convert it to 8 or 16 bits")
    return pixels.astype(np.uint16)


def _from_raw(pixels: np.ndarray, bayer: str, levels: tuple[float, float] | None) -> np.ndarray:
    if pixels.ndim != 2 or pixels.dtype.kind not in "iu" or min(pixels.shape) < 2:
        raise BadImageError("it is no raw frame, which has one channel of 8 or 16 bits; leave out `bayer`")
    if pixels.dtype == np.uint8:
        return demosaic(pixels, bayer)
    return _to_8_bits(demosaic(_as_16_bits(pixels), bayer), levels)
