"""Drives whose positions are a track, found at the images' times."""

from functools import reduce

import numpy as np
import pytest
from PIL import Image

from opticornet.datasets.prepare.sources.folders import Folders
from opticornet.utils.errors import UserError

T = 1_600_000_000  # 2020-09-13T12:26:40Z
LAT, LON = 48.0 + 1e-4 * np.arange(20), 11.0 + 1e-4 * np.arange(20)


def read(root, **options):
    return Folders(**({"gap": 0, "fractions": (0, 0, 1)} | options)).read(root)


def drives(root, names, track, text):
    for drive in ("ref", "query"):
        (root / drive).mkdir(parents=True)
        for name in names:
            (root / drive / name).touch()
        path = root / track.format(drive)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def gpx():
    points = (
        f'<trkpt lat="{a}" lon="{b}"><time>2020-09-13T12:26:{40 + i}Z</time></trkpt>'
        for i, (a, b) in enumerate(zip(LAT, LON, strict=True))
    )
    return f"<gpx><trk><trkseg>{''.join(points)}</trkseg></trk></gpx>"


def nmea():
    minutes = [f"{60e-4 * i:07.4f}" for i in range(20)]
    bodies = [f"GNGGA,1226{40 + i},48{m},N,011{m},E,1,08,0.9,5.4,M,46.9,M,," for i, m in enumerate(minutes)]
    return "\n".join(f"${body}*{reduce(lambda sum, one: sum ^ ord(one), body, 0):02X}" for body in bodies)


def navsatfix():
    rows = (f"{T * 10**9 + i * 10**9},{a},{b},0" for i, (a, b) in enumerate(zip(LAT, LON, strict=True)))
    return "\n".join(["%time,field.latitude,field.longitude,field.altitude", *rows])


TRACKS = {"{}.gpx": gpx, "{}.nmea": nmea, "{}.txt": nmea, "{}/gps.csv": navsatfix, "{}/track.gpx": gpx}
NAMES = [f"{(T + i) * 1000 + 500}.jpg" for i in range(19)]


@pytest.mark.parametrize("track", TRACKS)
def test_images_named_by_their_times(tmp_path, track):
    drives(tmp_path, NAMES, track, TRACKS[track]())
    prepared = read(tmp_path)
    traverse = prepared.traverses[0]
    np.testing.assert_allclose(traverse.positions["lat"], 48.0 + 1e-4 * (np.arange(19) + 0.5), atol=1e-9)
    np.testing.assert_allclose(traverse.positions["lon"], 11.0 + 1e-4 * (np.arange(19) + 0.5), atol=1e-9)
    np.testing.assert_allclose(traverse.timestamps - T, np.arange(19) + 0.5, atol=1e-6)
    file = track.format("ref").rsplit("/", 1)[-1]
    assert traverse.placed.startswith(
        f"lat, lon of {file}, interpolated at the times in the names of the images; 19 of"
    )
    assert prepared.units == "metres"


def test_the_offset_of_the_clock_is_added_to_the_images_times(tmp_path):
    names = [f"{T + 30 + i}.jpg" for i in range(20)]  # a camera that is half a minute ahead
    drives(tmp_path, names, "{}.gpx", gpx())
    with pytest.raises(UserError, match=r"timestamps do not overlap: .* clock, or give `clock_offset`"):
        read(tmp_path)
    traverse = read(tmp_path, clock_offset=-30.0).traverses[0]
    np.testing.assert_allclose(traverse.positions["lat"], LAT)
    assert traverse.timestamps.tolist() == [T + i for i in range(20)]


def test_nanoseconds_since_boot_that_gain_a_digit(tmp_path):
    names = [f"{999_800_000_000 + 50_000_000 * i}.png" for i in range(20)]
    poses = "\n".join(f"{999 + 0.1 * i} {i} 0 0 0 0 0 1" for i in range(30))
    drives(tmp_path, names, "{}.tum", poses)
    traverse = read(tmp_path).traverses[0]
    np.testing.assert_allclose(traverse.positions["x"], 8 + 0.5 * np.arange(20), atol=1e-5)


def test_counted_images_with_a_file_of_times(tmp_path):
    drives(tmp_path, [f"{i:06d}.png" for i in range(19)], "{}.gpx", gpx())
    with pytest.raises(UserError, match="file names only count"):
        read(tmp_path)
    for drive in ("ref", "query"):
        (tmp_path / drive / "timestamps.txt").write_text("\n".join(f"2020-09-13 12:26:{40 + i}.5" for i in range(19)))
    traverse = read(tmp_path).traverses[0]
    np.testing.assert_allclose(traverse.positions["lat"], 48.0 + 1e-4 * (np.arange(19) + 0.5))
    assert "at the times in timestamps.txt" in traverse.placed


