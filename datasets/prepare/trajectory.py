"""Where a camera was over time: poses as recorded, and their positions at the images' times."""

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opticornet.datasets.prepare.image_folder import stem
from opticornet.utils.errors import UserError

TUM_COLUMNS, KITTI_COLUMNS = 8, 12  # time, position, quaternion; a 3x4 matrix row by row
_DIGITS = {13: 1e-3, 16: 1e-6, 19: 1e-9}  # of whole milli-, micro- and nanoseconds since 1970, for 2001 to 2286


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
                "image; check that both are of the same drive and clock"
            )
        columns = [np.interp(seconds, self.seconds, column) for column in self.positions.T]
        return np.stack(columns, axis=1), known


def read_poses(path: Path) -> tuple[np.ndarray | None, np.ndarray]:
    """Read a pose file: "tum" (8 numbers per line: seconds, x y z, quaternion) or "kitti" (12: a 3x4 matrix).

    Returns:
        (M,) seconds, None for kitti, whose lines belong to the images in order; (M, 3) positions.

    Raises:
        UserError: unreadable file, neither 8 nor 12 finite numbers in every line.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of an empty file, which is refused below
            values = np.loadtxt(path, np.float64, comments="#", ndmin=2, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read as a table of poses ({reason})") from error
    if not len(values) or values.shape[1] not in (TUM_COLUMNS, KITTI_COLUMNS) or not np.isfinite(values).all():
        raise UserError(
            f"{path}: shape {values.shape}, or not finite; wanted {TUM_COLUMNS} numbers per line (tum: time x y z qx "
            f"qy qz qw) or {KITTI_COLUMNS} (kitti: a 3x4 matrix)"
        )
    if values.shape[1] == TUM_COLUMNS:
        return values[:, 0], values[:, 1:4]
    return None, values[:, [3, 7, 11]]


def image_seconds(names: Iterable[str], where: Path) -> np.ndarray:
    """Times from file names: (N,) seconds.

    Raises:
        UserError: a file name that is not a number.
    """
    stems = [stem(name) for name in names]
    if bad := next((text for text in stems if not re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII)), None):
        raise UserError(f"{where}: the file name {bad} is no time; poses with times need images named by theirs")
    return np.array(stems, np.float64) * time_units(stems)


def time_units(times: Iterable[str]) -> np.ndarray:
    """(N,) seconds in the unit of each time.

    Whole numbers of 13, 16 or 19 digits are milli-, micro- and nanoseconds; any other number is seconds.
    """
    return np.array([_DIGITS.get(len(text), 1.0) if text.isdecimal() else 1.0 for text in times])
