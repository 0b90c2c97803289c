"""What of a scene is worth a line before its numbers: frames left out, and windows that reach over jumps."""

import numpy as np

from opticornet.datasets.spacing import Steps
from opticornet.datasets.windows import Windows
from opticornet.evaluation.scene import Scene


def over_jumps(side: Windows, radius: float) -> tuple[int, str]:
    """How many windows reach over a jump of their drive (:meth:`Steps.jumps`), and the largest jump in words; 0 and ""
    without."""
    jumps = Steps.of(side.traverse).jumps(radius)
    if not len(jumps):
        return 0, ""
    ends = np.append(jumps.after, len(side.traverse))[np.searchsorted(jumps.after, side.starts, "right")]
    return int((ends < side.starts + side.length).sum()), jumps.largest()


def notes(scene: Scene) -> list[str]:
    """One line for each side of a scene and each kind of thing there is to say."""
    lines = []
    for side in (scene.reference, scene.query):
        traverse, (reaching, largest) = side.traverse, over_jumps(side, scene.radius)
        filled = 0 if traverse.filled is None else int(traverse.filled.sum())
        unplaced = 0 if scene.split.positive_radius is None else int((traverse.is_scored & ~traverse.placed).sum())
        said = (
            (unplaced, "frames without a position are neither queries nor places"),
            (side.unusable, "windows that hold unusable frames are left out (`fill_frames` fills them)"),
            (filled, "unusable frames are filled from their neighbours"),
            (side.too_short, "frames of sequences shorter than a window are left out"),
            (
                reaching,
                f"windows reach over a jump inside a sequence, the largest {largest} {scene.split.units}; max_step in "
                "dataset.toml, or a sequence column, ends sequences there",
            ),
        )
        lines += [f"{traverse.name}: {count} of {len(traverse)} {what}" for count, what in said if count]
    return lines