def test_a_drive_of_kitti_raw(tmp_path):
    times = "\n".join(f"2011-09-26 13:02:{25 + i}.964389445" for i in range(20))
    for drive in ("ref", "query"):
        for part in ("oxts", "image_02"):
            (tmp_path / drive / part / "data").mkdir(parents=True)
            (tmp_path / drive / part / "timestamps.txt").write_text(times)
        for i in range(20):
            (tmp_path / drive / "image_02" / "data" / f"{i:010d}.png").touch()
            packet = " ".join(map(str, [LAT[i], LON[i], *[0.5] * 28]))
            (tmp_path / drive / "oxts" / "data" / f"{i:010d}.txt").write_text(packet)
    traverse = read(tmp_path).traverses[1]
    np.testing.assert_allclose(traverse.positions["lon"], LON)
    assert traverse.placed.startswith("lat, lon of oxts, interpolated at the times in timestamps.txt; 20 of 20")


def photo(path, second, gps=True):
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x9003: f"2020:09:13 12:26:{40 + second}"})
    if gps:
        exif.get_ifd(0x8825).update({1: "N", 2: (48, 0, 0.36 * second), 3: "E", 4: (11, 0, 0.36 * second)})
    Image.new("RGB", (4, 4)).save(path, exif=exif)


def test_photos_with_positions_of_their_own(tmp_path):
    for drive in ("ref", "query"):
        (tmp_path / drive).mkdir()
        for i in range(8):
            photo(tmp_path / drive / f"IMG_{i}.jpg", i, gps=i != 5)
    prepared = read(tmp_path)
    traverse = prepared.traverses[0]
    np.testing.assert_allclose(traverse.positions["lat"], np.delete(LAT[:8], 5))
    assert traverse.placed == "lat, lon of ref, by the EXIF of the images; 7 of 8 images have one"
    assert traverse.timestamps is None  # no time zone
    assert prepared.notes[0] == "ref: 1 of 8 images left out: ref has 1 row without a number"
    assert (read(tmp_path, clock_offset=-3600.0).traverses[0].timestamps[:2] - T).tolist() == [-3600, -3599]


def test_photos_beside_a_track(tmp_path):
    drives(tmp_path, [], "{}.gpx", gpx())
    for drive in ("ref", "query"):
        for i in range(8):
            photo(tmp_path / drive / f"IMG_{i}.jpg", i, gps=False)
    with pytest.raises(UserError, match="EXIF times of its images have no time zone; give `clock_offset`"):
        read(tmp_path)
    traverse = read(tmp_path, clock_offset=2.0).traverses[0]
    np.testing.assert_allclose(traverse.positions["lat"], LAT[2:10])


@pytest.mark.parametrize("option", [{"clock_offset": 1.0}, {"time_unit": "ns"}])
def test_options_of_times_that_change_nothing(tmp_path, option):
    drives(tmp_path, [f"{i}.jpg" for i in range(20)], "{}.csv", "\n".join(["x,y", *(f"{i},0" for i in range(20))]))
    with pytest.raises(UserError, match=f"`{next(iter(option))}` changes nothing"):
        read(tmp_path, **option)


def test_a_drive_over_the_180th_meridian(tmp_path):
    rows = "\n".join(["time,lat,lon", *(f"{T + 2 * i},-17,{179.9999 if i < 5 else -179.9999}" for i in range(10))])
    drives(tmp_path, [f"{T + i}.jpg" for i in range(19)], "{}.csv", rows)
    lon = read(tmp_path, frozen_fix=0).traverses[0].positions["lon"]
    assert (np.abs(lon) >= 179.9998).all()


def test_a_table_of_phones(tmp_path):
    rows = (f"{(T + i) * 1000},{a},{b},3,9" for i, (a, b) in enumerate(zip(LAT, LON, strict=True)))
    text = "\n".join(["Timestamp,Latitude (deg),Longitude (deg),Altitude (m),Bearing (deg)", *rows])
    drives(tmp_path, NAMES, "{}.csv", text)
    np.testing.assert_allclose(read(tmp_path).traverses[0].positions["lat"][0], 48.00005)


def test_two_positions_at_one_time_are_counted_and_the_first_is_taken(tmp_path):
    rows = [f"{T + i}.5,{10 * i},0" for i in range(19)] + [f"{T + 5}.5,9000,0", f"{T + 6}.5,60,0"]
    drives(tmp_path, NAMES, "{}.csv", "\n".join(["time,x,y", *rows]))
    prepared = read(tmp_path)
    np.testing.assert_allclose(prepared.traverses[0].positions["x"], 10 * np.arange(19), atol=1e-4)
    assert prepared.notes[0] == (
        "ref: 0 of 19 images left out: ref.csv has 1 rows of another position at the same time"
    )
