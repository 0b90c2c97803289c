"""GPX: the tracks of receivers, phones and watches, an XML file."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from opticornet.datasets.prepare.tracks.track import Track
from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra


def read_gpx(path: Path) -> Track:
    """All track points, of all tracks and segments; one without a time is no fix.

    Raises:
        UserError: not GPX, or it defines entities, which could be made to expand without end; no point has a time.
    """
    with needs_extra("tracks"):
        import gpxpy
    try:
        text = path.read_text(encoding="utf-8-sig")
        if "<!doctype" in text.lower() or "<!entity" in text.lower():
            raise UserError(f"{path}: defines XML entities, which no GPX track needs; save it again as plain GPX")
        found = gpxpy.parse(text)
    except (OSError, UnicodeDecodeError, gpxpy.gpx.GPXException, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as GPX ({' '.join(str(error).split())})") from error
    points = [point for track in found.tracks for segment in track.segments for point in segment.points]
    seconds = np.array([_seconds(point.time) for point in points], np.float64)
    if not np.isfinite(seconds).any():
        raise UserError(f"{path}: {len(points)} track points, none with a time; wanted <trkpt> with <time>")
    positions = np.array([(point.latitude, point.longitude) for point in points], np.float64)
    fixed = np.array([point.type_of_gpx_fix != "none" for point in points]) & np.isfinite(seconds)
    return Track.of(path, ("lat", "lon"), positions, seconds, fixed)


def _seconds(time: datetime | None) -> float:
    """Since 1970; NaN for none. GPX gives times in UTC, also where the zone is left out."""
    if time is None:
        return np.nan
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
