"""The part of every image that is taken."""

from dataclasses import dataclass

import numpy as np

from opticornet.datasets.images.decoding import BadImageError
from opticornet.utils.errors import UserError


@dataclass(frozen=True)
class Crop:
    """A rectangle of pixels, from the upper left corner of an image as it is shown; right and bottom are excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def of_option(cls, values: tuple[int, ...]) -> "Crop | None":
        """The argument ``crop``; None where it is empty: whole images.

        Raises:
            UserError: it is no rectangle.
        """
        if not values:
            return None
        if len(values) != 4 or not (0 <= values[0] < values[2] and 0 <= values[1] < values[3]):
            raise UserError(
                f"`crop` {' '.join(map(str, values))}: wanted left, top, right and bottom of what is taken, in pixels, "
                "such as 0 0 1280 800"
            )
        return cls(*values)

    def of(self, image: np.ndarray) -> np.ndarray:
        """The rectangle of an image (H, W) or (H, W, 3).

        Raises:
            BadImageError: the image does not hold it.
        """
        height, width = image.shape[:2]
        if self.right > width or self.bottom > height:
            crop = f"{self.left} {self.top} {self.right} {self.bottom}"
            raise BadImageError(f"it has {width} x {height} pixels, fewer than `crop` {crop} reaches to")
        return np.ascontiguousarray(image[self.top : self.bottom, self.left : self.right])
