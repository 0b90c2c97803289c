import numpy as np
import pytest
from PIL import Image

from opticornet.datasets.images.decoding import BadImageError, decode
from opticornet.datasets.images.levels import Levels, checked_levels, find_levels, with_levels
from opticornet.datasets.images.sources import ImageFiles
from opticornet.utils.errors import UserError


def drive(folder, *images, ending="png"):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i}.{ending}")
    return ImageFiles(folder, tuple(f"{i}.{ending}" for i in range(len(images))))


RAMP = np.linspace(7600, 8400, 64 * 80).reshape(64, 80)


@pytest.mark.parametrize(
    ("dtype", "ending"),
    [(np.uint16, "png"), (np.uint16, "tif"), (np.int32, "tif"), (np.float32, "tif"), (np.uint16, "pgm")],
)
def test_a_ramp_of_a_thermal_camera_keeps_its_levels(tmp_path, dtype, ending):
    source = drive(tmp_path, RAMP.astype(dtype), ending=ending)
    for grey in (False, True):
        levels = np.unique(with_levels(source).read(0, grey))
        assert len(levels) > 200
        assert (levels[0], levels[-1]) == (0, 255)


def test_the_full_range_stays_where_nobody_says_otherwise(tmp_path):
    drive(tmp_path, RAMP.astype(np.uint16))
    assert len(np.unique(decode(tmp_path / "0.png"))) <= 4


def test_the_range_is_that_of_the_drive_and_not_of_each_image(tmp_path):
    cold, hot = np.full((8, 8), 7600, np.uint16), np.full((8, 8), 8400, np.uint16)
    source = with_levels(drive(tmp_path, cold, hot))
    assert source.levels == (7600, 8400)
    assert [source.read(i).max() for i in (0, 1)] == [0, 255]


def test_a_few_pixels_do_not_widen_the_range(tmp_path):
    image = RAMP.astype(np.uint16)
    image[0, :2] = 0, 65535  # dead pixels
    low, high = find_levels([drive(tmp_path, image)])
    assert 7600 <= low < 7605
    assert 8395 < high <= 8400


def test_the_same_drive_gives_the_same_range_whatever_else_there_is(tmp_path):
    generator = np.random.default_rng(0)
    images = [generator.integers(20000, 24000, (50, 60)).astype(np.uint16) for _ in range(90)]
    source = drive(tmp_path / "deep", *images)
    levels = find_levels([source])
    assert (
        levels == find_levels([source]) == find_levels([drive(tmp_path / "plain", np.ones((4, 4), np.uint8)), source])
    )
    (tmp_path / "deep" / "0.png").write_bytes(b"damaged")
    assert find_levels([source]) is not None
    both = find_levels([source, drive(tmp_path / "cold", np.full((50, 60), 100, np.uint16))])
    assert both == (100, pytest.approx(levels.high, abs=20))


def test_images_of_8_bits_are_left_alone(tmp_path):
    image = np.linspace(100, 120, 64).astype(np.uint8).reshape(8, 8)
    source = drive(tmp_path, image)
    assert find_levels([source]) is None
    np.testing.assert_array_equal(with_levels(source, Levels(100, 120)).read(0, True), image)


def test_values_outside_of_the_range_are_clipped(tmp_path):
    source = drive(tmp_path, np.array([[-20, 0, 10, 20, 35, np.nan]], np.float32), ending="tif")
    assert with_levels(source, Levels(0, 20)).read(0, True).tolist() == [[0, 0, 128, 255, 255, 0]]
    with pytest.raises(BadImageError, match="floating-point"):
        source.read(0)


def test_raw_frames_are_scaled_after_they_have_colour(tmp_path):
    raw = np.tile(np.array([[8000, 7800], [7800, 7700]], np.uint16), (4, 4))
    drive(tmp_path, raw)
    source = ImageFiles(tmp_path, ("0.png",), "rggb", Levels(7600, 8110))
    np.testing.assert_array_equal(source.read(0)[2:-2, 2:-2], np.full((4, 4, 3), (200, 100, 50)))


@pytest.mark.parametrize("values", [(3.0,), (3.0, 3.0), (4.0, 3.0), (1.0, 2.0, 3.0)])
def test_a_range_is_two_rising_numbers(values):
    with pytest.raises(UserError, match=r"`levels` .*: wanted the grey levels that become black and white"):
        checked_levels(values)
