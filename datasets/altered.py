"""A drive as it would have been recorded at another pace: windows of its own frames, chosen anew and never copied."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from opticornet.datasets.descriptors.arrays import LazyRows
from opticornet.datasets.pace import frames_at_pace, own_positions, steady
from opticornet.datasets.traverse import Drive, Traverse
from opticornet.datasets.windows import Windows

Pace = Callable[[int, int, np.random.Generator], np.ndarray]
"""Steps (B, L - 1) of ``B`` windows of ``L`` frames (``pace.py``), random ones from the generator."""


def at_pace(windows: Windows, pace: Pace, longest: int, generator: np.random.Generator) -> Windows:
    """The windows of the same frames, had their drive gone at another pace.

    Every window becomes a sequence of its own, of ``longest`` frames; they lie one after the other in a traverse that
    serves each frame when it is asked for. What lies beyond a window's own sequence or behind an unusable frame is in
    no window, as before.

    Args:
        windows: M windows of the recorded drive.
        pace: of the altered one.
        longest: frames of the longest window that :meth:`Windows.with_length` will be asked for; at least
            ``windows.length``.
        generator: of a random pace.

    Returns:
        M windows in the same order, of the same length and rule. At a pace of ones they hold the same frames.
    """
    frames, own = frames_at(windows.with_length(longest), pace(len(windows), longest, generator))
    traverse = replace(_chosen(windows.traverse, frames), joined=_drives(windows, longest))
    altered = replace(windows, traverse=traverse, rows=longest * np.arange(len(windows)) + own, short="refuse")
    return altered.with_length(windows.length)


def at_speed(windows: Windows, speed: float) -> Windows:
    """:func:`at_pace` of a drive ``speed`` times as fast; the windows themselves as they were recorded, at 1."""
    if speed == 1:
        return windows
    return at_pace(windows, speed_of(speed), windows.length, np.random.default_rng())


def speed_of(speed: float) -> Pace:
    """The pace of a drive ``speed`` times as fast: 0 stands, -1 is driven backwards."""
    return lambda count, length, generator: steady(np.full(count, speed), length)


def frames_at(windows: Windows, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The frames that windows hold at a pace.

    Args:
        windows: M windows of L frames of the recorded drive.
        steps: (M, L - 1) or (1, L - 1) float64, see ``pace.py``.

    Returns:
        (M, L) int64 rows of the traverse, in the order of the drive, and (M,) int64 position of each one's own frame.
    """
    recorded = replace(windows, backwards=False)  # a pace is that of the drive, however it is read
    where = recorded.rows, recorded.surroundings, steps, recorded.anchor
    return frames_at_pace(*where), own_positions(*where)


def _chosen(traverse: Traverse, frames: np.ndarray) -> Traverse:
    """The frames (M, L) int64 of a traverse as a traverse of M sequences of L frames."""
    rows = frames.ravel()
    starts = np.repeat(np.arange(0, len(rows), frames.shape[1]), frames.shape[1])
    descriptors, local = traverse.descriptors, traverse.local_features
    names, images = (
        values and tuple(values[row] for row in rows.tolist()) for values in (traverse.names, traverse.images)
    )
    return replace(
        traverse,
        descriptors=None if descriptors is None else LazyRows(descriptors, rows),
        positions=traverse.positions[rows],
        bounds=np.stack([starts, starts + frames.shape[1]], axis=1),
        names=names,
        timestamps=None if traverse.timestamps is None else traverse.timestamps[rows],
        images=images,
        drive_images=traverse.drive_images or traverse.images,
        lat_lon=None if traverse.lat_lon is None else traverse.lat_lon[rows],
        local_features=None if local is None else LazyRows(local, rows),
        scored=None,
        usable=None,
        filled=None if traverse.filled is None else traverse.filled[rows],
        first_row=0,
    )


def _drives(windows: Windows, longest: int) -> tuple[Drive, ...]:
    """The drives that windows of ``longest`` frames are of, where they lie one after the other."""
    drives = windows.traverse.joined
    images = [drive.drive_images or (windows.traverse.images or ())[drive.start : drive.stop] for drive in drives]
    return tuple(
        replace(drive, start=longest * some.start, stop=longest * some.stop, drive_images=names or None)
        for drive, names, some in zip(drives, images, windows.by_drive, strict=False)
        if some.start < some.stop
    )
