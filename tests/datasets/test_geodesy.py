import numpy as np
import pytest

from opticornet.datasets.geodesy import local_metres


def test_origin_is_zero_and_axes_are_east_north_up():
    origin = np.array([59.0, 10.0])
    points = local_metres(np.array([[59.0, 10.0], [59.001, 10.0], [59.0, 10.001]]), origin)
    np.testing.assert_allclose(points[0], 0, atol=1e-6)
    # A degree of latitude at 59 degrees is 111.39 km, one of longitude 57.48 km (tables of WGS84).
    np.testing.assert_allclose(points[1], [0, 111.39, 0], atol=0.02)
    np.testing.assert_allclose(points[2], [57.48, 0, 0], atol=0.02)


def test_equator_and_meridian_by_hand():
    """A degree of longitude on the equator is an arc of the semi-major axis: a chord of 2 a sin(1/2 degree)."""
    points = local_metres(np.array([[0.0, 1.0]]), np.array([0.0, 0.0]))
    chord = 2 * 6378137.0 * np.sin(np.radians(0.5))
    assert np.linalg.norm(points[0]) == pytest.approx(chord, abs=1e-6)


def test_distances_do_not_depend_on_the_origin():
    """Two frames 25 m apart stay so when counted from 600 km away, where a flat projection is 14 % off."""
    pair = np.array([[67.28, 14.40], [67.28, 14.4005]])
    near, far = (local_metres(pair, np.array(origin)) for origin in ([67.28, 14.40], [63.43, 10.40]))
    assert np.linalg.norm(far[1] - far[0]) == pytest.approx(np.linalg.norm(near[1] - near[0]), abs=1e-6)
