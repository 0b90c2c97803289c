"""Windows of a drive at another pace: faster, slower, standing, with frames lost or repeated, or backwards.

A pace is the *steps* of a window, (L - 1,) numbers: how many frames of the recorded drive lie between each of its
frames and the next. All ones are the drive as it was recorded; ``v`` is a drive ``v`` times as fast, 0 stands still, 2
has lost a frame, -1 goes backwards. Random numbers come from the generator that is passed in.
"""

import numpy as np


def frames_at_pace(rows: np.ndarray, bounds: np.ndarray, steps: np.ndarray, anchor: int) -> np.ndarray:
    """The frames of some windows of a drive at another pace.

    A window holds its own frame, at position ``anchor``; where it would then leave its sequence, at the nearest
    position at which it does not. A window too long for its sequence stands at the sequence's end for a while. Places
    between two frames are rounded to a frame, halves up. With steps of 1 these are the windows of ``windows.py``.

    Args:
        rows: (B,) int64 each window's own frame.
        bounds: (B, 2) int64 half-open range of the frames that each window may hold, its own among them.
        steps: (B, L - 1) float64, or (L - 1,) for all windows.
        anchor: position of a window's own frame, 0 to L - 1.

    Returns:
        (B, L) int64 rows of the drive, within ``bounds``; each window holds its own row.
    """
    travelled = _travelled(rows, steps)
    own = _own_positions(rows, bounds, travelled, anchor)
    from_own = travelled - np.take_along_axis(travelled, own[:, None], axis=1)  # (B, L)
    return np.clip(rows[:, None] + _rounded(from_own), bounds[:, :1], bounds[:, 1:] - 1)


def own_positions(rows: np.ndarray, bounds: np.ndarray, steps: np.ndarray, anchor: int) -> np.ndarray:
    """Where each window holds its own frame: of the positions at which the least of it lies outside of its bounds, the
    nearest to ``anchor``.

    Args:
        rows, bounds, steps, anchor: as :func:`frames_at_pace` takes them.

    Returns:
        (B,) int64.
    """
    return _own_positions(rows, bounds, _travelled(rows, steps), anchor)


def steady(speeds: np.ndarray, length: int) -> np.ndarray:
    """(B, L - 1) float64 steps of windows at one speed each, (B,)."""
    return np.repeat(np.asarray(speeds, np.float64)[:, None], length - 1, axis=1)


def with_stop(steps: np.ndarray, standing: int, generator: np.random.Generator) -> np.ndarray:
    """The steps (B, L - 1) with ``standing`` neighbouring ones of each window 0, drawn where."""
    count, last = steps.shape[1], steps.shape[1] - standing
    first = generator.integers(last + 1, size=(len(steps), 1))  # (B, 1)
    places = np.arange(count)
    return np.where((places >= first) & (places < first + standing), 0.0, steps)


def with_lost_frames(steps: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """The steps (B, L - 1) of a drive that lost each of its frames with probability ``share``, below 1: each becomes as
    many steps as frames were lost before the next that was not, and one."""
    return steps * generator.geometric(1 - share, size=steps.shape)


def with_repeated_frames(steps: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """The steps (B, L - 1) of a drive whose frames each repeat the one before with probability ``share``."""
    return np.where(generator.random(steps.shape) < share, 0.0, steps)


def _own_positions(rows: np.ndarray, bounds: np.ndarray, travelled: np.ndarray, anchor: int) -> np.ndarray:
    first = rows[:, None] + _rounded(travelled.min(axis=1, keepdims=True) - travelled)  # (B, L), by own position
    last = rows[:, None] + _rounded(travelled.max(axis=1, keepdims=True) - travelled)
    outside = np.maximum(bounds[:, :1] - first, 0) + np.maximum(last - bounds[:, 1:] + 1, 0)
    length = travelled.shape[1]
    return np.argmin(outside * length + np.abs(np.arange(length) - anchor), axis=1)


def _travelled(rows: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """(B, L) float64 frames between each window's first frame and each of its frames."""
    steps = np.broadcast_to(steps, (len(rows), np.shape(steps)[-1]))
    return np.pad(np.cumsum(steps, axis=1, dtype=np.float64), ((0, 0), (1, 0)))


def _rounded(places: np.ndarray) -> np.ndarray:
    return np.floor(places + 0.5 + 1e-9).astype(np.int64)
