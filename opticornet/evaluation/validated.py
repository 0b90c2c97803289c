"""A validation, as training passes it to its logs."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class EncodedSide:
    """The windows of one side of a split.

    Attributes:
        traverse: its name.
        vectors: (N, O) float32 unit rows.
        positions: (N, P) float64.
        names: N frame names, or None.
        images: N image paths, or None.
        drives: name of each one's drive, where there are several; else None.
    """

    traverse: str
    vectors: np.ndarray
    positions: np.ndarray
    names: tuple[str, ...] | None = None
    images: tuple[str, ...] | None = None
    drives: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Validated:
    """What a validation encoded and found.

    Attributes:
        reference, query: the two sides.
        distances: (M,) of each query's first match.
        correct: (M,) bool, that match is right.
        nearest: (M,) int64 the reference nearest to each query's position, -1 where none is known.
    """

    reference: EncodedSide
    query: EncodedSide
    distances: np.ndarray
    correct: np.ndarray
    nearest: np.ndarray
