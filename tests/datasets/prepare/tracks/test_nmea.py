from functools import reduce

import numpy as np
import pytest

from opticornet.datasets.prepare.tracks import read_track
from opticornet.utils.errors import UserError


def sentence(body):
    return f"${body}*{reduce(lambda sum, character: sum ^ ord(character), body, 0):02X}"


def rmc(time, lat="4807.038,N", lon="01131.000,E", status="A", date="230394"):
    return sentence(f"GPRMC,{time},{status},{lat},{lon},022.4,084.4,{date},003.1,W")


def gga(time, lat="4807.038,N", lon="01131.000,W", quality=1):
    return sentence(f"GNGGA,{time},{lat},{lon},{quality},08,0.9,545.4,M,46.9,M,,")


def read(tmp_path, *lines, name="a.nmea"):
    (tmp_path / name).write_text("\r\n".join(lines))
    return read_track(tmp_path / name)


def test_dated_sentences_go_before_others(tmp_path):
    track = read(tmp_path, gga("123518"), rmc("123519.20"), gga("123519"), rmc("123520.20", "4807.138,S"))
    assert track.columns == ("lat", "lon")
    np.testing.assert_allclose(track.positions, [[48.1173, 11.5166667], [-48.1189667, 11.5166667]], atol=1e-6)
    np.testing.assert_allclose(track.seconds - 764_426_119, [0.2, 1.2], atol=1e-6)
    assert not track.time_of_day


def test_sentences_without_a_date_are_put_on_the_day_of_the_images(tmp_path):
    track = read(tmp_path, gga("235958.5"), gga("235959.5"), gga("000000.5"))
    assert track.time_of_day
    assert track.seconds.tolist() == [86398.5, 86399.5, 0.5]
    midnight = 86400.0 * 17_000
    for images in ([midnight - 1.2, midnight - 0.4], [midnight, midnight + 0.4]):  # before midnight, and behind
        np.testing.assert_allclose(track.in_order(np.array(images))[0] - midnight, [-1.5, -0.5, 0.5])


@pytest.mark.parametrize("name", ["a.txt", "a.log", "a.NMEA"])
def test_logs_of_any_name_with_other_lines_in_them(tmp_path, name):
    track = read(
        tmp_path,
        "started",
        f"2020-01-01 00:00:00 {rmc('000001')}",
        sentence("GPGSA,A,3,04,05,,09,12,,,24,,,,,2.5,1.3,2.1"),
        rmc("000002", status="V", lat=",", lon=","),
        rmc("000003")[:-1] + "x",
        rmc("000004")[:20],
        rmc("000005", date=""),
        rmc("000006"),
        name=name,
    )
    assert (track.seconds - track.seconds[0]).tolist() == [0, 5]
    assert track.no_fix == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "0 whole NMEA sentences, no RMC or GGA"),
        (["hello"], "0 whole NMEA sentences, no RMC or GGA"),
        ([rmc("000001")[:-3] + "00"], "[01] whole NMEA sentences, no RMC or GGA|none of its 1"),
        ([gga("000001", quality=0)], "none of its 1 positions is a fix"),
        ([rmc("000001", status="V")], "none of its 1 positions is a fix"),
    ],
)
def test_files_without_a_fix_are_one_line(tmp_path, lines, message):
    with pytest.raises(UserError, match=rf"a\.nmea: ({message})"):
        read(tmp_path, *lines)


def test_any_damaged_byte_is_one_line_or_a_track(tmp_path):
    whole = "\r\n".join([rmc("000001"), gga("000002"), rmc("000003")]).encode()
    draw = np.random.default_rng(5)
    for _ in range(150):
        at = draw.integers(len(whole))
        damaged = bytearray(whole)
        damaged[at : at + draw.integers(2)] = draw.integers(0, 256, draw.integers(3), dtype=np.uint8).tobytes()
        (tmp_path / "a.nmea").write_bytes(damaged)
        assert len(read_track(tmp_path / "a.nmea").positions)  # of three sentences two are whole
