"""Many queries in a picture of few pixels: bins divided by the share of each outcome, so that none hides another."""

from dataclasses import dataclass

import numpy as np

MANY = 1500  # queries from which on they are binned
_OUTCOMES = 4


def shares_along(outcome: np.ndarray, bins: int) -> np.ndarray:
    """(M,) outcomes along the drive to (bins, 4) float64: the share of each in equal parts of it; bins at most M."""
    part = np.arange(len(outcome)) * bins // len(outcome)
    counts = np.zeros((bins, _OUTCOMES))
    np.add.at(counts, (part, outcome), 1)
    return counts / counts.sum(axis=1, keepdims=True)


def stacked_picture(shares: np.ndarray, height: int) -> np.ndarray:
    """(B, 4) shares to (height, B) int64 outcomes: each column stacked, right ones at the bottom."""
    edges = shares.cumsum(axis=1)  # (B, 4)
    level = (np.arange(height)[::-1] + 0.5) / height
    return np.minimum((level[:, None, None] >= edges[None]).sum(axis=2), _OUTCOMES - 1)


@dataclass(frozen=True)
class Squares:
    """Squares of a map that hold queries.

    Attributes:
        corners: (S, 2) float64, lower left corner of each.
        size: width and height of all, (2,) float64.
        shares: (S, 4) float64 of each outcome.
        strength: (S,) float64 in (0, 1], smaller where there are fewer queries.
    """

    corners: np.ndarray
    size: np.ndarray
    shares: np.ndarray
    strength: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, outcome: np.ndarray, size: tuple[float, float]) -> "Squares":
        """(M, 2) places, NaN for none, and (M,) outcomes in squares of ``size``."""
        placed = np.isfinite(points).all(axis=1)
        points, outcome = points[placed], outcome[placed]
        where, square = np.unique(np.floor(points / size).astype(np.int64), axis=0, return_inverse=True)
        counts = np.zeros((len(where), _OUTCOMES))
        np.add.at(counts, (square.ravel(), outcome), 1)
        held = counts.sum(axis=1)
        usual = np.quantile(np.repeat(held, held.astype(int)), 0.8)  # of the queries' squares
        strength = np.clip(np.sqrt(held / usual), 0.2, 1)
        return cls(where * np.asarray(size), np.asarray(size), counts / held[:, None], strength)

    def rectangles(self, what: int) -> np.ndarray:
        """(S', 4, 2) float64 corners of the part that an outcome has of each square; right ones at the bottom."""
        tops = self.shares.cumsum(axis=1)
        chosen = self.shares[:, what] > 0
        x, y = self.corners[chosen].T
        top, bottom = (tops[chosen, what], tops[chosen, what] - self.shares[chosen, what])
        width, height = self.size
        xs = np.stack([x, x + width, x + width, x], axis=1)
        ys = np.stack([y + bottom * height, y + bottom * height, y + top * height, y + top * height], axis=1)
        return np.stack([xs, ys], axis=2)
