"""NMEA 0183: the sentences a receiver writes, one per line."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from opticornet.datasets.prepare.tracks.track import Track
from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra


def read_nmea(path: Path) -> Track:
    """The fixes of RMC sentences, which have dates; where there are none, those of GGA, which have the time of day.

    What stands before a sentence in its line (a logger's own time) is passed over, and so are other sentences.

    Raises:
        UserError: no sentence of either kind that is whole, or no fix.
    """
    sentences = list(_sentences(path))
    dated = [fix for fix in map(_of_rmc, sentences) if fix is not None]
    fixes = dated or [fix for fix in map(_of_gga, sentences) if fix is not None]
    if not fixes:
        raise UserError(f"{path}: {len(sentences)} whole NMEA sentences, no RMC or GGA with a time; check the file")
    seconds, fixed = np.array([fix[0] for fix in fixes]), np.array([fix[1] for fix in fixes])
    positions = np.array([fix[2:] for fix in fixes], np.float64)
    return Track.of(path, ("lat", "lon"), positions, seconds, fixed, time_of_day=not dated)


def _sentences(path: Path) -> Iterator[Any]:
    """Sentences that are whole: those with a wrong checksum, as they end where power was lost, are none."""
    with needs_extra("tracks"):
        import pynmea2
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    for line in lines:
        start = line.find(b"$")
        try:
            yield pynmea2.parse(line[start:].decode("ascii"), check=True)
        except ValueError:  # ParseError and UnicodeDecodeError among them
            continue


def _of_rmc(sentence: Any) -> tuple[float, bool, float, float] | None:
    """Seconds since 1970, whether it is a fix, latitude and longitude in degrees; None of another sentence."""
    if sentence.sentence_type != "RMC":
        return None
    try:
        moment = datetime.combine(sentence.datestamp, sentence.timestamp.replace(tzinfo=UTC))
        return moment.timestamp(), sentence.status == "A", sentence.latitude, sentence.longitude
    except (ValueError, TypeError, AttributeError):  # empty or spoilt fields
        return None


def _of_gga(sentence: Any) -> tuple[float, bool, float, float] | None:
    """Seconds since midnight, and as above."""
    if sentence.sentence_type != "GGA":
        return None
    try:
        time = sentence.timestamp
        seconds = 3600 * time.hour + 60 * time.minute + time.second + time.microsecond * 1e-6
        return seconds, int(sentence.gps_qual or 0) > 0, sentence.latitude, sentence.longitude
    except (ValueError, TypeError, AttributeError):
        return None
