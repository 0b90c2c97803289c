"""Colour from raw frames, which have one colour per pixel (Bayer mosaic)."""

import numpy as np

from opticornet.utils.extras import needs_extra

# Colours of the first two pixels of the first two rows. Oxford RobotCar: stereo gbrg, mono rggb.
PATTERNS = ("rggb", "bggr", "grbg", "gbrg")


def demosaic(raw: np.ndarray, pattern: str) -> np.ndarray:
    """Interpolate the two colours each pixel lacks from its neighbours (bilinear, as the RobotCar SDK does).

    Args:
        raw: uint8 or uint16 (H, W), H and W at least 2.
        pattern: one of :data:`PATTERNS`.

    Returns:
        (H, W, 3) RGB of the same type.

    Raises:
        ValueError: another shape, type or pattern.
    """
    with needs_extra("images"):
        import cv2

    if raw.ndim != 2 or min(raw.shape) < 2 or raw.dtype not in (np.uint8, np.uint16) or pattern not in PATTERNS:
        raise ValueError(f"raw frame of shape {raw.shape}, {raw.dtype}, pattern {pattern}; wanted one colour per pixel")
    return cv2.demosaicing(raw, getattr(cv2, f"COLOR_Bayer{pattern.upper()}2RGB"))
