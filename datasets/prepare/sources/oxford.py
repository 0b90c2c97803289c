"""Oxford RobotCar, as shipped::

<root>/<traverse>/stereo/left/<microseconds>.png
<root>/<traverse>/gps/ins.csv
<root>/<traverse>/gps/gps.csv, or <root>/<traverse>/gps.csv       (drives without INS)
<root>/<traverse>/rtk.csv, or <root>/rtk/<traverse>/rtk.csv       (the RTK ground truth, a download of its own)
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opticornet.datasets.columns import Columns, read_columns
from opticornet.datasets.prepare.drives.holes import position_jumps
from opticornet.datasets.prepare.drives.image_times import image_seconds
from opticornet.datasets.prepare.image_folder import absolute, images_of, listed_rows
from opticornet.datasets.prepare.partition import QUERY_HELP, splits_of_drives
from opticornet.datasets.prepare.prepared import DriveRows, Prepared, PreparedSplit, PreparedTraverse, Source
from opticornet.datasets.prepare.sources.oxford_splits import INTERVALS
from opticornet.datasets.prepare.tracks.times import seconds_of
from opticornet.datasets.prepare.tracks.trajectory import Trajectory
from opticornet.datasets.seqnet.layout import OXFORD_QUERY, OXFORD_REFERENCE
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

REACH_S = 0.5
MAX_STEP_RATIO = 5.0  # usual steps between frames, beyond which a sequence ends, as it does where images have no pose
TRAIN_POSITIVE_M, TRAIN_NEGATIVE_M = 5.0, 20.0
FIX_SATELLITES = 4
CORRECT_M = {"v1.0": 10.0, "pnv": 25.0, "all": 25.0}


@dataclass(frozen=True, kw_only=True)
class Oxford(Source):
    """``oxford``: Oxford RobotCar."""

    reference: tuple[str, ...] = option("--reference", (OXFORD_REFERENCE,), "reference traverse, a folder; or several")
    query: tuple[str, ...] = option("--query", (OXFORD_QUERY,), QUERY_HELP)
    camera: str = option("--camera", "stereo/left", "folder of the images in a traverse")
    poses: str = option(
        "--poses",
        "auto",
        "source of positions; auto: ins, or gps for a drive without ins.csv",
        choices=("auto", "ins", "rtk", "gps"),
    )
    spacing: float = option("--spacing", 2.0, "metres between frames; 0: every image")
    frame_list: str = option(
        "--frameList", "", "take the frames named in this file, one per line; {traverse} stands for the traverse"
    )
    splits: str = option("--splits", "v1.0", "seqNet's, or all frames to test", choices=("v1.0", "pnv", "all"))

    def unused(self) -> dict[str, str]:
        return {"spacing": "`frame_list` says which frames to take"} if self.frame_list else {}

    def read(self, root: Path) -> Prepared:
        """Two traverses or more in UTM metres (x east, y north), frames ``spacing`` metres apart.

        Args:
            poses: "ins", "rtk", "gps", or "auto": ins, or gps for a drive without ins.csv.
            spacing: metres along the path; 0 takes every image. Not used with ``frame_list``.
            frame_list: the frames to take, such as seqNet's ``oxford_{traverse}_imagenames_subsampled-2m.txt``.
            splits: "v1.0" or "pnv": seqNet's, of its two traverses, by image times, val and test the same. "all": one
                test split of all frames.

        Raises:
            UserError: missing traverse or poses, times that do not overlap, a split that is not known for a traverse.
        """
        pattern = "gbrg" if self.camera.startswith("stereo") else "rggb"
        notes = [
            f"RobotCar ships raw frames: extract with the Bayer pattern {pattern}, unless you made colour of them "
            "already"
        ]
        drives = {
            name: _traverse(root, name, self.camera, self.poses, self.spacing, self.frame_list, notes)
            for name in (*self.reference, *self.query)
        }
        times = {name: _microseconds(traverse) for name, traverse in drives.items()}
        if self.splits == "all":
            rows = {"test": {name: traverse.all_rows for name, traverse in drives.items()}}
        else:
            rows = {
                part: {name: _rows_in_intervals(self.splits, part, name, times[name]) for name in drives}
                for part in ("train", "test")
            }
            rows = {"train": rows["train"], "val": rows["test"], "test": rows["test"]}
        radii: dict[str, tuple[float, float | None]] = {"train": (TRAIN_POSITIVE_M, TRAIN_NEGATIVE_M)}
        return Prepared(
            units="metres",
            traverses=tuple(drives.values()),
            splits=tuple(
                PreparedSplit(
                    split,
                    tuple(DriveRows(name, rows[part][name]) for name in self.reference),
                    tuple(DriveRows(name, rows[part][name]) for name in queries),
                    *radii.get(part, (CORRECT_M[self.splits], None)),
                )
                for split, part, queries in splits_of_drives(tuple(rows), self.query)
            ),
            notes=tuple(notes),
        )


def rows_at_spacing(path_m: np.ndarray, spacing: float) -> np.ndarray:
    """Rows nearest to each multiple of ``spacing`` along a path: rising, each once.

    Marks lie on the path from its beginning, not from the row chosen last, so rows are ``spacing`` apart on average
    whatever the speed.

    Args:
        path_m: (N,) float64 length of the path up to each row, not falling.
    """
    wanted = spacing * np.arange(path_m[-1] // spacing + 1)
    after = np.searchsorted(path_m, wanted).clip(1, len(path_m) - 1)
    return np.unique(after - (wanted - path_m[after - 1] <= path_m[after] - wanted))


def _traverse(
    root: Path, name: str, camera: str, poses: str, spacing: float, frame_list: str, notes: list[str]
) -> PreparedTraverse:
    folder = root / name / camera
    images = images_of(folder)
    if frame_list:
        images = tuple(images[row] for row in listed_rows(frame_list, name, images))
    seconds = image_seconds(images, folder, "us")
    recorded = _poses(root, name, poses, notes)
    positions, known = recorded.at(seconds, REACH_S)
    if not known.all():
        notes.append(f"{name}: {np.sum(~known)} of {len(known)} images left out, no pose within {REACH_S:g} s")
    kept = np.flatnonzero(known)
    if spacing and not frame_list and len(kept) > 1:
        steps = np.linalg.norm(np.diff(positions[kept], axis=0), axis=1)
        kept = kept[rows_at_spacing(np.concatenate([[0.0], np.cumsum(steps)]), spacing)]
    left_out = np.diff(np.cumsum(~known)[kept])
    jumps = position_jumps(positions[kept], left_out > 0, np.zeros_like(left_out), MAX_STEP_RATIO)
    chosen = tuple(images[row] for row in kept)
    return PreparedTraverse(
        name=name,
        images=absolute(folder, chosen),
        names=chosen,
        positions={"x": positions[kept, 0], "y": positions[kept, 1]},
        sequences=np.concatenate([[0], np.cumsum((left_out > 0) | jumps)]),
        timestamps=seconds[kept],
        placed=(
            f"x, y of {recorded.path.name}, interpolated at the times in the names of the images; {np.sum(known)} of "
            f"{len(known)} images have one"
        ),
    )


def _microseconds(traverse: PreparedTraverse) -> np.ndarray:
    """(N,) int64 image times since 1970."""
    assert traverse.timestamps is not None  # every traverse of this source has them
    return np.round(traverse.timestamps * 1e6).astype(np.int64)


def _poses(root: Path, name: str, kind: str, notes: list[str]) -> Trajectory:
    """Of the INS, the GPS or the RTK ground truth: UTM easting and northing."""
    files = {
        "ins": [Path(name, "gps", "ins.csv")],
        "gps": [Path(name, "gps", "gps.csv"), Path(name, "gps.csv")],
        "rtk": [Path(name, "rtk.csv"), Path("rtk", name, "rtk.csv")],
    }

    def there(kind: str) -> Path | None:
        return next((root / place for place in files[kind] if (root / place).is_file()), None)

    if kind == "auto":
        kind = "gps" if there("gps") and not there("ins") else "ins"
        if kind == "gps":
            notes.append(f"{name}: no ins.csv, so its positions are those of gps.csv, metres less exact")
    table = read_columns(there(kind) or root / files[kind][0], ("timestamp", "northing", "easting"))
    positions = np.stack([table.numbers(column, empty=kind == "gps") for column in ("easting", "northing")], axis=1)
    seconds = seconds_of(table["timestamp"], str(table.path), "us")
    if kind != "gps":
        return Trajectory.of(table.path, seconds, positions)
    fixed = _is_fix(table, positions)
    if not fixed.any():
        raise UserError(f"{table.path}: none of its {len(fixed)} rows is a fix; take another drive, or other `poses`")
    if not fixed.all():
        notes.append(f"{name}: {np.sum(~fixed)} of {len(fixed)} rows of {table.path.name} are no fix and left out")
    return Trajectory.of(table.path, seconds[fixed], positions[fixed])


def _is_fix(table: Columns, positions: np.ndarray) -> np.ndarray:
    """(N,) bool: rows of gps.csv with enough satellites, and a position that is not left at zero."""
    fixed = np.isfinite(positions).all(axis=1) & (positions != 0).all(axis=1)
    if "num_satellites" in table:
        fixed &= table.numbers("num_satellites", empty=True) >= FIX_SATELLITES
    return fixed


def _rows_in_intervals(splits: str, part: str, name: str, times_us: np.ndarray) -> np.ndarray:
    """Rows of a traverse whose image was taken in one of the split's intervals."""
    if name not in INTERVALS[splits][part]:
        raise UserError(
            f"seqNet's split {splits} is of {' and '.join(INTERVALS[splits][part])}, not of {name}; give `splits` all"
        )
    first, last = np.array(INTERVALS[splits][part][name]).T
    index = np.searchsorted(first, times_us, side="right") - 1
    rows = np.flatnonzero((index >= 0) & (times_us <= last[index]))
    if not len(rows):
        raise UserError(f"{name}: none of its images is in the {part} part of split {splits}; unpack all of its parts")
    return rows
