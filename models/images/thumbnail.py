"""SeqSLAM's image descriptor: a tiny grey image, each patch brought to zero mean and unit deviation.

Milford and Wyeth, "SeqSLAM: Visual Route-Based Navigation for Sunny Summer Days and Stormy Winter Nights",
ICRA 2012, section III: 64x32 pixels, 8x8 patches.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from opticornet.models.images.base import PrecomputedEncoder, ResizingOptions, box_resize

PATCH = 8


@dataclass(frozen=True)
class Thumbnail:
    """luma, uint8 (H, W) -> float32 (height * width,): shrunk by averaging, then patch-normalised, row-major.

    A patch without texture (deviation below half a grey level) becomes zeros rather than magnified noise.
    """

    size: tuple[int, int]
    grey: ClassVar[bool] = True

    def __call__(self, image: np.ndarray) -> np.ndarray:
        grey = box_resize(image, self.size)
        return patch_normalise(grey).ravel()


def patch_normalise(grey: np.ndarray, patch: int = PATCH, flat: float = 0.5) -> np.ndarray:
    """(H, W) -> float32 (H, W), each patch x patch square minus its mean over its deviation; H, W multiples of it."""
    height, width = grey.shape
    patches = grey.astype(np.float32).reshape(height // patch, patch, width // patch, patch)
    centred = patches - patches.mean((1, 3), keepdims=True)
    deviation = np.sqrt(np.square(centred).mean((1, 3), keepdims=True))
    normal = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > flat)
    return normal.reshape(height, width)


def build_thumbnail(*, image_size: tuple[int, int] = (32, 64)) -> PrecomputedEncoder:
    """The thumbnail encoder, 2048-D at SeqSLAM's 64x32 pixels. ``image_size`` is (height, width).

    Raises:
        ValueError: the size is no multiple of the patch.
    """
    height, width = image_size
    if height % PATCH or width % PATCH:
        raise ValueError(f"thumbnails are cut into {PATCH}x{PATCH} patches: {height}x{width} is no multiple of that")
    return PrecomputedEncoder(Thumbnail(image_size), height * width)


@dataclass(frozen=True, kw_only=True)
class ThumbnailOptions(ResizingOptions):
    """``thumbnail``."""

    keeps_size: ClassVar[bool] = False

    def build(self) -> PrecomputedEncoder:
        return build_thumbnail(**self.resizing())
