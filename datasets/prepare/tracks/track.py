"""Positions over time, as one file or folder records them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from opticornet.utils.errors import UserError

DAY_S = 86400.0


@dataclass(frozen=True)
class Track:
    """M positions, in the order of the file.

    Attributes:
        path: where they come from, for messages.
        columns: what positions are: ("lat", "lon") in degrees, ("x", "y") or ("x", "y", "z") in metres.
        positions: (M, P) float64.
        seconds: (M,) float64, of the file's own clock; None: positions belong to the images in order.
        no_fix: how many more rows there are that the receiver itself calls no fix.
        time_of_day: whether ``seconds`` count from midnight UTC of a day that is not known.
    """

    path: Path
    columns: tuple[str, ...]
    positions: np.ndarray
    seconds: np.ndarray | None
    no_fix: int = 0
    time_of_day: bool = False

    @classmethod
    def of(
        cls,
        path: Path,
        columns: tuple[str, ...],
        positions: np.ndarray,
        seconds: np.ndarray | None,
        fixed: np.ndarray | None = None,
        time_of_day: bool = False,
    ) -> "Track":
        """A track of the rows that are fixes.

        Args:
            fixed: (M,) bool; None: all are.

        Raises:
            UserError: none is, or a position is off the globe.
        """
        fixed = np.ones(len(positions), bool) if fixed is None else fixed
        if not fixed.any():
            found = f"none of its {len(fixed)} positions is a fix" if len(fixed) else "no position in it"
            raise UserError(f"{path}: {found}; record the drive again, or give its positions in another file")
        kept = positions[fixed]
        if columns == ("lat", "lon") and (bad := np.flatnonzero(~(np.abs(kept) <= (90, 180)).all(axis=1))).size:
            raise UserError(f"{path}: position {bad[0] + 1} has no such latitude, longitude: {kept[bad[0]].tolist()}")
        return cls(path, columns, kept, None if seconds is None else seconds[fixed], int(np.sum(~fixed)), time_of_day)

    def on_day_of(self, seconds: np.ndarray) -> "Track":
        """A track of times of day on the day of other times, the one that has most of them within the track.

        Args:
            seconds: (N,) float64 since 1970.
        """
        if not self.time_of_day or self.seconds is None:
            return self
        track = np.unwrap(self.seconds, period=DAY_S)
        days = np.floor(np.median(seconds) / DAY_S) + np.array([-1, 0, 1])
        within = [np.sum((seconds >= track[0] + DAY_S * day) & (seconds <= track[-1] + DAY_S * day)) for day in days]
        return replace(self, seconds=track + DAY_S * days[int(np.argmax(within))], time_of_day=False)

    def sorted(self) -> "Track":
        """By time."""
        assert self.seconds is not None
        order = np.argsort(self.seconds, kind="stable")
        return replace(self, positions=self.positions[order], seconds=self.seconds[order])
