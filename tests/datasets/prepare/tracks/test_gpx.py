import numpy as np
import pytest

from opticornet.datasets.prepare.tracks import read_track
from opticornet.utils.errors import UserError

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1"><trk>'
END = "</trk></gpx>"


def point(lat, lon, time, fix=""):
    return f'<trkpt lat="{lat}" lon="{lon}"><ele>3</ele>{time and f"<time>{time}</time>"}{fix}</trkpt>'


def segment(*points):
    return f"<trkseg>{''.join(points)}</trkseg>"


def read(tmp_path, text):
    path = tmp_path / "a.gpx"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_track(path)


def test_points_of_all_segments_with_their_times(tmp_path):
    first = segment(point(51.75, -1.25, "2020-01-01T00:00:00Z"), point(51.76, -1.26, "2020-01-01T00:00:01.250Z"))
    second = segment(point(-51.77, 1.27, "2020-01-01T01:00:02+01:00"), point(0, 179.5, "2020-01-01T00:00:03"))
    track = read(tmp_path, HEAD + first + second + END)
    assert track.columns == ("lat", "lon")
    assert track.positions.tolist() == [[51.75, -1.25], [51.76, -1.26], [-51.77, 1.27], [0, 179.5]]
    np.testing.assert_allclose(track.seconds - 1_577_836_800, [0, 1.25, 2, 3], atol=1e-6)


def test_points_without_fix_or_time_are_left_out_and_counted(tmp_path):
    points = [
        point(0, 0, "2020-01-01T00:00:00Z", "<fix>none</fix>"),
        point(1, 2, ""),
        point(3, 4, "2020-01-01T00:00:01Z"),
    ]
    track = read(tmp_path, HEAD + segment(*points) + END)
    assert track.positions.tolist() == [[3, 4]]
    assert track.no_fix == 2


BOMB = '<!DOCTYPE gpx [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]><gpx><trk><name>&b;</name></trk></gpx>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as GPX"),
        ("not xml", "cannot be read as GPX"),
        (b"\xff\xfe\x00<gpx/>", "cannot be read as GPX"),
        (HEAD + segment(point("a", 2, "2020-01-01T00:00:00Z")) + END, "cannot be read as GPX"),
        ((HEAD + segment(point(1, 2, "2020-01-01T00:00:00Z")))[:-9], "cannot be read as GPX"),
        (HEAD + segment(point(1, 2, "")) + END, "1 track points, none with a time"),
        (HEAD + END, "0 track points, none with a time"),
        (HEAD + segment(point(91, 2, "2020-01-01T00:00:00Z")) + END, r"position 1 has no such latitude, longitude"),
        (
            HEAD + segment(point(1, 2, "2020-01-01T00:00:00Z", "<fix>none</fix>")) + END,
            "none of its 1 positions is a fix",
        ),
        (BOMB, "defines XML entities"),
        (BOMB.replace("DOCTYPE", "doctype"), "defines XML entities"),
    ],
)
def test_damaged_files_are_one_line(tmp_path, text, message):
    with pytest.raises(UserError, match=rf"a\.gpx: {message}") as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


def test_any_damaged_byte_is_one_line_or_a_track(tmp_path):
    whole = (HEAD + segment(*(point(i, i, f"2020-01-01T00:00:0{i}Z") for i in range(3))) + END).encode()
    draw = np.random.default_rng(5)
    for _ in range(150):
        at = draw.integers(len(whole))
        damaged = bytearray(whole)
        damaged[at : at + draw.integers(2)] = draw.integers(0, 256, draw.integers(3), dtype=np.uint8).tobytes()
        try:
            outcome = f"{len(read(tmp_path, bytes(damaged)).positions)} positions"
        except UserError as error:
            outcome = str(error)
        assert "\n" not in outcome
