import numpy as np
import pytest
from PIL import Image

from opticornet.datasets.prepare.drives.exif import read_exif


def photo(path, taken="", offset="", fraction="", gps=None):
    exif = Image.Exif()
    own, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    own.update({tag: value for tag, value in ((0x9003, taken), (0x9011, offset), (0x9291, fraction)) if value})
    place.update(gps or {})
    Image.new("RGB", (4, 4)).save(path, exif=exif.tobytes())
    return str(path)


def fix(lat=(48, 7, 30.0), north="N", lon=(11, 30, 0.0), east="E", **more):
    return {1: north, 2: lat, 3: east, 4: lon} | {int(tag[1:]): value for tag, value in more.items()}


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "webp"])
def test_time_with_zone_and_position(tmp_path, suffix):
    path = photo(tmp_path / f"a.{suffix}", "2020:09:13 14:26:40", "+02:00", "25", fix(north="S", east="W"))
    found = read_exif([path])
    assert found.seconds.tolist() == [1_600_000_000.25]
    assert found.zoned
    np.testing.assert_allclose(found.degrees, [[-48.125, -11.5]])


def test_a_time_without_zone_is_said_to_be_one(tmp_path):
    found = read_exif([photo(tmp_path / "a.jpg", "2020:09:13 12:26:40")])
    assert found.seconds.tolist() == [1_600_000_000]
    assert not found.zoned
    assert np.isnan(found.degrees).all()


def test_the_time_of_the_fix_where_the_camera_has_no_clock(tmp_path):
    found = read_exif([photo(tmp_path / "a.jpg", gps=fix(t29="2020:09:13", t7=(12, 26, 40.5)))])
    assert found.seconds.tolist() == [1_600_000_000.5]
    assert found.zoned


def test_photos_that_do_not_say_and_a_fix_that_is_none(tmp_path):
    paths = [
        photo(tmp_path / "a.jpg", "2020:09:13 12:26:40", "Z", gps=fix(t9="V")),
        photo(tmp_path / "b.jpg", gps=fix(lat=(95, 0, 0))),
        photo(tmp_path / "c.jpg", "not a time", gps=fix()),
    ]
    (tmp_path / "d.jpg").write_bytes((tmp_path / "c.jpg").read_bytes()[:60])
    found = read_exif([*paths, str(tmp_path / "d.jpg")])
    assert np.isnan(found.seconds).tolist() == [False, True, True, True]
    assert np.isnan(found.degrees).any(axis=1).tolist() == [True, True, False, True]


def test_images_that_say_nothing(tmp_path):
    (tmp_path / "empty.jpg").touch()
    assert read_exif([photo(tmp_path / "a.jpg"), str(tmp_path / "empty.jpg"), str(tmp_path / "none.jpg")]) is None


def test_damaged_tags_are_no_traceback(tmp_path):
    photo(tmp_path / "a.jpg", "2020:09:13 14:26:40", "+02:00", "25", fix())
    whole = (tmp_path / "a.jpg").read_bytes()
    draw = np.random.default_rng(3)
    paths = []
    for number in range(100):
        damaged = bytearray(whole)
        for at in draw.integers(20, 300, 3):
            damaged[at] = draw.integers(256)
        (tmp_path / f"{number}.jpg").write_bytes(damaged)
        paths.append(str(tmp_path / f"{number}.jpg"))
    found = read_exif(paths)
    assert found.degrees.shape == (100, 2)
    assert np.nanmax(np.abs(found.degrees)) <= 180
