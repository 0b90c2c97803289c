"""KITTI raw: a folder ``oxts`` with ``timestamps.txt`` and ``data/0000000000.txt``, a packet of the receiver each."""

from pathlib import Path

import numpy as np

from opticornet.datasets.prepare.tracks.times import seconds_of
from opticornet.datasets.prepare.tracks.track import Track
from opticornet.utils.errors import UserError

LAT, LON, FIELDS = 0, 1, 30  # of a packet


def read_oxts(folder: Path) -> Track:
    """Latitude and longitude of each packet, at its time.

    Raises:
        UserError: a packet that is none, or not a time for each.
    """
    packets = sorted((folder / "data").glob("*.txt"))
    try:
        times = (folder / "timestamps.txt").read_text().splitlines()
        fields = [packet.read_text().split() for packet in packets]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{folder}: cannot be read as KITTI's oxts ({error})") from error
    times = [time.strip() for time in times if time.strip()]
    if len(times) != len(packets) or not packets:
        raise UserError(f"{folder}: {len(packets)} packets in data, {len(times)} times in timestamps.txt; wanted equal")
    try:
        if bad := next((path for path, row in zip(packets, fields, strict=True) if len(row) < FIELDS), None):
            raise UserError(f"{bad}: fewer than {FIELDS} numbers; unpack the drive again")
        positions = np.array([(row[LAT], row[LON]) for row in fields], np.float64)
    except ValueError as error:
        raise UserError(f"{folder}: a packet that holds no numbers ({error}); unpack the drive again") from error
    return Track.of(folder, ("lat", "lon"), positions, seconds_of(times, str(folder / "timestamps.txt")))
