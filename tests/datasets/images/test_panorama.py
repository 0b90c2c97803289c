import numpy as np
import pytest

from opticornet.datasets.images.panorama import Cut, cut_views
from opticornet.utils.errors import UserError


def degrees(height=180):
    """A panorama whose red is a pixel's longitude, -180 to 180, and green its latitude, -90 to 90, scaled to 8 bits."""
    columns, rows = np.meshgrid(np.arange(2 * height) + 0.5, np.arange(height) + 0.5)
    longitude, latitude = columns / height * 180 / 360, rows / height
    return np.dstack([longitude * 255, latitude * 255, 0 * rows]).round().astype(np.uint8)


def looks_at(view):
    """Longitude and latitude (down) in degrees of a view's centre."""
    middle = view.shape[0] // 2
    red, green, _ = view[middle - 1 : middle + 1, middle - 1 : middle + 1].reshape(-1, 3).mean(0)
    return red / 255 * 360 - 180, green / 255 * 180 - 90


def test_views_look_around_from_straight_ahead_to_the_right():
    views = cut_views(degrees(), Cut(8))
    assert {view.shape for view in views} == {(90, 90, 3)}
    longitudes = [looks_at(view)[0] for view in views]
    np.testing.assert_allclose(longitudes[:4] + longitudes[5:], [0, 45, 90, 135, -135, -90, -45], atol=1.5)
    assert {int(value) for value in np.unique(views[4][45, 44:46, 0])} <= {0, 1, 2, 127, 128, 253, 254, 255}


def test_a_view_spans_its_field_and_its_pitch_lifts_it():
    (view,) = cut_views(degrees(), Cut(1, field=60))
    row = view[30, :, 0].astype(float) / 255 * 360 - 180
    np.testing.assert_allclose([row[0], row[-1]], [-29.5, 29.5], atol=1.5)
    assert view.shape == (60, 60, 3)
    (lifted,) = cut_views(degrees(), Cut(1, field=60, pitch=20))
    np.testing.assert_allclose(looks_at(lifted), (0, -20), atol=1.5)


def test_straight_lines_stay_straight():
    """The edge of a wall three to the left, ten high and twenty deep is a line through the vanishing point."""
    (view,) = cut_views(degrees(720), Cut(1))
    focal = view.shape[0] / 2
    for depth in (4.0, 8.0, 16.0):
        column, row = (round(focal + focal * offset / depth - 0.5) for offset in (-3, -3))
        longitude, latitude = np.degrees(np.arctan2(-3, depth)), np.degrees(np.arctan2(-3, np.hypot(3, depth)))
        red, green, _ = view[row, column].astype(float)
        np.testing.assert_allclose([red / 255 * 360 - 180, green / 255 * 180 - 90], [longitude, latitude], atol=1.5)


@pytest.mark.parametrize("wrong", [{"views": 0}, {"field": 180.0}, {"field": 0.0}, {"pitch": 91.0}])
def test_cuts_that_cannot_be(wrong):
    with pytest.raises(UserError, match="wanted at least 1 view, a field between 0 and 180"):
        Cut(**{"views": 8} | wrong)


def test_other_images_are_no_panoramas():
    with pytest.raises(UserError, match="100 x 60 pixels; a panorama of 360 degrees is twice as wide as high"):
        cut_views(np.zeros((60, 100, 3), np.uint8), Cut(8))
