"""What of a scene is worth a line before its numbers: frames left out, and windows that reach over jumps."""

import numpy as np

from opticornet.datasets.spacing import Steps
from opticornet.datasets.traverse import Traverse
from opticornet.datasets.windows import Windows
from opticornet.evaluation.scene import Scene


def over_jumps(side: Windows, radius: float) -> tuple[int, str]:
    """How many windows of one drive reach over a jump (:meth:`Steps.jumps`), and the largest jump in words; 0 and ""
    without."""
    jumps = Steps.of(side.traverse).jumps(radius)
    if not len(jumps):
        return 0, ""
    ends = np.append(jumps.after, len(side.traverse))[np.searchsorted(jumps.after, side.starts, "right")]
    return int((ends < side.starts + side.length).sum()), jumps.largest()


def notes(scene: Scene) -> list[str]:
    """One line for each drive of a scene and each kind of thing there is to say; of windows that are left out one for
    each side; and one of a running mean that begins from the map, for want of training queries."""
    lines = []
    if why := scene.adaptation.why_map:
        lines.append(f"{scene.query.traverse.name}: `adapt` running begins from the map's mean: {why}")
    for side in (scene.reference, scene.query):
        for drive in side.parts:
            lines += _lines(drive.traverse, _of_frames(drive, scene))
        lines += _lines(side.traverse, _of_windows(side))
    return lines


def _lines(traverse: Traverse, said: tuple[tuple[int, str], ...]) -> list[str]:
    return [f"{traverse.name}: {count} of {len(traverse)} {what}" for count, what in said if count]


def _of_windows(side: Windows) -> tuple[tuple[int, str], ...]:
    """How many windows are left out, and why."""
    return (
        (side.unusable, "windows that hold unusable frames are left out (`fill_frames` fills them)"),
        (side.too_short, "frames of sequences shorter than a window are left out"),
    )


def _of_frames(drive: Windows, scene: Scene) -> tuple[tuple[int, str], ...]:
    """What there is to say of the frames of one drive."""
    traverse, (reaching, largest) = drive.traverse, over_jumps(drive, scene.radius)
    filled = 0 if traverse.filled is None else int(traverse.filled.sum())
    unplaced = 0 if scene.split.positive_radius is None else int((traverse.is_scored & ~traverse.placed).sum())
    return (
        (unplaced, "frames without a position are neither queries nor places"),
        (filled, "unusable frames are filled from their neighbours"),
        (
            reaching,
            f"windows reach over a jump inside a sequence, the largest {largest} {scene.split.units}; max_step in "
            "dataset.toml, or a sequence column, ends sequences there",
        ),
    )
