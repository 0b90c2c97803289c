"""Views of an equirectangular panorama: what cameras in its place would see."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra


@dataclass(frozen=True)
class Cut:
    """How panoramas are cut: square views at evenly spaced yaws, the first one straight ahead (the panorama's middle).

    Attributes:
        views: how many.
        field: of view, degrees in either direction.
        pitch: degrees above the horizon.

    Raises:
        UserError: no views, a field of 0 or from 180 degrees, a pitch beyond the zenith.
    """

    views: int
    field: float = 90.0
    pitch: float = 0.0

    def __post_init__(self) -> None:
        if self.views < 1 or not 0 < self.field < 180 or not -90 <= self.pitch <= 90:
            raise UserError(
                f"`cut` {self.views} `view_field` {self.field:g} `view_pitch` {self.pitch:g}: wanted at least 1 view, "
                "a field between 0 and 180 degrees and a pitch of -90 to 90"
            )

    @property
    def yaws(self) -> tuple[float, ...]:
        """Degrees to the right of straight ahead, of each view."""
        return tuple(360 * view / self.views for view in range(self.views))


def is_panorama(height: int, width: int) -> bool:
    """Whether an image of this size can be equirectangular: 360 by 180 degrees."""
    return width == 2 * height


def cut_views(image: np.ndarray, cut: Cut) -> list[np.ndarray]:
    """The views of a panorama uint8 (H, 2 H, 3): uint8 (S, S, 3) each, S the pixels that the field takes of its width.

    Raises:
        UserError: the image is no panorama.
    """
    height, width = image.shape[:2]
    if not is_panorama(height, width):
        raise UserError(f"{width} x {height} pixels; a panorama of 360 degrees is twice as wide as high")
    with needs_extra("images"):
        import cv2

    views = []
    for yaw in cut.yaws:
        columns, rows = _places(height, width, yaw, cut.pitch, cut.field)
        views.append(cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP))
    return views


@lru_cache(maxsize=64)
def _places(height: int, width: int, yaw: float, pitch: float, field: float) -> tuple[np.ndarray, np.ndarray]:
    """Column and row in the panorama of each pixel of a view, float32 (S, S) both."""
    side = max(1, round(width * field / 360))
    focal = side / 2 / np.tan(np.radians(field) / 2)
    offsets = (np.arange(side) + 0.5 - side / 2) / focal
    right, down = np.meshgrid(offsets, offsets)  # (S, S)
    tilt = np.radians(pitch)
    down, ahead = down * np.cos(tilt) - np.sin(tilt), np.cos(tilt) + down * np.sin(tilt)  # turned upwards
    longitude = np.arctan2(right, ahead) + np.radians(yaw)
    latitude = np.arctan2(down, np.hypot(right, ahead))  # down from the horizon
    columns = (longitude / (2 * np.pi) + 0.5) % 1 * width - 0.5
    rows = np.clip((latitude / np.pi + 0.5) * height - 0.5, 0, height - 1)
    return columns.astype(np.float32), rows.astype(np.float32)
