"""Latitude and longitude to local metres."""

import numpy as np

_SEMI_MAJOR_M = 6378137.0  # WGS84
_FLATTENING = 1 / 298.257223563


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
    latitude, longitude = np.radians(origin_deg)
    east = [-np.sin(longitude), np.cos(longitude), 0.0]
    north = [
        -np.sin(latitude) * np.cos(longitude),
        -np.sin(latitude) * np.sin(longitude),
        np.cos(latitude),
    ]
    up = np.cross(east, north)
    offset = _earth_centred(latlon_deg) - _earth_centred(np.reshape(origin_deg, (1, 2)))  # (N, 3)
    return offset @ np.stack([east, north, up], axis=1)


def _earth_centred(latlon_deg: np.ndarray) -> np.ndarray:
    """(N, 2) degrees on the ellipsoid to (N, 3) Earth-centred, Earth-fixed metres."""
    latitude, longitude = np.radians(latlon_deg).T
    eccentricity_squared = _FLATTENING * (2 - _FLATTENING)
    prime_vertical = _SEMI_MAJOR_M / np.sqrt(1 - eccentricity_squared * np.sin(latitude) ** 2)
    return np.stack(
        [
            prime_vertical * np.cos(latitude) * np.cos(longitude),
            prime_vertical * np.cos(latitude) * np.sin(longitude),
            prime_vertical * (1 - eccentricity_squared) * np.sin(latitude),
        ],
        axis=1,
    )
