"""One drive of one's own: a folder of images, perhaps with positions, as the frames of a traverse."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from opticornet.datasets.bags import is_bag
from opticornet.datasets.geodesy import local_metres, on_globe, without_jumps
from opticornet.datasets.images.found import FoundImages
from opticornet.datasets.prepare.drives.holes import Sequences, inside, sequences_of
from opticornet.datasets.prepare.drives.image_times import Clock
from opticornet.datasets.prepare.drives.places import Places, exif_places, read_places, track_places
from opticornet.datasets.prepare.drives.recorded import Recording, bag_track
from opticornet.datasets.prepare.image_folder import absolute, folders_of, listed_rows
from opticornet.datasets.prepare.prepared import PreparedTraverse
from opticornet.datasets.prepare.tracks.times import SECONDS
from opticornet.utils.errors import UserError
from opticornet.utils.options import Choice, option
from opticornet.utils.text import counted


@dataclass(frozen=True, kw_only=True)
class DriveOptions(Choice):
    """What becomes of frames without a position, and where sequences end."""

    frame_list: str = option(
        "--frameList", "", "take the frames named in this file, one per line; {traverse} stands for the traverse"
    )
    ignore_columns: tuple[str, ...] = option("--ignoreColumns", (), "columns of tables of positions to leave out")
    clock_offset: float | None = option(
        "--clockOffset",
        None,
        "seconds added to the images' times, to give those of their positions",
        minimum=-math.inf,
    )
    time_unit: str = option(
        "--timeUnit",
        "",
        "of the images' times (file names, times.txt); default: what they show",
        choices=tuple(SECONDS),
    )
    fps: float = option("--fps", 0.0, "frames per second to take of drives that are videos; 0: all")
    topic: str = option("--topic", "", "images of drives that are ROS bags; default: the only topic with images")
    position_topic: str = option(
        "--positionTopic", "", "NavSatFix, Odometry or PoseStamped of a ROS bag; default: the only NavSatFix"
    )
    reach: float = option("--reach", 1.0, "seconds to the nearest pose beyond which an image is left out")
    frozen_fix: int = option(
        "--frozenFix",
        3,
        "rows of the same position beyond which it is a fix that froze, if it ends in a jump; 0: never",
    )
    fill_positions: bool = option(
        "--fillPositions", False, "interpolate missing positions instead of leaving frames out"
    )
    max_hole: int = option("--maxHole", 0, "missing frames in a row that do not end a sequence")
    max_step_ratio: float = option(
        "--maxStepRatio",
        5.0,
        "a step of position or time of more than so many usual ones ends a sequence; 0: none does",
    )

    @property
    def clock(self) -> Clock:
        return Clock(self.time_unit, self.clock_offset)


@dataclass(frozen=True)
class Drive:
    """A drive as read.

    Attributes:
        ignored: columns that were left out because they were named.
        timed: whether the images' times were asked for.
    """

    traverse: PreparedTraverse
    notes: tuple[str, ...]
    ignored: tuple[str, ...]
    timed: bool


def read_drive(
    folder: Path, found: FoundImages, file: Path | None, options: DriveOptions, recording: Recording | None = None
) -> Drive:
    """Frames are the images with a position, in natural order; without a file the position is the image's number.

    Args:
        folder: of the images, named after the drive.
        found: in it, or the frames of the recording.
        file: with the positions, or None.
        recording: that the frames are in; None: they are files in the folder.
    """
    name, images, clock = folder.name, found.images, options.clock
    rows = listed_rows(options.frame_list, name, images) if options.frame_list else np.arange(len(images))
    images = tuple(images[row] for row in rows)
    if recording is not None:
        folder = recording.path
        clock = replace(clock, taken=replace(recording.taken, seconds=recording.taken.seconds[rows]))
    places = _places(folder, images, file, options, clock, recording)
    if clock.taken is not None and places.seconds is None:
        places = replace(places, seconds=clock.taken.seconds + (clock.offset_s or 0.0), timed=True)
    labels = _labels(images, places)
    filled = _filled(places, labels) if options.fill_positions else places
    kept = np.flatnonzero(filled.known)
    positions = {column: values[kept] for column, values in filled.positions.items()}
    sequences = sequences_of(
        images, kept, labels[kept], _comparable(positions), options.max_hole, options.max_step_ratio
    )
    chosen = tuple(images[row] for row in kept)
    traverse = PreparedTraverse(
        name=name,
        images=absolute(folder, chosen),
        names=chosen,
        positions=positions,
        sequences=sequences.numbers,
        timestamps=None if filled.seconds is None else filled.seconds[kept],
        flags={column: values[kept] for column, values in filled.flags.items()},
        placed=f"{places.how}; {np.sum(places.known)} of {len(images)} images have one",
    )
    notes = []
    if file is not None and recording is not None and recording.track is not None:
        notes.append(f"positions are those of {file.name}, not those in {recording.path.name}")
    notes += [*_left_out(places, filled), *_ends(sequences, options)]
    return Drive(traverse, (*found.notes(name), *(f"{name}: {note}" for note in notes)), places.ignored, places.timed)


def _places(
    folder: Path,
    images: tuple[str, ...],
    file: Path | None,
    options: DriveOptions,
    clock: Clock,
    recording: Recording | None,
) -> Places:
    """Where the images were taken: by the file, the recording, their EXIF, or else their numbers."""
    track = None if recording is None else recording.track
    if file is not None and is_bag(file):
        track = bag_track(file, options.position_topic)
        if track is None:
            raise UserError(
                f"{file}: no topic with positions (NavSatFix); give `position_topic`, or leave the file out"
            )
    elif file is not None:
        return read_places(file, images, folder, options.reach, options.frozen_fix, options.ignore_columns, clock)
    if track is not None:
        return track_places(track, images, folder, options.reach, options.frozen_fix, clock)
    if recording is None and (places := exif_places(images, folder, options.frozen_fix, clock)) is not None:
        return places
    numbers = {"frame": np.arange(len(images))}
    how = (
        "the number of the image in natural order, there is no file of positions: image i of one drive is taken for "
        "the place of image i of the other"
    )
    return Places(numbers, np.ones(len(images), bool), how)


def _labels(images: tuple[str, ...], places: Places) -> np.ndarray:
    """(N,) of each image's folder and sequence; an image without a position has those of the last that has one."""
    labels = folders_of(images)
    if places.sequences is not None:
        labels = np.char.add(np.char.add(labels, "\n"), places.sequences)
    return labels[np.maximum.accumulate(np.where(places.known, np.arange(len(labels)), 0))]


