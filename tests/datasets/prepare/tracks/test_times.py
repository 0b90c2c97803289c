import numpy as np
import pytest

from opticornet.datasets.prepare.tracks.times import FASTEST_POSES_S, seconds_of, units_of
from opticornet.utils.errors import UserError

EPOCH = 1_403_636_579  # seconds since 1970 of a drive
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def whole(start_s, step_s, unit, count=50):
    """Whole numbers of the unit, as files write them."""
    return [str(round((start_s + step_s * i) * PER_SECOND[unit])) for i in range(count)]


def seconds(texts, unit=""):
    return seconds_of(texts, "drive", unit)


@pytest.mark.parametrize("unit", PER_SECOND)
@pytest.mark.parametrize("rate", [1, 4])
def test_whole_numbers_since_1970(unit, rate):
    texts = whole(EPOCH, 1 / rate, unit) if unit != "s" or rate == 1 else whole(EPOCH, 2, unit)
    step = float(texts[1]) - float(texts[0])
    np.testing.assert_allclose(np.diff(seconds(texts)), step / PER_SECOND[unit], atol=1e-6)
    assert abs(seconds(texts)[0] - EPOCH) < 1e-6


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("rate", [10, 20, 30, 60])
@pytest.mark.parametrize("uptime", [0, 0.5, 9, 95, 999, 9_900, 86_000, 990_000])
def test_whole_numbers_since_a_machine_started(unit, rate, uptime):
    """Of any number of digits: from 1 (ms at the start) to 15 (ns after eleven days)."""
    found = seconds(whole(uptime, 1 / rate, unit))
    np.testing.assert_allclose(found, uptime + np.arange(50) / rate, atol=0.51 / PER_SECOND[unit] + 1e-9)


@pytest.mark.parametrize("uptime", [9.9, 99.9, 999.9, 9_999.9, 99_999.9, 999_999.9])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_one_more_digit_on_the_way_does_not_change_the_unit(unit, uptime):
    """As nanoseconds since boot do where they cross from 12 to 13 digits."""
    texts = whole(uptime, 0.05, unit)
    assert {len(texts[0]) + 1} == {len(texts[-1])}
    np.testing.assert_allclose(np.diff(seconds(texts)), 0.05, atol=1e-3)
    assert abs(seconds(texts)[0] - uptime) < 1e-3


def test_fractions_keep_their_digits():
    texts = [f"{EPOCH + i // 20}.{50_000_000 * (i % 20) + 13_555_527:09d}" for i in range(50)]
    np.testing.assert_allclose(seconds(texts) - EPOCH, 0.013555527 + 0.05 * np.arange(50), atol=5e-7)
    nanoseconds = [text.replace(".", "") for text in texts]
    np.testing.assert_allclose(seconds(nanoseconds), seconds(texts), atol=5e-7)
    assert seconds(["0", "0.104", "0.208"]).tolist() == [0, 0.104, 0.208]


def test_poses_are_faster_than_cameras():
    texts = whole(EPOCH, 0.005, "ns")
    np.testing.assert_allclose(np.diff(seconds(texts)), 0.005, atol=1e-6)
    assert units_of(0.001 * np.arange(9), FASTEST_POSES_S) == ["s"]
    # 200 Hz in milliseconds, or a pose every 5 s in seconds
    assert units_of(5.0 * np.arange(9), FASTEST_POSES_S) == ["s", "ms"]


def test_order_and_repeats_do_not_matter():
    texts = whole(999.9, 0.05, "ns")
    mixed = [*texts[::-1], *texts]
    np.testing.assert_array_equal(seconds(mixed)[50:], seconds(texts))


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (whole(1_036_800_000, 33, "s"), "s or ms"),  # since 1970 every 33 s, or for twelve days at 30 Hz
        (["1000", "50000000000"], "none of the units s, ms, us, ns"),
        (["17"], "s or ms or us or ns"),
        (["-5", "-4"], "none of the units"),
    ],
)
def test_times_of_no_certain_unit_are_refused_and_can_be_told(texts, found):
    with pytest.raises(UserError, match=rf"drive: {len(texts)} times from .* {found}.*; give `time_unit`"):
        seconds(texts)
    np.testing.assert_allclose(seconds(texts, "ms"), np.array(texts, float) * 1e-3)


def test_units_as_headers_have_them():
    for unit in ("ns", "NSEC", "nanoseconds"):
        assert seconds(["5000000000"], unit).tolist() == [5.0]
    with pytest.raises(UserError, match="drive: times in 'days'; wanted one of s, ms, us, ns"):
        seconds(["1"], "days")


def test_dates_and_times():
    texts = ["2011-09-26 13:02:25.964389445", "2011-09-26T13:02:26Z", "2011-09-26T15:02:26.5+02:00"]
    np.testing.assert_allclose(seconds(texts) - 1_317_042_145, [0.964389, 1, 1.5], atol=1e-6)
    with pytest.raises(UserError, match="drive: 'noon' is no time; wanted numbers of one unit, or dates and times"):
        seconds(["2011-09-26 13:02:25", "noon"])
