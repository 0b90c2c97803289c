"""Tables of recorders, which have many more columns than are wanted: ROS, EuRoC, phones."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opticornet.datasets.cells import read_header
from opticornet.datasets.column_names import column_called
from opticornet.datasets.columns import Columns, read_columns
from opticornet.datasets.prepare.tracks.times import FASTEST_POSES_S, seconds_of
from opticornet.datasets.prepare.tracks.track import Track


@dataclass(frozen=True)
class Recorder:
    """The header of one recorder's tables, in small letters; a table is its if it has all these columns.

    Attributes:
        times: the column of times; or two, seconds and nanoseconds, which add up.
        positions: latitude and longitude, or x, y, z.
        unit: of ``times``; empty: the header or the numbers show it.
        status: the column that calls a row no fix by a negative number.
        also: what tells its tables from those of others.
    """

    times: tuple[str, ...]
    positions: tuple[str, ...]
    unit: str = ""
    status: str = ""
    also: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All that a table must have."""
        return (*self.times, *self.positions, *filter(None, [self.status]), *self.also)


def _xyz(prefix: str, suffix: str = "") -> tuple[str, ...]:
    return tuple(f"{prefix}{axis}{suffix}" for axis in "xyz")


_LAT_LON = ("latitude", "longitude")
_FIELD_LAT_LON = ("field.latitude", "field.longitude")
_ROS_1, _ROS_2 = ("header.stamp.secs", "header.stamp.nsecs"), ("header.stamp.sec", "header.stamp.nanosec")
_ECHO, _POSE, _ODOMETRY = ("field.header.stamp",), _xyz("pose.position."), _xyz("pose.pose.position.")
# The first that fits is taken: stamps of the measurement go before those of the recording.
RECORDERS: dict[str, Recorder] = {
    "ROS NavSatFix": Recorder(_ROS_1, _LAT_LON, "s", "status.status"),
    "ROS 2 NavSatFix": Recorder(_ROS_2, _LAT_LON, "s", "status.status"),
    "ROS latitude, longitude": Recorder(_ROS_1, _LAT_LON, "s"),
    "ROS 2 latitude, longitude": Recorder(_ROS_2, _LAT_LON, "s"),
    "ROS PoseStamped": Recorder(_ROS_1, _POSE, "s"),
    "ROS 2 PoseStamped": Recorder(_ROS_2, _POSE, "s"),
    "ROS Odometry": Recorder(_ROS_1, _ODOMETRY, "s"),
    "ROS 2 Odometry": Recorder(_ROS_2, _ODOMETRY, "s"),
    "rostopic echo -p NavSatFix": Recorder(_ECHO, _FIELD_LAT_LON, "ns", "field.status.status"),
    "rostopic echo -p latitude, longitude": Recorder(_ECHO, _FIELD_LAT_LON, "ns"),
    "rostopic echo -p PoseStamped": Recorder(_ECHO, _xyz("field.pose.position."), "ns"),
    "rostopic echo -p Odometry": Recorder(_ECHO, _xyz("field.pose.pose.position."), "ns"),
    "rostopic echo -p without stamps": Recorder(("%time",), _FIELD_LAT_LON, "ns"),
    "rostopic echo -p x, y, z": Recorder(("%time",), _xyz("field."), "ns"),
    "EuRoC": Recorder(("#timestamp [ns]",), _xyz("p_rs_r_", " [m]"), "ns"),
    "EuRoC estimate": Recorder(("#timestamp",), _xyz("p_rs_r_", " [m]"), "ns"),
    "Sensor Logger": Recorder(("time",), _LAT_LON, "ns", also=("seconds_elapsed",)),
    "Sensor Logger without time": Recorder(("seconds_elapsed",), _LAT_LON, "s"),
    "SensorLog": Recorder(
        ("locationtimestamp_since1970(s)",), ("locationlatitude(wgs84)", "locationlongitude(wgs84)"), "s"
    ),
    "phyphox": Recorder(("time (s)",), ("latitude (°)", "longitude (°)"), "s"),
    "degrees in brackets": Recorder(("timestamp",), ("latitude (deg)", "longitude (deg)")),
    "GPSLogger": Recorder(("time",), ("lat", "lon"), also=("provider",)),
    "GoPro telemetry": Recorder(("date",), ("gps (lat.) [deg]", "gps (long.) [deg]")),
}


def read_recorder(path: Path) -> Track | None:
    """Times and positions of a recorder's table; None if its header is none of :data:`RECORDERS`.

    Nor is a table one that names images: its rows are theirs, whatever their times.

    Raises:
        UserError: it cannot be read, or cells that are no numbers.
    """
    header = read_header(path)
    titles = {_folded(title): title for title in header}
    recorder = next((one for one in RECORDERS.values() if titles.keys() >= set(one.columns)), None)
    if recorder is None or any(column_called(title) in ("name", "image") for title in header):
        return None
    table = read_columns(path)
    positions = np.stack([table.numbers(titles[name], empty=True) for name in recorder.positions], axis=1)
    fixed = np.isfinite(positions).all(axis=1)
    if recorder.status:
        fixed &= ~(table.numbers(titles[recorder.status], empty=True) < 0)
    columns = ("lat", "lon") if len(recorder.positions) == 2 else ("x", "y", "z")
    return Track.of(path, columns, positions, _seconds(table, recorder, titles), fixed)


def _seconds(table: Columns, recorder: Recorder, titles: dict[str, str]) -> np.ndarray:
    texts = [table[titles[name]] for name in recorder.times]
    if len(texts) == 1:
        return seconds_of(texts[0], str(table.path), recorder.unit, FASTEST_POSES_S)
    whole, nanoseconds = (table.numbers(titles[name]) for name in recorder.times)
    return whole + 1e-9 * nanoseconds


def _folded(title: str) -> str:
    return " ".join(title.lower().split())
