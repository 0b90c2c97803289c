"""Where something was over time, as receivers, phones, robots and datasets record it.

One file per format, each with a reader of a path to a :class:`opticornet.datasets.prepare.tracks.track.Track`; a
format more is a file and a line of :data:`READERS`.
"""

from collections.abc import Callable
from pathlib import Path

from opticornet.datasets.prepare.tracks.gpx import read_gpx
from opticornet.datasets.prepare.tracks.nmea import read_nmea
from opticornet.datasets.prepare.tracks.oxts import read_oxts
from opticornet.datasets.prepare.tracks.poses import read_poses
from opticornet.datasets.prepare.tracks.track import Track

# What a file is, to what reads it. Tables with a header (.csv) say more than a track can hold: places.py reads them.
READERS: dict[str, Callable[[Path], Track]] = {
    "gpx": read_gpx,
    "nmea": read_nmea,
    "poses": read_poses,
    "oxts": read_oxts,
}
OXTS = "oxts"  # the folder of KITTI's receiver
SUFFIXES = {
    ".gpx": "gpx",
    ".nmea": "nmea",
    ".nma": "nmea",
    ".tum": "poses",
    ".kitti": "poses",
    ".txt": "",  # may be any: what it holds decides
    ".log": "",
}


def kind_of(path: Path) -> str:
    """The key of :data:`READERS` for a file that has one of :data:`SUFFIXES`, or for a folder ``oxts``."""
    if path.is_dir():
        return "oxts"
    return SUFFIXES[path.suffix.lower()] or _kind_by_content(path)


def read_track(path: Path) -> Track:
    """A file with one of :data:`SUFFIXES`, or a folder ``oxts``.

    Raises:
        UserError: it is not what it seems to be, in one line.
    """
    return READERS[kind_of(path)](path)


def _kind_by_content(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError:
        return "poses"  # whose reader says why it cannot be read
    return "nmea" if any(line.find(b"$G") >= 0 for line in head.splitlines()) else "poses"
