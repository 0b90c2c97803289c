"""Dates and times in the names of images, as phones, cameras and loggers write them: ``IMG_20231114_221320.jpg``."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

_PARTS = [r"((?:19|20)\d\d)", *[r"(\d\d)"] * 5]  # year to second
# The digits of a second follow at once, or in threes; what else follows tells pictures of one second apart.
_DATED = re.compile(
    r"(?<!\d)" + r"[-_.: ]?".join(_PARTS[:3]) + r"[-_.:T ]{0,2}" + r"[-_.:h]?".join(_PARTS[3:])
    + r"(?:[._-]?(\d{3}|\d{6}|\d{9})(?!\d)|(?!\d))(Z(?![A-Za-z]))?",
    re.ASCII,
)  # fmt: skip


def seconds_of_dated_names(stems: Sequence[str]) -> tuple[np.ndarray, bool] | None:
    """Times of images from dates and times in their names; None where one has none, or two.

    Args:
        stems: N file names without folders and suffix.

    Returns:
        (N,) float64 seconds since 1970, taken as UTC, and whether all names say that they are (``Z``).
    """
    found = [_seconds(text) for text in stems]
    read = [one for one in found if one is not None]
    if not read or len(read) < len(found):
        return None
    return np.array([seconds for seconds, _ in read]), all(zoned for _, zoned in read)


def _seconds(text: str) -> tuple[float, bool] | None:
    matches = list(_DATED.finditer(text))
    if len(matches) != 1:
        return None
    *parts, fraction, zone = matches[0].groups()
    try:
        moment = datetime(*map(int, parts), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        return None
    return moment.timestamp() + float(f"0.{fraction or 0}"), zone is not None
