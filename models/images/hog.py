"""Histograms of oriented gradients, the descriptor that needs no training and no weights.

Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005: cells of 8x8 pixels, blocks of
2x2 cells, L2-Hys. Two choices differ from theirs, which were made for people in any clothing: gradients keep
their sign (16 bins over the full circle), for in a place dark on light stays so; and the image is a 64x64 square
whatever its aspect.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from opticornet.models.images.base import PrecomputedEncoder, ResizingOptions, box_resize
from opticornet.utils.extras import needs_extra

CELL = 8
BLOCK = 2
BINS = 16
CLIP = 0.2
FLAT = 0.01  # added to a block's length: gradients (grey levels / 255) far below it are noise


@dataclass(frozen=True)
class Hog:
    """luma, uint8 (H, W) -> float32 (out_dims,): blocks row-major, in each its cells row-major, in each the bins."""

    size: tuple[int, int]
    grey: ClassVar[bool] = True

    def __call__(self, image: np.ndarray) -> np.ndarray:
        grey = box_resize(image, self.size) / np.float32(255)
        return normalise_blocks(cell_histograms(grey)).ravel()


def cell_histograms(grey: np.ndarray) -> np.ndarray:
    """Gradient magnitude by direction in each cell: float32 (H, W) in 0 to 1 -> float32 (H/8, W/8, bins).

    Each pixel's magnitude is shared between the two bins whose centres enclose its direction.
    """
    with needs_extra("images"):
        import cv2

    height, width = grey.shape
    tap = np.array([-1, 0, 1], np.float32)
    one = np.ones(1, np.float32)
    dx = cv2.sepFilter2D(grey, cv2.CV_32F, tap, one, borderType=cv2.BORDER_REPLICATE)
    dy = cv2.sepFilter2D(grey, cv2.CV_32F, one, tap, borderType=cv2.BORDER_REPLICATE)
    magnitude, angle = cv2.cartToPolar(dx, dy)  # angle in [0, 2 pi)
    place = angle * np.float32(BINS / (2 * np.pi)) - np.float32(0.5)
    lower = np.floor(place).astype(np.intp)
    upper_share = magnitude * (place - lower)
    rows, columns = height // CELL, width // CELL
    cell = (np.arange(height) // CELL)[:, None] * columns + np.arange(width) // CELL  # (H, W)
    first = cell * BINS
    bins = np.concatenate([(first + lower % BINS).ravel(), (first + (lower + 1) % BINS).ravel()])
    weights = np.concatenate([(magnitude - upper_share).ravel(), upper_share.ravel()])
    histograms = np.bincount(bins, weights, minlength=rows * columns * BINS)
    return histograms.reshape(rows, columns, BINS).astype(np.float32)


def normalise_blocks(cells: np.ndarray) -> np.ndarray:
    """L2-Hys over overlapping 2x2 blocks: (R, C, bins) -> (R - 1, C - 1, 4 * bins).

    Unit length, entries clipped at 0.2, unit length again.
    """
    rows, columns = cells.shape[0] - BLOCK + 1, cells.shape[1] - BLOCK + 1
    blocks = np.concatenate([cells[i : i + rows, j : j + columns] for i in range(BLOCK) for j in range(BLOCK)], axis=2)
    clipped = np.minimum(_unit_length(blocks, FLAT), CLIP)
    return _unit_length(clipped, 1e-3)


def _unit_length(blocks: np.ndarray, floor: float) -> np.ndarray:
    return blocks / np.sqrt(np.square(blocks).sum(2, keepdims=True) + np.float32(floor**2))


def build_hog(*, image_size: tuple[int, int] = (64, 64)) -> PrecomputedEncoder:
    """The HOG encoder, 3136-D at 64x64 pixels. ``image_size`` is (height, width).

    Raises:
        ValueError: the size is no multiple of a cell, or smaller than a block.
    """
    height, width = image_size
    if height % CELL or width % CELL or min(image_size) < BLOCK * CELL:
        raise ValueError(f"HOG is made of {CELL}x{CELL} cells, at least {BLOCK} per side: got {height}x{width} pixels")
    blocks = (height // CELL - BLOCK + 1) * (width // CELL - BLOCK + 1)
    return PrecomputedEncoder(Hog(image_size), blocks * BLOCK**2 * BINS)


@dataclass(frozen=True, kw_only=True)
class HogOptions(ResizingOptions):
    """``hog``."""

    keeps_size: ClassVar[bool] = False

    def build(self) -> PrecomputedEncoder:
        return build_hog(**self.resizing())
