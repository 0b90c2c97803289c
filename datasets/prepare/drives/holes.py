"""Where frames of a drive are missing: a hole ends a sequence, or is filled."""

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from opticornet.datasets.images.found import image_stem
from opticornet.datasets.prepare.drives.fixes import usual_step

REGULAR_SHARE, REGULAR_SPREAD = 0.9, 0.2
CLOCK = re.compile(r"(\d{8})?([01]\d|2[0-3])[0-5]\d[0-5]\d", re.ASCII)  # 235959, perhaps behind 20240131
AROUND = 5  # steps before and behind that a step is compared to


@dataclass(frozen=True)
class Sequences:
    """The sequences that M frames fall into.

    Attributes:
        numbers: (M,) int64 from 0, never falling.
        holes: how many ends are at frames that were left out, or are missing in the names of the images.
        jumps: how many are at a step of names, times or positions that is far above the usual one.
    """

    numbers: np.ndarray
    holes: int = 0
    jumps: int = 0


def sequences_of(
    names: tuple[str, ...],
    kept: np.ndarray,
    labels: np.ndarray,
    positions: np.ndarray,
    max_hole: int,
    max_step_ratio: float,
) -> Sequences:
    """Cut a drive where its label changes, at holes and at jumps.

    Args:
        names: of all N images, in order.
        kept: (M,) rising rows of those that are frames.
        labels: (M,), of the folder or what else names a sequence; they change from one sequence to the next.
        positions: (M, P) in metres or frames.
        max_hole: frames in a row that may be missing inside a sequence.
        max_step_ratio: a step of more than so many usual ones ends a sequence, 0: none does. Steps of numbers and times
            in names are compared to their median; of positions also to the median of the steps around each.
    """
    changes = labels[1:] != labels[:-1]
    left_out = np.diff(kept) - 1  # (M - 1,)
    steps = _number_steps([names[row] for row in kept])
    missing, jumps = _between_numbers(np.where(changes, np.nan, steps), left_out, max_step_ratio)
    holes = (left_out + missing > max_hole) & ~changes
    unseen = left_out + missing
    jumps |= position_jumps(positions, changes, unseen, max_step_ratio)
    jumps &= ~changes & ~holes
    ends = changes | holes | jumps
    return Sequences(np.concatenate([[0], np.cumsum(ends)]), int(holes.sum()), int(jumps.sum()))


def inside(known: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) bool: rows that are not known and lie between two known ones of the same label.

    Args:
        known: (N,) bool.
        labels: (N,), any where not known.
    """
    rows = np.arange(len(known))
    before = np.maximum.accumulate(np.where(known, rows, -1))
    after = np.minimum.accumulate(np.where(known, rows, len(known))[::-1])[::-1]
    between = ~known & (before >= 0) & (after < len(known))
    return between & (labels[before] == labels[np.minimum(after, len(known) - 1)])


def _number_steps(names: list[str]) -> np.ndarray:
    """(M - 1,) float64 steps of the last numbers in neighbouring names that differ in these alone; NaN elsewhere."""
    parts = [re.fullmatch(r"(.*?)(\d+(?:\.\d+)?)(\D*)", image_stem(name), re.ASCII) for name in names]
    digits = [part[2] if part else "" for part in parts]
    are_clocks = all(CLOCK.fullmatch(text) for text in digits)
    values = np.array([_clock_seconds(text) if are_clocks else float(text or "nan") for text in digits])
    folders = (name.rpartition("/")[0] for name in names)
    around = [(folder, part and (part[1], part[3])) for folder, part in zip(folders, parts, strict=True)]
    alike = np.array([one == other for one, other in pairwise(around)], bool)
    return np.where(alike, np.diff(values), np.nan)


def _between_numbers(steps: np.ndarray, left_out: np.ndarray, max_step_ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """(M - 1,) how many frames are missing between neighbours beside those left out, and whether the step is a jump.

    Where at least :data:`REGULAR_SHARE` of the steps are alike, frames are missing that longer ones pass over.
    """
    none, known = np.zeros(len(steps), np.int64), np.isfinite(steps)
    if not known.any() or (steps[known] <= 0).any():
        return none, none > 0
    wanted = left_out + 1
    ratio = np.where(known, steps / np.median(steps[known] / wanted[known]), wanted)
    if np.mean(np.abs(ratio - wanted)[known] <= REGULAR_SPREAD) >= REGULAR_SHARE:
        return np.maximum(np.round(ratio).astype(np.int64) - wanted, 0), none > 0
    return none, (ratio > max_step_ratio * wanted) & (max_step_ratio > 0)


def position_jumps(positions: np.ndarray, changes: np.ndarray, unseen: np.ndarray, max_step_ratio: float) -> np.ndarray:
    """(M - 1,) bool: a step per frame that is far above the usual one, and above those around it.

    Args:
        positions: (M, P) in metres or frames.
        changes: (M - 1,) bool: where a sequence ends anyway.
        unseen: (M - 1,) how many frames are missing between neighbours.
        max_step_ratio: usual steps; 0: no jumps.
    """
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1) / (unseen + 1)
    if not max_step_ratio or np.sum(~changes) < AROUND:
        return np.zeros(len(steps), bool)
    usual = usual_step(steps[~changes])
    padded = np.pad(np.where(changes, usual, steps), AROUND, constant_values=usual)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND + 1)  # (M - 1, 11)
    return (steps > max_step_ratio * np.maximum(np.median(around, axis=1), usual)) & (usual > 0)


def _clock_seconds(text: str) -> float:
    day, hours, minutes, seconds = int(text[:-6] or 0), *(int(text[i : i + 2]) for i in (-6, -4)), int(text[-2:])
    return day * 86400.0 + hours * 3600 + minutes * 60 + seconds
