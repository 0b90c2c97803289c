"""Where a camera was over time, and at the images' times."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opticornet.utils.errors import UserError


@dataclass(frozen=True)
class Trajectory:
    """Positions at times.

    Attributes:
        path: where they come from, for messages.
        seconds: (M,) float64, rising.
        positions: (M, P) float64.
    """

    path: Path
    seconds: np.ndarray
    positions: np.ndarray

    @classmethod
    def of(cls, path: Path, seconds: np.ndarray, positions: np.ndarray) -> "Trajectory":
        """Sorted by time, the first pose of each time."""
        seconds, rows = np.unique(seconds, return_index=True)
        return cls(path, seconds, positions[rows])

    def at(self, seconds: np.ndarray, reach_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Positions at other times, by linear interpolation.

        Args:
            seconds: (N,) float64.
            reach_s: a time is known if the nearest pose is at most so far from it, within the recording.

        Returns:
            (N, P) float64, and (N,) bool: which of them are known.

        Raises:
            UserError: none is.
        """
        after = np.searchsorted(self.seconds, seconds).clip(1, max(1, len(self.seconds) - 1))
        after = np.minimum(after, len(self.seconds) - 1)
        nearest = np.minimum(np.abs(seconds - self.seconds[after - 1]), np.abs(seconds - self.seconds[after]))
        known = (nearest <= reach_s) & (seconds >= self.seconds[0]) & (seconds <= self.seconds[-1])
        if not known.any():
            raise UserError(
                f"timestamps do not overlap: images from {seconds.min():.3f} to {seconds.max():.3f} s, poses of "
                f"{self.path} from {self.seconds[0]:.3f} to {self.seconds[-1]:.3f} s, none within {reach_s:g} s of an "
                "image; check that both are of the same drive and clock, or give `clock_offset`"
            )
        columns = [np.interp(seconds, self.seconds, column) for column in self.positions.T]
        return np.stack(columns, axis=1), known
