import numpy as np
import pytest

from opticornet.datasets.images.cropping import Crop
from opticornet.datasets.images.decoding import BadImageError
from opticornet.utils.errors import UserError


def test_a_rectangle_of_colour_and_of_grey_images():
    image = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    assert np.array_equal(Crop(1, 2, 6, 4).of(image), image[2:4, 1:6])
    assert np.array_equal(Crop(0, 0, 7, 5).of(image[..., 0]), image[..., 0])


def test_an_image_that_does_not_hold_it():
    with pytest.raises(BadImageError, match="it has 7 x 5 pixels, fewer than `crop` 0 0 8 5 reaches to"):
        Crop(0, 0, 8, 5).of(np.zeros((5, 7), np.uint8))


def test_the_option():
    assert Crop.of_option(()) is None
    assert Crop.of_option((0, 0, 1280, 800)) == Crop(0, 0, 1280, 800)


@pytest.mark.parametrize("values", [(0, 0, 1280), (5, 0, 5, 8), (0, 8, 8, 8), (-1, 0, 8, 8), (0, 0, 8, 8, 1)])
def test_what_is_no_rectangle(values):
    with pytest.raises(UserError, match=f"`crop` {' '.join(map(str, values))}: wanted left, top, right and bottom"):
        Crop.of_option(values)
