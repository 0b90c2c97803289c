import numpy as np
import pytest

from opticornet.datasets.images.bayer import PATTERNS, demosaic

pytest.importorskip("cv2")


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_mosaic_of_one_colour_gives_that_colour(pattern, dtype):
    colour = {"r": 200, "g": 120, "b": 30}
    raw = np.zeros((6, 8), dtype)
    for index, name in enumerate(pattern):
        raw[index // 2 :: 2, index % 2 :: 2] = colour[name]
    image = demosaic(raw, pattern)
    assert image.dtype == dtype
    np.testing.assert_array_equal(image, np.broadcast_to(np.array([200, 120, 30]), (6, 8, 3)))


def test_measured_pixels_are_kept_and_others_are_means_of_neighbours():
    raw = np.arange(64, dtype=np.uint8).reshape(8, 8)
    image = demosaic(raw, "rggb")
    assert image[2, 2, 0] == raw[2, 2]
    assert image[2, 3, 0] == (int(raw[2, 2]) + raw[2, 4]) // 2
    assert image[3, 3, 2] == raw[3, 3]
    assert image[2, 3, 1] == raw[2, 3]


@pytest.mark.parametrize(
    ("shape", "dtype", "pattern"),
    [
        ((4, 4, 3), np.uint8, "rggb"),
        ((4, 4), np.float32, "rggb"),
        ((4, 4), np.uint8, "rgbg"),
        ((1, 4), np.uint8, "rggb"),
    ],
)
def test_wrong_arguments(shape, dtype, pattern):
    with pytest.raises(ValueError, match="wanted one colour per pixel"):
        demosaic(np.zeros(shape, dtype), pattern)
