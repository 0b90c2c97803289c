"""The similarity of every query with every reference, brought to a size that can be looked at."""

from dataclasses import dataclass

import numpy as np

_BLOCK = 1 << 24  # similarities held at a time, 64 MiB


@dataclass(frozen=True)
class SimilarityMatrix:
    """Cosine similarities.

    Attributes:
        values: (ceil(M / factor), ceil(N / factor)) float32; queries down, references across.
        shape: (M, N) before it was brought down.
        factor: each value is the largest of ``factor`` x ``factor`` similarities, so that no confusable pair is lost.
        what: the vectors compared, in words.
    """

    values: np.ndarray
    shape: tuple[int, int]
    factor: int
    what: str


def similarity_matrix(reference: np.ndarray, query: np.ndarray, max_side: int, what: str) -> SimilarityMatrix:
    """Compare all rows of ``query`` (M, O) with all of ``reference`` (N, O), both of unit length.

    Args:
        max_side: longest side of the result.
        what: what the rows are, in words.
    """
    shape = (len(query), len(reference))
    factor = -(-max(shape) // max_side)
    columns = np.arange(0, shape[1], factor)
    rows_at_once = max(1, _BLOCK // shape[1] // factor) * factor
    parts = []
    for first in range(0, shape[0], rows_at_once):
        tile = query[first : first + rows_at_once] @ reference.T
        tile = np.maximum.reduceat(tile, columns, axis=1)
        parts.append(np.maximum.reduceat(tile, np.arange(0, len(tile), factor), axis=0))
    return SimilarityMatrix(np.concatenate(parts), shape, factor, what)


def contrast(values: np.ndarray) -> tuple[float, float]:
    """The range shown: the 1st to the 99.8th percentile, so that a few outliers do not flatten the rest."""
    low, high = np.quantile(values, [0.01, 0.998])
    return float(low), float(high) if high > low else float(low) + 1e-6


def to_bytes(values: np.ndarray, low: float, high: float, levels: int = 64) -> np.ndarray:
    """uint8 palette entries of ``values`` over [low, high], in ``levels`` steps (fewer steps, smaller file)."""
    scaled = np.clip((values - low) / (high - low), 0, 1)
    return np.round(scaled * (levels - 1)).astype(np.uint8)
