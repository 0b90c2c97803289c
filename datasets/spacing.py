"""How far apart neighbouring frames of a drive are, where it jumps, and cutting its sequences there."""

from dataclasses import dataclass, replace

import numpy as np

from opticornet.datasets.traverse import Traverse

JUMP = 5  # times the median step


@dataclass(frozen=True)
class Steps:
    """Steps between neighbours: frames of one sequence whose positions are known, with none of such between them.

    Attributes:
        before, after: (M,) int64 rows of the two frames.
        sizes: (M,) float64 distance between them, in the traverse's units.
    """

    before: np.ndarray
    after: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, traverse: Traverse) -> "Steps":
        """All steps of a traverse."""
        rows = np.flatnonzero(traverse.placed)
        before, after = rows[:-1], rows[1:]
        together = traverse.bounds[before, 0] == traverse.bounds[after, 0]
        before, after = before[together], after[together]
        sizes = np.linalg.norm(traverse.positions[after] - traverse.positions[before], axis=1)
        return cls(before, after, sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def per_frame(self) -> np.ndarray:
        """(M,) float64: ``sizes``, shared among the frames of unknown position that lie between."""
        return self.sizes / (self.after - self.before)

    def longer_than(self, limit: float) -> "Steps":
        """The steps of more than ``limit`` per frame."""
        long = self.per_frame > limit
        return Steps(self.before[long], self.after[long], self.sizes[long])

    def jumps(self, radius: float) -> "Steps":
        """Steps of more than :data:`JUMP` times the median step of a drive that moves, and of more than ``radius``."""
        moving = self.per_frame[self.per_frame > 0]
        return self.longer_than(max(JUMP * float(np.median(moving)), radius) if len(moving) else np.inf)

    def largest(self) -> str:
        """The largest step in words, without its units: "50 (row 99 to 100)"; there must be one."""
        row = int(np.argmax(self.sizes))
        return f"{self.sizes[row]:.4g} (row {self.before[row]} to {self.after[row]})"


def cut_at_jumps(traverse: Traverse, max_step: float) -> Traverse:
    """The traverse with a new sequence behind every step of more than ``max_step`` per frame."""
    starts = np.union1d(traverse.bounds[:, 0], Steps.of(traverse).longer_than(max_step).after)
    own = np.searchsorted(starts, np.arange(len(traverse)), "right") - 1
    stops = np.append(starts[1:], len(traverse))
    return replace(traverse, bounds=np.stack([starts[own], stops[own]], axis=1))
