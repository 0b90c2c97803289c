"""How recall holds where the queries' drive goes otherwise than the map's: at other speeds, with stops or lost frames.

Every condition makes another drive of the split's own query frames (``datasets/altered.py``): each query still has one
window, which is of the same frame, so that every row of the table counts the same queries against the same places.
"""

from dataclasses import replace

import numpy as np

from opticornet.datasets.altered import Pace, at_pace, speed_of
from opticornet.datasets.pace import steady, with_lost_frames, with_repeated_frames, with_stop
from opticornet.evaluation.scene import Scene

AS_RECORDED = "1x"
SINGLE_FRAME = "single frame"
SHARE = 1 / 3  # of the frames that are lost, or repeated


def _with_stop(count: int, length: int, generator: np.random.Generator) -> np.ndarray:
    return with_stop(steady(np.ones(count), length), length // 2, generator)


def _with_lost_frames(count: int, length: int, generator: np.random.Generator) -> np.ndarray:
    return with_lost_frames(steady(np.ones(count), length), SHARE, generator)


def _with_repeated_frames(count: int, length: int, generator: np.random.Generator) -> np.ndarray:
    return with_repeated_frames(steady(np.ones(count), length), SHARE, generator)


PACES: dict[str, Pace] = {
    "0.2x": speed_of(0.2),
    "0.4x": speed_of(0.4),
    "0.5x": speed_of(0.5),
    AS_RECORDED: speed_of(1),
    "2x": speed_of(2),
    "2.5x": speed_of(2.5),
    "reversed": speed_of(-1),
    "standing": speed_of(0),
    "stop": _with_stop,
    "lost frames": _with_lost_frames,
    "repeated frames": _with_repeated_frames,
}
"""The conditions: how many times as fast as recorded; driven backwards; all frames of a window the same one; standing
for half of a window's steps, anywhere in it; a third of the frames lost at random; a third of them repeating the one
before."""


def altered(scene: Scene, pace: Pace, longest: int, seed: int) -> Scene:
    """The scene with the queries' drive at another pace.

    Args:
        scene: as recorded.
        pace: of the queries' drive.
        longest: frames of the longest window that is asked for.
        seed: of a random pace, from which every scene draws the same.
    """
    query = at_pace(scene.query, pace, longest, np.random.default_rng(seed))
    return replace(scene, query=query, split=replace(scene.split, query=query.traverse))
