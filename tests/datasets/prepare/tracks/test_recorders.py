import numpy as np
import pytest

from opticornet.datasets.prepare.tracks.recorders import read_recorder
from opticornet.utils.errors import UserError

T = 1_600_000_000
NANOSECONDS = T * 10**9
DEGREES, METRES = [[48.25, 11.5], [48.5, 11.75]], [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]

# header, rows whose second and third are 1 s apart and whose others hold no position
LAT_LON_TABLES = {
    "ROS": (
        "Time,header.seq,header.stamp.secs,header.stamp.nsecs,header.frame_id,status.status,status.service,latitude,"
        "longitude,altitude,position_covariance_0",
        [
            f"1,0,{T - 1},0,gps,-1,1,0,0,0,0",
            f"1,0,{T},500000000,gps,0,1,48.25,11.5,3,0",
            f"1,0,{T + 1},500000000,gps,2,1,48.5,11.75,3,0",
        ],
    ),
    "rostopic echo": (
        "%time,field.header.seq,field.header.stamp,field.header.frame_id,field.status.status,field.status.service,"
        "field.latitude,field.longitude,field.altitude",
        [
            f"7,1,{NANOSECONDS},gps,-1,1,nan,nan,nan",
            f"7,1,{NANOSECONDS + 500_000_000},gps,0,1,48.25,11.5,3",
            f"7,1,{NANOSECONDS + 1_500_000_000},gps,0,1,48.5,11.75,3",
        ],
    ),
    "rostopic echo without stamps": (
        "%time,field.latitude,field.longitude,field.speed",
        [
            f"{NANOSECONDS},,,0",
            f"{NANOSECONDS + 500_000_000},48.25,11.5,3",
            f"{NANOSECONDS + 1_500_000_000},48.5,11.75,3",
        ],
    ),
    "Sensor Logger": (
        "time,seconds_elapsed,bearingAccuracy,speedAccuracy,horizontalAccuracy,speed,bearing,altitude,longitude,latitude",
        [
            f"{NANOSECONDS},0,1,1,1,1,1,1,,",
            f"{NANOSECONDS + 500_000_000},0.5,1,1,1,1,1,1,11.5,48.25",
            f"{NANOSECONDS + 1_500_000_000},1.5,1,1,1,1,1,1,11.75,48.5",
        ],
    ),
    "SensorLog": (
        "loggingTime(txt),locationTimestamp_since1970(s),locationLatitude(WGS84),locationLongitude(WGS84),accelerometerX(G)",
        [f"a,{T},null,null,0", f"a,{T}.5,48.25,11.5,0", f"a,{T + 1}.5,48.5,11.75,0"],
    ),
    "degrees in brackets": (
        "Timestamp,Latitude (deg),Longitude (deg),Altitude (m),Accuracy (m)",
        [f"{T * 1000},,,1,1", f"{T * 1000 + 500},48.25,11.5,1,1", f"{T * 1000 + 1500},48.5,11.75,1,1"],
    ),
    "GPSLogger": (
        "time,lat,lon,elevation,accuracy,bearing,speed,satellites,provider,hdop",
        [
            "2020-09-13T12:26:40Z,,,1,1,1,1,4,gps,1",
            "2020-09-13T12:26:40.500Z,48.25,11.5,1,1,1,1,4,gps,1",
            "2020-09-13T12:26:41.500Z,48.5,11.75,1,1,1,1,4,gps,1",
        ],
    ),
    "GoPro": (
        "cts,date,GPS (Lat.) [deg],GPS (Long.) [deg],GPS (Alt.) [m],fix,precision",
        [
            "0,2020-09-13T12:26:40.000Z,,,1,0,99",
            "0,2020-09-13T12:26:40.500Z,48.25,11.5,1,3,1",
            "0,2020-09-13T12:26:41.500Z,48.5,11.75,1,3,1",
        ],
    ),
}


def read(tmp_path, header, rows):
    (tmp_path / "a.csv").write_text("\n".join([header, *rows]))
    return read_recorder(tmp_path / "a.csv")


@pytest.mark.parametrize("kind", LAT_LON_TABLES)
def test_latitude_and_longitude(tmp_path, kind):
    track = read(tmp_path, *LAT_LON_TABLES[kind])
    assert track.columns == ("lat", "lon")
    assert track.positions.tolist() == DEGREES
    np.testing.assert_allclose(track.seconds - T, [0.5, 1.5], atol=1e-6)
    assert track.no_fix == 1


def test_seconds_since_the_recording_began(tmp_path):
    rows = ["0.5,48.25,11.5,1", "1.5,48.5,11.75,1"]
    phyphox = read(tmp_path, '"Time (s)","Latitude (°)","Longitude (°)","Height (m)"', rows)
    elapsed = read(tmp_path, "seconds_elapsed,latitude,longitude,altitude", rows)
    for track in (phyphox, elapsed):
        assert track.seconds.tolist() == [0.5, 1.5]
        assert track.positions.tolist() == DEGREES


POSES = {
    "EuRoC": (
        "#timestamp [ns],p_RS_R_x [m],p_RS_R_y [m],p_RS_R_z [m],q_RS_w [],q_RS_x [],b_a_RS_S_x [m s^-2]",
        [f"{NANOSECONDS + 500_000_000},1,2,3,1,0,0", f"{NANOSECONDS + 505_000_000},4,5,6,1,0,0"],
    ),
    "ROS 2 odometry": (
        "Time,header.stamp.sec,header.stamp.nanosec,child_frame_id,pose.pose.position.x,pose.pose.position.y,"
        "pose.pose.position.z,twist.twist.linear.x",
        [f"0,{T},500000000,base,1,2,3,0", f"0,{T},505000000,base,4,5,6,0"],
    ),
    "rostopic echo, pose": (
        "%time,field.header.stamp,field.pose.position.x,field.pose.position.y,field.pose.position.z",
        [f"0,{NANOSECONDS + 500_000_000},1,2,3", f"0,{NANOSECONDS + 505_000_000},4,5,6"],
    ),
}


@pytest.mark.parametrize("kind", POSES)
def test_metres(tmp_path, kind):
    track = read(tmp_path, *POSES[kind])
    assert track.columns == ("x", "y", "z")
    assert track.positions.tolist() == METRES
    np.testing.assert_allclose(track.seconds - T, [0.5, 0.505], atol=1e-6)


def test_tables_of_ones_own_are_none_of_a_recorder(tmp_path):
    assert read(tmp_path, "name,latitude,longitude", ["0.jpg,1,2"]) is None
    assert read(tmp_path, "filename,time,seconds_elapsed,latitude,longitude", ["0.jpg,1,1,1,2"]) is None  # rows by name


def test_cells_that_are_no_numbers_are_one_line(tmp_path):
    with pytest.raises(UserError, match=r"a\.csv: line 2: latitude is 'north'; wanted a finite number"):
        read(tmp_path, "seconds_elapsed,latitude,longitude", ["1,north,2"])
    with pytest.raises(UserError, match=r"a\.csv: none of its 1 positions is a fix"):
        read(tmp_path, "seconds_elapsed,latitude,longitude", ["1,,"])
    with pytest.raises(UserError, match=r"a\.csv: '' is no time"):
        read(tmp_path, "seconds_elapsed,latitude,longitude", ["1,1,1", ",2,2"])
