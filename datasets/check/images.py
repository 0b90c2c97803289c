"""Which images of many are there, and what some of them are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SAMPLED_IMAGES = 16  # of each traverse or set of places that are decoded


@dataclass(frozen=True)
class ImagesReport:
    """The images of a traverse, or of places.

    Attributes:
        source: the folder or table that names them.
        missing: paths that are no files.
        sizes: "width x height" of those decoded, :data:`SAMPLED_IMAGES` spread over all, to how many have it.
        bad: path and fault of those that cannot be decoded.
    """

    source: str
    missing: tuple[str, ...]
    sizes: dict[str, int]
    bad: tuple[tuple[str, str], ...]


def images_report(source: str, images: Sequence[str]) -> ImagesReport:
    """Look for all images, and decode some.

    Args:
        source: what names them.
        images: their paths.
    """
    from opticornet.datasets.images.decoding import BadImageError, without_warnings
    from opticornet.datasets.images.frames import missing_images
    from opticornet.datasets.images.recordings import read_image

    missing = missing_images(images)
    gone = set(missing)
    there = [path for path in images if path not in gone]
    sizes: dict[str, int] = {}
    bad = []
    chosen = np.unique(np.linspace(0, len(there) - 1, min(len(there), SAMPLED_IMAGES)).astype(int)).tolist()
    with without_warnings():
        for path in (there[number] for number in chosen):
            try:
                height, width = read_image(Path(path)).shape[:2]
            except BadImageError as error:
                bad.append((path, str(error)))
                continue
            size = f"{width} x {height}"
            sizes[size] = sizes.get(size, 0) + 1
    return ImagesReport(source, tuple(missing), sizes, tuple(bad))
