"""Latitudes and longitudes: to local metres, and across the 180th meridian."""

import numpy as np


def local_metres(latlon_deg: np.ndarray, origin_deg: np.ndarray) -> np.ndarray:
    """East, north, up in metres in the plane that touches the WGS84 ellipsoid at ``origin_deg``.

    The points are taken on the ellipsoid (height 0), turned into Earth-centred Cartesian coordinates and rotated.
    That is an isometry: distances between points are straight-line distances wherever they lie, even hundreds of
    kilometres from the origin, which a flat projection would stretch. "Up" is how far the ellipsoid has curved
    away below the plane. Two traverses are comparable when they share the origin.

    Args:
        latlon_deg: (N, 2) degrees.
        origin_deg: (2,) degrees.

    Returns:
        (N, 3) float64 metres.
    """
    from pymap3d import geodetic2enu

    latitude, longitude = np.asarray(latlon_deg, np.float64).T
    return np.stack(geodetic2enu(latitude, longitude, np.zeros(len(latitude)), *origin_deg, 0.0), axis=1)


def without_jumps(longitudes: np.ndarray) -> np.ndarray:
    """(N,) degrees of a drive that may cross the 180th meridian, as numbers that can be interpolated."""
    return np.unwrap(longitudes, period=360)


def on_globe(longitudes: np.ndarray) -> np.ndarray:
    """(N,) degrees, those that left [-180, 180] put back; the others as they are."""
    return np.where(np.abs(longitudes) > 180, (longitudes + 180) % 360 - 180, longitudes)
