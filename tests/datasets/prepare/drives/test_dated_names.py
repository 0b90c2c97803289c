import numpy as np
import pytest

from opticornet.datasets.prepare.drives.dated_names import seconds_of_dated_names
from opticornet.datasets.prepare.drives.image_times import Clock, image_times
from opticornet.utils.errors import UserError

T = 1_700_000_000  # 2023-11-14T22:13:20Z


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("IMG_20231114_221320", T),
        ("PXL_20231114_221320123", T + 0.123),
        ("IMG_20231114_221320_456", T + 0.456),
        ("IMG_20231114_221320_1", T),
        ("20231114221320", T),
        ("2023-11-14T22-13-20", T),
        ("2023-11-14 22.13.20", T),
        ("2023-11-14_22:13:20.5", T),
        ("2023_1114_221320_007", T + 0.007),
        ("cam0_2023-11-14-22-13-20_000123", T + 0.000123),
        ("photo_2023-11-14_22-13-20 (3)", T),
    ],
)
def test_names_with_a_date_and_a_time(name, seconds):
    found, zoned = seconds_of_dated_names([name])
    np.testing.assert_allclose(found, [seconds], atol=1e-6)
    assert not zoned


def test_a_zone_that_all_names_have():
    assert seconds_of_dated_names(["2023-11-14T22-13-20Z", "2023-11-14T22-13-21.500Z"])[1]
    assert not seconds_of_dated_names(["2023-11-14T22-13-20Z", "2023-11-14T22-13-21"])[1]


@pytest.mark.parametrize(
    "name",
    ["20231314_221320", "20231114_251320", "20231114", "frame_000123", "120231114221320", "", "2023-11-14_22-13"],
)
def test_names_without(name):
    assert seconds_of_dated_names(["IMG_20231114_221320", name]) is None


def test_times_without_a_zone_need_an_offset(tmp_path):
    images = ("IMG_20231114_231320.png", "IMG_20231114_231322.png")
    with pytest.raises(
        UserError, match="the dates and times in the names of its images have no time zone; give `clock"
    ):
        image_times(images, tmp_path)
    seconds, source = image_times(images, tmp_path, Clock(offset_s=-3600.0))
    assert (seconds.tolist(), source) == ([T, T + 2], "the names of the images")


def test_numbers_that_are_times_are_no_dates(tmp_path):
    images = tuple(f"{20231114221320 + i * 10**8}.png" for i in range(3))  # ns since a machine's start
    seconds, _ = image_times(images, tmp_path)
    np.testing.assert_allclose(seconds, 20231.11422132 + np.arange(3) / 10)
