"""When each image of a folder was taken: a file of times beside it, the file names, or the images' EXIF."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from opticornet.datasets.prepare.drives.dated_names import seconds_of_dated_names
from opticornet.datasets.prepare.drives.exif import read_exif
from opticornet.datasets.prepare.image_folder import stem
from opticornet.datasets.prepare.tracks.times import SINCE_1970_S, seconds_of, units_of
from opticornet.utils.errors import UserError
from opticornet.utils.text import read_lines

# What datasets call a list of times, in order or beside names: KITTI, EuRoC, TUM.
TIMES_FILES = ("times.txt", "timestamps.txt", "data.csv", "rgb.txt", "timestamps.csv", "times.csv")
_TIME = re.compile(r"\d+(\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class Taken:
    """When the N frames of a recording were taken.

    Attributes:
        seconds: (N,) float64, since 1970 if ``dated``, else since the recording began.
        source: in words.
        dated: whether the recording says when it began.
    """

    seconds: np.ndarray
    source: str
    dated: bool


@dataclass(frozen=True)
class Clock:
    """What is known of the images' times, but for the images.

    Attributes:
        unit: of file names and files of times ("s", "ms", "us", "ns"); empty: they show it.
        offset_s: added to the images' times, to give those of the positions; None: nothing was said.
        taken: of the frames of a recording; None: they are image files.
    """

    unit: str = ""
    offset_s: float | None = None
    taken: Taken | None = None


NOTHING_SAID = Clock()


def image_times(
    images: tuple[str, ...], folder: Path, clock: Clock = NOTHING_SAID, recorded_s: np.ndarray | None = None
) -> tuple[np.ndarray, str]:
    """Times of images, on the clock of the positions.

    A file of times (:data:`TIMES_FILES`) in the folder of the images, or above it within ``folder``, goes first; then
    file names that are numbers; then EXIF; then dates and times in file names. Names that merely count are times only
    if the positions have the same.

    Args:
        images: names, relative to ``folder``.
        recorded_s: (M,) the times of the positions.

    Returns:
        (N,) float64 seconds, and in words where they are from.

    Raises:
        UserError: none of these holds a time for every image; EXIF or dates have no time zone, and no offset is given.
    """
    offset = clock.offset_s or 0.0
    if clock.taken is not None:
        if not clock.taken.dated and clock.offset_s is None:
            raise UserError(
                f"{folder}: does not say when it began, so its frames cannot be joined to positions by time; give "
                "`clock_offset`, the time of its first frame in seconds by the clock of the positions"
            )
        return clock.taken.seconds + offset, clock.taken.source
    if (listed := _from_files(images, folder, clock.unit)) is not None:
        return listed[0] + offset, listed[1]
    stems = [stem(image) for image in images]
    dated = None if clock.unit or _have_unit(stems) else seconds_of_dated_names(stems)
    if dated is None and all(_TIME.fullmatch(text) for text in stems):
        unit = clock.unit or ("s" if _are_recorded(stems, recorded_s) else "")
        if unit or not _count(stems):
            return image_seconds(images, folder, unit) + offset, "the names of the images"
    exif = read_exif(tuple(str(folder / image) for image in images))
    if exif is None or np.isnan(exif.seconds).any():
        if dated is not None:
            _check_zone(folder, "dates and times in the names", dated[1], clock)
            return dated[0] + offset, "the names of the images"
        raise UserError(_no_times(images, folder, None if exif is None else exif.seconds))
    _check_zone(folder, "EXIF times", exif.zoned, clock)
    return exif.seconds + offset, "the EXIF of the images"


def _check_zone(folder: Path, times: str, zoned: bool, clock: Clock) -> None:
    if not zoned and clock.offset_s is None:
        raise UserError(
            f"{folder}: the {times} of its images have no time zone; give `clock_offset`, the seconds to add to get "
            "UTC (0: they are in UTC)"
        )


def image_seconds(names: tuple[str, ...], where: Path, unit: str = "") -> np.ndarray:
    """Times from file names, in one unit: (N,) float64 seconds.

    Raises:
        UserError: a file name that is not a number, or numbers of no certain unit.
    """
    stems = [stem(name) for name in names]
    if bad := next((text for text in stems if not _TIME.fullmatch(text)), None):
        raise UserError(f"{where}: the file name {bad} is no time; poses with times need images named by theirs")
    return seconds_of(stems, f"{where}, file names", unit)


def _count(stems: list[str]) -> bool:
    """Whether numbers are those of a series: whole, and one after the other, or filled up with zeros."""
    if not all(text.isdecimal() for text in stems):
        return False
    numbers = [int(text) for text in stems]
    padded = any(len(text) > 1 and text[0] == "0" for text in stems)
    return padded or (numbers == list(range(numbers[0], numbers[0] + len(numbers))) and numbers[-1] < SINCE_1970_S[0])


def _have_unit(stems: list[str]) -> bool:
    """Whether names are numbers that are times in some unit, and so no dates."""
    return all(_TIME.fullmatch(text) for text in stems) and bool(units_of(np.array(stems, np.float64)))


def _are_recorded(stems: list[str], recorded_s: np.ndarray | None) -> bool:
    """Whether most names are times of positions, in seconds, and most of those between the first and last name."""
    if recorded_s is None:
        return False
    named = np.array(stems, np.float64)
    between = recorded_s[(recorded_s >= named.min()) & (recorded_s <= named.max())]
    shared = len(np.intersect1d(named, between))
    return shared > 0.5 * len(named) and shared > 0.5 * len(between)


def _no_times(images: tuple[str, ...], folder: Path, exif: np.ndarray | None) -> str:
    wanted = f"name images by their times, put {' or '.join(TIMES_FILES[:3])} beside them, or give positions by name"
    if exif is not None and not np.isnan(exif).all():
        missing = images[int(np.flatnonzero(np.isnan(exif))[0])]
        count = int(np.isnan(exif).sum())
        return f"{folder}: {count} of {len(images)} images have no EXIF time, first {missing}; {wanted}"
    if _count([stem(image) for image in images]):
        return f"{folder}: file names only count ({images[0]} ...) and are no times; {wanted}, or give `time_unit`"
    bad = next(image for image in images if not _TIME.fullmatch(stem(image)))
    return f"{folder}: the file name {bad} is no time, and no EXIF holds one; {wanted}"


def is_times_file(path: Path) -> bool:
    """Whether a file is one of :data:`TIMES_FILES`, and no table of more than times and names."""
    if path.name not in TIMES_FILES or not path.is_file():
        return False
    return max(len(row) for row in _cells(path)[0]) <= 2


def _from_files(images: tuple[str, ...], folder: Path, unit: str) -> tuple[np.ndarray, str] | None:
    """(N,) seconds from the file of times nearest to each image, and the files' name; None where there is no file.

    Raises:
        UserError: some of the images have one and others have not.
    """
    parents = [PurePosixPath(image).parent for image in images]
    file_of = {parent: _times_file(parent, folder) for parent in set(parents)}
    if not any(file_of.values()):
        return None
    if without := next((parent for parent in parents if file_of[parent] is None), None):
        raise UserError(f"{folder / without}: no times, and other folders of {folder} have some; add {TIMES_FILES[0]}")
    files = [file_of[parent] for parent in parents]
    seconds = np.empty(len(images))
    for file in {file for file in files if file is not None}:
        rows = [row for row, one in enumerate(files) if one == file]
        seconds[rows] = _listed(file, tuple(images[row] for row in rows), folder, unit)
    return seconds, ", ".join(sorted({file.name for file in files if file is not None}))


def _times_file(parent: PurePosixPath, folder: Path) -> Path | None:
    """The file of times nearest to the images of one folder, there or above it within ``folder``."""
    for place in (parent, *parent.parents):
        found = [path for name in TIMES_FILES if is_times_file(path := folder / place / name)]
        if len(found) > 1:
            raise UserError(
                f"{found[0].parent}: both {found[0].name} and {found[1].name} may say when images were taken; keep one"
            )
        if found:
            return found[0]
    return None


def _listed(path: Path, images: tuple[str, ...], folder: Path, unit: str) -> np.ndarray:
    """(N,) seconds from a file of times: one a line, in order, or a time and an image name, in either order."""
    rows, header_unit = _cells(path)
    widths = {len(row) for row in rows}
    if widths == {1}:
        if len(rows) != len(images):
            raise UserError(
                f"{path}: {len(rows)} times for {len(images)} images of {folder}; wanted one each, in order"
            )
        return seconds_of([row[0] for row in rows], str(path), unit or header_unit)
    if widths != {2}:
        raise UserError(f"{path}: lines of one cell and of two; wanted a time in each, or a time and a name")
    by_name: list[dict[str, int]] = []
    for key in (str, stem):
        for column in (1, 0):
            of = {key(cells[column]): row for row, cells in enumerate(rows)}
            if all(key(image) in of for image in images):
                times = seconds_of([row[1 - column] for row in rows], str(path), unit or header_unit)
                return times[[of[key(image)] for image in images]]
            by_name.append(of)
    missing = next(image for image in images if stem(image) not in by_name[2])
    raise UserError(f"{path}: no time for the image {missing} of {folder}; wanted a line for every image")


def _cells(path: Path) -> tuple[list[list[str]], str]:
    """The cells of a file of times, by commas or blanks, and the unit that a header states, or nothing.

    Raises:
        UserError: it cannot be read, or holds no line.
    """
    lines = read_lines(path, "one time a line")
    header = [line for line in lines if line.startswith("#")]
    rows = [_split(line) for line in lines if not line.startswith("#")]
    if rows and not any(map(_is_time, rows[0])):  # a header without a mark
        header += rows.pop(0)
    if not rows:
        raise UserError(f"{path}: no time in it; wanted one a line")
    unit = re.search(r"\[\s*(s|ms|us|ns)\s*\]", " ".join(header))
    return rows, unit[1] if unit else ""


def _split(line: str) -> list[str]:
    if "," in line:
        return [cell.strip() for cell in line.split(",")]
    return [line] if _is_time(line) else line.split()


def _is_time(text: str) -> bool:
    return bool(re.fullmatch(r"[\d.eE+]+|\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\S*", text.strip(), re.ASCII))
