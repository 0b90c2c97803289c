"""Which frames a window holds.

Frame ``i`` with sequence length ``L`` looks at frames ``[i - L//2, i + L - L//2)``, shifted back inside its own
sequence where it would leave it (SeqNet's rule), so every frame has a window.
"""

import numpy as np


def window_starts(bounds: np.ndarray, length: int) -> np.ndarray:
    """First frame of every frame's window.

    Args:
        bounds: (N, 2) int64 half-open range of each frame's own sequence.
        length: frames in a window, L.

    Returns:
        (N,) int64; the window of frame i is ``[starts[i], starts[i] + length)``.

    Raises:
        ValueError: some sequence is shorter than ``length``.
    """
    low, high = bounds[:, 0], bounds[:, 1]
    if len(bounds) and int((high - low).min()) < length:
        raise ValueError(f"a sequence of {int((high - low).min())} frames cannot hold a window of {length}")
    return np.clip(np.arange(len(bounds)) - length // 2, low, high - length)


def window_indices(starts: np.ndarray, length: int) -> np.ndarray:
    """(M,) window starts to (M, L) frame indices."""
    return starts[:, None] + np.arange(length)


def inside(bounds: np.ndarray, length: int) -> np.ndarray:
    """(N,) bool: frames whose unshifted window of ``length`` stays within their own sequence.

    These are the frames ``--seqL_filterData length`` keeps.
    """
    first = np.arange(len(bounds)) - length // 2
    return (first >= bounds[:, 0]) & (first + length <= bounds[:, 1])
