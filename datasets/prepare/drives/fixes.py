"""Which recorded positions are fixes: not empty, not the zeros before the first one, not a fix that froze."""

from dataclasses import dataclass

import numpy as np

from opticornet.datasets.geodesy import local_metres

# In usual steps, which are the median of those that are not 0.
JUMP = 5.0  # out of the origin and, unless the rows at it begin or end the drive, back to it
START_JUMP = 1.5  # out of several rows at the origin that begin the drive
THAW = 2.0  # out of a frozen fix


@dataclass(frozen=True)
class Fixes:
    """Which of N rows say where a camera was, and why the others do not; all (N,) bool.

    Attributes:
        empty: no number in a cell.
        at_zero: latitude and longitude, or x and y, of 0 that are none.
        frozen: repeats of a fix that froze.
    """

    empty: np.ndarray
    at_zero: np.ndarray
    frozen: np.ndarray

    @property
    def real(self) -> np.ndarray:
        return ~(self.empty | self.at_zero | self.frozen)

    def reasons(self) -> list[tuple[int, str]]:
        """How many rows are none, and why."""
        counts = (
            (self.empty, "without a number"),
            (self.at_zero, "at 0, 0 without a fix"),
            (self.frozen, "of a frozen fix"),
        )
        return [(int(rows.sum()), reason) for rows, reason in counts if rows.any()]


def fixes_of(positions: np.ndarray, columns: tuple[str, ...], frozen_fix: int) -> Fixes:
    """Tell fixes from what is none.

    Zeros: every latitude and longitude of 0, 0. In metres the origin may be a place: rows at x = y = 0 are none where
    the position jumps out of them, by more than :data:`JUMP` usual steps, or :data:`START_JUMP` if there are several
    at one end of the drive.

    Frozen: more than ``frozen_fix`` rows with exactly the same position, and more than twice as many as positions
    usually stay, which end in a step of more than :data:`THAW` usual ones, or with the drive. All but the first of
    them are none. A car that stands still leaves from where it stood: its rows are fixes.

    Args:
        positions: (N, P) float64 in the order of the drive; NaN where empty.
        columns: one of :data:`opticornet.datasets.column_names.POSITION_COLUMNS`; frame numbers are fixes.
        frozen_fix: rows; 0: none is frozen.
    """
    empty = np.isnan(positions).any(axis=1)
    at_zero, frozen = np.zeros(len(positions), bool), np.zeros(len(positions), bool)
    if columns != ("frame",):
        rows = np.flatnonzero(~empty)
        zeros = (positions[rows, :2] == 0).all(axis=1)
        at_zero[rows] = zeros if columns == ("lat", "lon") else _out_of_nowhere(positions[rows], zeros)
        rows = np.flatnonzero(~(empty | at_zero))
        if frozen_fix and len(rows):
            metres = local_metres(positions[rows], positions[rows[0]]) if columns == ("lat", "lon") else positions[rows]
            frozen[rows] = _frozen(positions[rows], metres, frozen_fix)
    return Fixes(empty, at_zero, frozen)


def usual_step(steps: np.ndarray) -> float:
    """The median of the steps that are not 0; 0 if there are none."""
    moving = steps[steps > 0]
    return float(np.median(moving)) if len(moving) else 0.0


def _out_of_nowhere(positions: np.ndarray, zeros: np.ndarray) -> np.ndarray:
    """(N,) bool: rows at the origin that the position jumps out of, and into."""
    if not zeros.any() or zeros.all():
        return zeros if len(zeros) > 1 else np.zeros_like(zeros)
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    usual = usual_step(steps[~zeros[1:] & ~zeros[:-1]])
    edges = np.flatnonzero(np.diff(zeros, prepend=False, append=False))
    found = np.zeros_like(zeros)
    for start, stop in edges.reshape(-1, 2).tolist():
        at_an_end = start == 0 or stop == len(zeros)
        limit = START_JUMP if at_an_end and stop - start > 1 else JUMP
        ends = [steps[edge - 1] for edge in (start, stop) if 0 < edge < len(zeros)]
        found[start:stop] = min(ends) > limit * usual
    return found


def _frozen(positions: np.ndarray, metres: np.ndarray, frozen_fix: int) -> np.ndarray:
    """(N,) bool: repeats of a frozen fix."""
    starts = np.flatnonzero(np.append(True, (np.diff(positions, axis=0) != 0).any(axis=1)))
    lengths = np.diff(np.append(starts, len(positions)))
    steps_out = np.linalg.norm(np.diff(metres[starts], axis=0), axis=1)
    thawed = np.append(steps_out > THAW * usual_step(steps_out), True)
    runs = thawed & (lengths > max(frozen_fix, 2 * np.median(lengths))) & (len(starts) > 1)
    repeats = np.ones(len(positions), bool)
    repeats[starts] = False
    return repeats & np.repeat(runs, lengths)
