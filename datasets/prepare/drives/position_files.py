"""Which file says where a drive was, and which others could: none is passed over in silence."""

import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from opticornet.datasets.bags import BAG_SUFFIXES
from opticornet.datasets.images.found import IMAGE_SUFFIXES, OTHER_SUFFIXES, VIDEO_SUFFIXES, is_system_folder
from opticornet.datasets.prepare.drives.image_times import is_times_file
from opticornet.datasets.prepare.tracks import OXTS, SUFFIXES
from opticornet.utils.errors import UserError

READ_SUFFIXES = (".csv", *SUFFIXES, *sorted(BAG_SUFFIXES))
# What positions are kept in, whatever the file is called.
TRACK_SUFFIXES = frozenset(
    (
        *(".csv", ".tsv", ".tum", ".kitti", ".gpx", ".nmea", ".kml", ".kmz", ".tcx", ".fit", ".geojson", ".pos"),
        *(".ubx", ".bag", ".db3", ".mcap", ".poses", ".traj", ".obs", ".rnx", ".shp", ".xls", ".xlsx", ".ods"),
        ".parquet",
    )
)
# What may hold positions beside other things: looked at in a drive's folder.
DATA_SUFFIXES = TRACK_SUFFIXES | frozenset(
    (
        *(".txt", ".json", ".jsonl", ".xml", ".xmp", ".yaml", ".yml", ".toml", ".log", ".dat", ".npy", ".npz", ".mat"),
        *(".srt", ".h5", ".hdf5", ".sqlite", ".db", ".pkl", ".ini"),
    )
)
NO_POSITIONS = frozenset(
    (
        *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".md", ".pdf", ".html", ".py", ".sh", ".ipynb"),
        *(".md5", ".sha1", ".sha256", ".lnk", ".url", *IMAGE_SUFFIXES, *OTHER_SUFFIXES, *VIDEO_SUFFIXES),
    )
)
NOTICES = ("readme", "license", "licence", "copying", "changelog", "notice")
WORDS = (
    *("position", "pose", "gps", "gnss", "gpx", "nmea", "groundtruth", "ground_truth", "track", "traj", "odom"),
    *("coord", "location", "utm", "latlon", "geo", "imu", "rtk", "navsat", "place"),
)


