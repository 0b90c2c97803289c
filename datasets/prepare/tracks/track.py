"""Positions over time, as one file or folder records them."""

from dataclasses import dataclass
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

    def in_order(self, images_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows by time; times of day on the day that has most of the images within the track.

        Args:
            images_s: (N,) float64, when the images were taken.

        Returns:
            (M,) float64 rising seconds, and (M,) int64 rows.
        """
        assert self.seconds is not None  # a track without times has the images' order
        seconds = _on_day_of(self.seconds, images_s) if self.time_of_day else self.seconds
        order = np.argsort(seconds, kind="stable")
        return seconds[order], order


def _on_day_of(seconds: np.ndarray, images_s: np.ndarray) -> np.ndarray:
    """(M,) times of day, rising over midnight, on the day that has most images within them."""
    track = np.unwrap(seconds, period=DAY_S)
    days = np.floor(np.median(images_s) / DAY_S) + np.array([-1, 0, 1])
    within = [np.sum((images_s >= track[0] + DAY_S * day) & (images_s <= track[-1] + DAY_S * day)) for day in days]
    return track + DAY_S * days[int(np.argmax(within))]