def _filled(places: Places, labels: np.ndarray) -> Places:
    """Positions, and times, interpolated between known ones: by time where each image has one, else by number."""
    known, missing = places.known, inside(places.known, labels)
    along = np.arange(len(known), dtype=float)
    seconds = places.seconds
    if seconds is not None and np.isfinite(seconds).all() and (np.diff(seconds) > 0).all():
        along = seconds

    def interpolated(values: np.ndarray) -> np.ndarray:
        return np.where(missing, np.interp(along, along[known], values[known]), values)

    positions = {column: interpolated(values) for column, values in places.positions.items()}
    if "lon" in positions:  # a drive may cross the 180th meridian
        east = np.where(known, places.positions["lon"], 0.0)
        east[known] = without_jumps(east[known])
        positions["lon"] = np.where(missing, on_globe(interpolated(east)), places.positions["lon"])
    times = seconds if seconds is None or along is seconds else interpolated(seconds)
    return replace(places, positions=positions, known=known | missing, seconds=times)


def _comparable(positions: dict[str, np.ndarray]) -> np.ndarray:
    """(M, P) in metres or frames."""
    values = np.stack(list(positions.values()), axis=1).astype(float)
    return local_metres(values, values[0]) if "lat" in positions else values


def _left_out(places: Places, filled: Places) -> list[str]:
    count, missing = len(places.known), int(np.sum(~filled.known))
    because = f": {', '.join(places.reasons)}" if places.reasons else ""
    interpolated = int(np.sum(filled.known & ~places.known))
    notes = [f"{interpolated} of {count} positions are interpolated{because}"] if interpolated else []
    if missing or (because and not interpolated):
        notes.append(f"{missing} of {count} images left out{because}")
    return notes


def _ends(sequences: Sequences, options: DriveOptions) -> list[str]:
    found = (
        (sequences.holes, "hole", f"of more than `max_hole` {options.max_hole} frames"),
        (sequences.jumps, "jump", f"of more than `max_step_ratio` {options.max_step_ratio:g} usual steps"),
    )
    return [f"{counted(count, what)} {size} where sequences end" for count, what, size in found if count]