class PositionFiles:
    """The files beside and in the drives of a folder that hold positions, or could."""

    def __init__(self, root: Path, ignore: tuple[str, ...], others: Iterable[Path] = ()) -> None:
        """
        Args:
            root: holds the drives.
            ignore: patterns of files to leave out (``*.json``), of their names or their paths from ``root``.
            others: files and folders that are something else: recordings that are drives, lists of frames.
        """
        self._root, self._ignore = root, tuple(pattern.casefold() for pattern in ignore)
        self._used: set[str] = set()
        self._others = {path.resolve() for path in others}
        entries = [entry for entry in sorted(root.iterdir()) if entry.resolve() not in self._others]
        self._folders = [entry.name for entry in entries if entry.is_dir() and not is_system_folder(entry.name)]
        files = [entry.name for entry in entries if entry.is_file()]
        for folder in self._folders:
            files += _files_of_no_drive(root, folder)
        self._files = self._candidates(files)

    def of(self, drive: str, inside: Iterable[str]) -> Path | None:
        """The one file with the positions of a drive, if there is one: beside its folder and named after it, or in it.

        Args:
            drive: name of the folder.
            inside: files in it that are no images, relative to it.

        Raises:
            UserError: several do, or one could and cannot be read.
        """
        beside = [file for file in self._files if "/" not in file and _belongs(file, drive)]
        within = [f"{drive}/{file}" for file in inside]
        packets = sorted({file.partition(f"/{OXTS}/")[0] + f"/{OXTS}" for file in within if f"/{OXTS}/" in file})
        within = [file for file in within if f"/{OXTS}/" not in file and not is_times_file(self._root / file)]
        within = self._candidates(within)
        within = [file for file in within if _suffix(file) in DATA_SUFFIXES or _has_word(file.rsplit("/", 1)[-1])]
        readable = [file for file in beside if _suffix(file) in READ_SUFFIXES]
        readable += [file for file in within if _suffix(file) in READ_SUFFIXES and _speaks_of_positions(file, drive)]
        readable += packets
        if others := [file for file in (*beside, *within) if file not in readable]:
            kinds = ", ".join(READ_SUFFIXES)
            several = f", and {len(others) - 1} others" if len(others) > 1 else ""
            raise UserError(
                f"{self._root / others[0]}{several}: could hold positions of {drive} and is not read; give them as "
                f"{drive} with {kinds} beside the folder, or leave the file out: `ignore_files` {_pattern(others)}"
            )
        if len(readable) > 1:
            raise UserError(
                f"{self._root}: both {readable[0]} and {readable[1]} say where {drive} was; keep one of them, or leave "
                f"one out: `ignore_files` {readable[1]}"
            )
        return self._root / readable[0] if readable else None

    def check_rest(self, drives: tuple[str, ...]) -> None:
        """Whether every file that could hold positions belongs to a drive, and every pattern matched a file.

        Raises:
            UserError: one does not.
        """
        owners = {*self._folders, *drives}
        for file in self._files:
            if file.partition("/")[0] in drives or any(_belongs(file, owner) for owner in owners if "/" not in file):
                continue
            if _suffix(file) in TRACK_SUFFIXES or _has_word(file.rsplit("/", 1)[-1]) or "/" in file:
                raise UserError(
                    f"{self._root / file}: could hold positions and belongs to no drive; name it after one "
                    f"({drives[0]}.csv) and put it beside the drives, or leave it out: `ignore_files` {file}"
                )
        if unused := [pattern for pattern in self._ignore if pattern not in self._used]:
            raise UserError(f"`ignore_files` {', '.join(unused)}: matches no file that could hold positions")

    def _candidates(self, files: list[str]) -> list[str]:
        """Those that may hold positions."""
        may = [file for file in files if _may_hold(file) and (self._root / file).resolve() not in self._others]
        return [file for file in may if not self._is_ignored(file)]

    def _is_ignored(self, file: str) -> bool:
        file = file.casefold()
        found = [p for p in self._ignore if fnmatchcase(file, p) or fnmatchcase(file.rsplit("/", 1)[-1], p)]
        self._used.update(found)
        return bool(found)


def _files_of_no_drive(root: Path, folder: str) -> list[str]:
    """The files below a folder without images that are tracks or tables, or speak of positions, as does all in one
    whose own name does."""
    names: list[str] = []
    for place, _, files in os.walk(root / folder):
        if any(_suffix(file) in IMAGE_SUFFIXES | VIDEO_SUFFIXES for file in files):
            return []
        names += [Path(place, file).relative_to(root).as_posix() for file in sorted(files)]
    return [name for name in names if _suffix(name) in TRACK_SUFFIXES or _has_word(name)]


def _belongs(file: str, drive: str) -> bool:
    """Whether a file is named after a drive: ``b.csv``, or ``b_gps.csv``."""
    name, drive = file.casefold(), drive.casefold()
    rest = name.removeprefix(drive)
    return name.startswith(drive) and (rest.startswith(".") or (rest[:1] in ("_", "-", " ") and _has_word(rest)))


def _speaks_of_positions(file: str, drive: str) -> bool:
    name = file.rsplit("/", 1)[-1]
    return _suffix(file) not in (".txt", ".log") or _has_word(name) or _belongs(name, drive)


def _may_hold(file: str) -> bool:
    """False for pictures, films, archives, pages and what is hidden."""
    name = file.rsplit("/", 1)[-1]
    if name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini") or _stem(name) in NOTICES:
        return False
    inner = Path(Path(name).stem).suffix.lower()
    return _suffix(name) not in NO_POSITIONS or (inner in DATA_SUFFIXES and _suffix(name) in (".gz", ".zip", ".xz"))


def _suffix(file: str) -> str:
    return Path(file).suffix.lower()


def _stem(name: str) -> str:
    return Path(name).stem.lower()


def _has_word(name: str) -> bool:
    return any(word in name.casefold() for word in WORDS)


def _pattern(files: list[str]) -> str:
    """What leaves the files out."""
    suffixes = {_suffix(file) for file in files}
    return files[0] if len(files) == 1 or len(suffixes) > 1 else f"'*{suffixes.pop()}'"
