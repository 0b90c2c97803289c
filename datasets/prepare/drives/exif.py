"""What photographs say of themselves: when and where they were taken."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from opticornet.utils.extras import needs_extra

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".tif", ".tiff", ".webp")
SAMPLE = 32  # images that are opened to see whether any has something to say
_EXIF, _GPS = 0x8769, 0x8825  # the directories
_TAKEN, _DIGITIZED = 0x9003, 0x9004
_OFFSETS, _FRACTION = (0x9011, 0x9010), 0x9291
_LAT_REF, _LAT, _LON_REF, _LON, _GPS_TIME, _GPS_STATUS, _GPS_DATE = 1, 2, 3, 4, 7, 9, 29
NOTHING = (np.nan, False, np.nan, np.nan)


@dataclass(frozen=True)
class Exif:
    """Of N images; NaN where one does not say.

    Attributes:
        seconds: (N,) float64 since 1970.
        zoned: whether every time there is has a time zone; times without one are taken as UTC.
        degrees: (N, 2) float64 latitude and longitude.
    """

    seconds: np.ndarray
    zoned: bool
    degrees: np.ndarray


def read_exif(paths: Sequence[str]) -> Exif | None:
    """EXIF of images; None where none of a sample has a time or a position, so that others need not be opened.

    Photographs are JPEG, TIFF or WebP files; others are not opened.
    """
    if not any(map(_is_photo, paths)):
        return None
    with needs_extra("images"):
        import PIL.Image  # noqa: F401

    with warnings.catch_warnings(action="ignore"):  # of damaged tags
        return _of_images(paths)


def _of_images(paths: Sequence[str]) -> Exif | None:
    sample = sorted({int(row) for row in np.linspace(0, len(paths) - 1, SAMPLE)})
    if all(np.isnan([found[0], *found[2:]]).all() for found in (_of_image(paths[row]) for row in sample)):
        return None
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(_of_image, paths))
    timed = [one for one in found if not np.isnan(one[0])]
    return Exif(
        seconds=np.array([one[0] for one in found]),
        zoned=all(one[1] for one in timed),
        degrees=np.array([one[2:] for one in found], np.float64),
    )


def _is_photo(path: str) -> bool:
    return path.lower().endswith(PHOTO_SUFFIXES)


def _of_image(path: str) -> tuple[float, bool, float, float]:
    """Seconds since 1970, whether they have a zone, latitude, longitude: :data:`NOTHING` of what is no photograph."""
    import PIL.Image

    if not _is_photo(path):
        return NOTHING
    try:
        with PIL.Image.open(path) as image:
            exif = image.getexif()
            top, own, gps = dict(exif), dict(exif.get_ifd(_EXIF)), dict(exif.get_ifd(_GPS))
    except Exception:  # damaged headers raise errors of many kinds; decoding the image will say what is wrong with it
        return NOTHING
    seconds, zoned = _time(top | own, gps)
    return seconds, zoned, *_degrees(gps)


def _time(tags: dict[int, Any], gps: dict[int, Any]) -> tuple[float, bool]:
    """The time the picture was taken, else that of its fix."""
    text = next((tags[tag] for tag in (_TAKEN, _DIGITIZED) if tags.get(tag)), "")
    offset = next((tags[tag] for tag in _OFFSETS if tags.get(tag)), "")
    try:
        moment = datetime.strptime(str(text).strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S")
        zone = datetime.strptime(str(offset).strip("\0 ").replace("Z", "+00:00"), "%z").tzinfo if offset else None
        digits = str(tags.get(_FRACTION, "")).strip("\0 ")
        fraction = float(f"0.{digits}") if digits.isdecimal() else 0.0
        return moment.replace(tzinfo=zone or UTC).timestamp() + fraction, zone is not None
    except ValueError:
        return _gps_time(gps), True


def _gps_time(gps: dict[int, Any]) -> float:
    try:
        day = datetime.strptime(str(gps[_GPS_DATE]).strip("\0 "), "%Y:%m:%d").replace(tzinfo=UTC)
        return day.timestamp() + float(np.dot([3600, 60, 1], [float(part) for part in gps[_GPS_TIME]]))
    except (KeyError, ValueError, TypeError, ZeroDivisionError):
        return np.nan


def _degrees(gps: dict[int, Any]) -> tuple[float, float]:
    """Latitude and longitude; NaN where there is no fix (status V), or not a whole one."""
    if str(gps.get(_GPS_STATUS, "A")).strip("\0 ") == "V":
        return np.nan, np.nan
    try:
        lat, lon = (float(np.dot([1, 1 / 60, 1 / 3600], [float(part) for part in gps[tag]])) for tag in (_LAT, _LON))
        south, west = str(gps[_LAT_REF]).strip("\0 ") == "S", str(gps[_LON_REF]).strip("\0 ") == "W"
    except (KeyError, ValueError, TypeError, ZeroDivisionError):
        return np.nan, np.nan
    lat, lon = -lat if south else lat, -lon if west else lon
    return (lat, lon) if abs(lat) <= 90 and abs(lon) <= 180 else (np.nan, np.nan)
