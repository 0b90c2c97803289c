"""TUM and KITTI: tables of poses without a header."""

import warnings
from pathlib import Path

import numpy as np

from opticornet.datasets.prepare.tracks.times import FASTEST_POSES_S, SECONDS, units_of
from opticornet.datasets.prepare.tracks.track import Track
from opticornet.utils.errors import UserError

TUM_COLUMNS, KITTI_COLUMNS = 8, 12  # time, position, quaternion; a 3x4 matrix row by row


def read_poses(path: Path) -> Track:
    """A pose file: "tum" (8 numbers per line: time, x y z, quaternion) or "kitti" (12: a 3x4 matrix), by their number.

    Times of tum are seconds, unless only another unit fits them. The poses of kitti belong to the images in order.

    Raises:
        UserError: unreadable file, neither 8 nor 12 finite numbers in every line.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of an empty file, which is refused below
            values = _loaded(path)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read as a table of poses ({reason})") from error
    if not len(values) or values.shape[1] not in (TUM_COLUMNS, KITTI_COLUMNS) or not np.isfinite(values).all():
        raise UserError(
            f"{path}: shape {values.shape}, or not finite; wanted {TUM_COLUMNS} numbers per line (tum: time x y z qx "
            f"qy qz qw) or {KITTI_COLUMNS} (kitti: a 3x4 matrix)"
        )
    if values.shape[1] == KITTI_COLUMNS:
        return Track.of(path, ("x", "y", "z"), values[:, [3, 7, 11]], None)
    units = units_of(values[:, 0], FASTEST_POSES_S)
    unit = units[0] if len(units) == 1 else "s"
    return Track.of(path, ("x", "y", "z"), values[:, 1:4], values[:, 0] * SECONDS[unit])


def _loaded(path: Path) -> np.ndarray:
    """(M, K), separated by blanks, or by commas as EuRoC-like tools write them."""
    with open(path, encoding="utf-8-sig") as file:
        lines = [line for line in file if line.strip() and not line.lstrip().startswith("#")]
    separator = "," if lines and "," in lines[0] else None
    return np.loadtxt(lines, np.float64, delimiter=separator, comments="#", ndmin=2)
