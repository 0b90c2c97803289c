"""Which grey levels of deep images (16 bits and more) become black and white.

A thermal camera uses a few hundred of 65536 levels; scaled by what a pixel could hold they would be three of 256.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from opticornet.datasets.images.recordings import read_deep_pixels
from opticornet.datasets.images.sources import ImageFiles, ImageSource
from opticornet.utils.errors import UserError

SAMPLED_IMAGES = 64
SAMPLED_PIXELS = 1 << 14  # of each
CLIPPED = 0.1  # per cent of the sampled pixels at either end: dead pixels, a hot engine


class Levels(NamedTuple):
    """Pixels up to ``low`` become 0, those from ``high`` on 255."""

    low: float
    high: float


def find_levels(sources: Sequence[ImageSource]) -> Levels | None:
    """The range that the deep images of some sources fill, but for :data:`CLIPPED` at either end.

    Looks at :data:`SAMPLED_IMAGES` images spread over each source and at pixels spread over each image: the same images
    always give the same range. Images that cannot be decoded are passed over.

    Returns:
        None where no deep image is among them.
    """
    samples = [_sample(path) for source in sources if isinstance(source, ImageFiles) for path in _spread(source)]
    values = np.concatenate([np.empty(0), *(sample for sample in samples if sample is not None)])
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low = float(np.percentile(values, CLIPPED, method="lower"))
    high = float(np.percentile(values, 100 - CLIPPED, method="higher"))
    return Levels(low, high if high > low else low + 1)


def with_levels(source: ImageSource, levels: Levels | None = None) -> ImageSource:
    """The source, its deep images scaled from these levels, by default from its own; a video has none."""
    return replace(source, levels=levels or find_levels([source])) if isinstance(source, ImageFiles) else source


def checked_levels(values: tuple[float, ...]) -> Levels:
    """The argument ``levels``.

    Raises:
        UserError: it is not two rising numbers.
    """
    if len(values) != 2 or not values[0] < values[1]:
        raise UserError(
            f"`levels` {' '.join(f'{value:g}' for value in values)}: wanted the grey levels that become black and "
            "white, the lower one first"
        )
    return Levels(*values)


def _spread(source: ImageFiles) -> list[Path]:
    count = len(source.names)
    rows = np.unique(np.linspace(0, count - 1, min(count, SAMPLED_IMAGES)).round().astype(int))
    return [source.root / source.names[row] for row in rows]


def _sample(path: Path) -> np.ndarray | None:
    """Some pixels of a deep image, (P,); None of another one."""
    pixels = read_deep_pixels(path)
    if pixels is None:
        return None
    return pixels.ravel()[:: -(-pixels.size // SAMPLED_PIXELS)].astype(np.float64)
