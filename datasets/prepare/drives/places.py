"""Where each image of a folder was taken, from a table or a track beside it, or from its EXIF."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from opticornet.datasets.column_names import FRAME_COLUMNS
from opticornet.datasets.columns import Columns, is_empty, read_known_columns
from opticornet.datasets.geodesy import on_globe, without_jumps
from opticornet.datasets.prepare.drives.exif import read_exif
from opticornet.datasets.prepare.drives.fixes import Fixes, fixes_of
from opticornet.datasets.prepare.drives.image_rows import check_count, image_rows, names_all
from opticornet.datasets.prepare.drives.image_times import Clock, image_times
from opticornet.datasets.prepare.tracks import read_track
from opticornet.datasets.prepare.tracks.recorders import read_recorder
from opticornet.datasets.prepare.tracks.times import FASTEST_POSES_S, seconds_of
from opticornet.datasets.prepare.tracks.track import Track
from opticornet.datasets.prepare.tracks.trajectory import Trajectory
from opticornet.utils.errors import UserError
from opticornet.utils.text import counted

FLAGS = ("score", "usable")
KNOWN_COLUMNS = tuple(dict.fromkeys((*FRAME_COLUMNS, *FLAGS)))


@dataclass(frozen=True)
class Places:
    """What is known of N images.

    Attributes:
        positions: frame-table column to (N,) float64, of one set of
            :data:`opticornet.datasets.column_names.POSITION_COLUMNS`; NaN where not known.
        known: (N,) bool.
        how: from which file, and how its rows were matched to the images, in words.
        reasons: why positions are not known, in words.
        sequences: (N,) labels, any where not known; or None.
        flags: "score" and "usable" of the frame table, where the file has them, to (N,) bool.
        seconds: (N,) float64, NaN where not known; or None.
        ignored: columns of the table that were left out because they were named.
        timed: whether the images' own times were asked for.
    """

    positions: dict[str, np.ndarray]
    known: np.ndarray
    how: str
    reasons: tuple[str, ...] = ()
    sequences: np.ndarray | None = None
    flags: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: np.ndarray | None = None
    ignored: tuple[str, ...] = ()
    timed: bool = False


@dataclass(frozen=True)
class _Recorded:
    """M positions as a file has them: (M, P), and which of them are fixes."""

    path: Path
    columns: tuple[str, ...]
    positions: np.ndarray
    fixes: Fixes

    @classmethod
    def of(cls, path: Path, columns: tuple[str, ...], positions: np.ndarray, frozen_fix: int) -> "_Recorded":
        fixes = fixes_of(positions, columns, frozen_fix)
        if not fixes.real.any():
            raise UserError(f"{path}: none of {len(positions)} rows is a fix: {', '.join(_rows_in_words(fixes))}")
        return cls(path, columns, positions, fixes)

    def by_time(self, seconds: np.ndarray, times: np.ndarray, source: str, reach_s: float) -> Places:
        """Interpolated at the images' times (N,), which are from ``source``, in words."""
        real = self.fixes.real
        recorded, in_degrees = self.positions[real], self.columns == ("lat", "lon")
        if in_degrees:
            recorded[:, 1] = without_jumps(recorded[:, 1])
        positions, known = Trajectory.of(self.path, seconds[real], recorded).at(times, reach_s)
        if in_degrees:
            positions[:, 1] = on_globe(positions[:, 1])
        reasons = [f"{self.path.name} has {reason}" for reason in _rows_in_words(self.fixes)]
        if repeated := _contradicting(seconds[real], self.positions[real]):
            reasons.append(f"{self.path.name} has {repeated} rows of another position at the same time")
        if not known.all():
            reasons.insert(0, f"{np.sum(~known)} not within {reach_s:g} s of a pose of {self.path.name}")
        return Places(
            self._by_column(np.where(known[:, None], positions, np.nan)),
            known,
            f"{', '.join(self.columns)} of {self.path.name}, interpolated at the times in {source}",
            tuple(reasons),
            seconds=times,
            timed=True,
        )

    def by_row(self, row_of: np.ndarray, how: str) -> Places:
        """Of images (N,), each of a row, -1 for none."""
        known = (row_of >= 0) & self.fixes.real[row_of]
        reasons = [f"{self.path.name} has {reason}" for reason in _rows_in_words(self.fixes)]
        if (row_of < 0).any():
            reasons.insert(0, f"{self.path.name} has no row for {np.sum(row_of < 0)}")
        return Places(
            self._by_column(np.where(known[:, None], self.positions[row_of], np.nan)),
            known,
            f"{', '.join(self.columns)} of {self.path.name}, {how}",
            tuple(reasons),
        )

    def _by_column(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(self.columns, positions.T, strict=True))


def read_places(
    path: Path,
    images: tuple[str, ...],
    folder: Path,
    reach_s: float,
    frozen_fix: int,
    ignore: tuple[str, ...],
    clock: Clock,
) -> Places:
    """Read positions for the images of a folder.

    A table (``.csv``) says which image a row belongs to by ``name`` or ``image``, else by ``timestamp`` against the
    images' times, else by order. A track (a recorder's table, or any other file) does so by time, or by order (kitti).
    By time, positions are interpolated between fixes.

    Args:
        images: N names, relative to ``folder``.
        reach_s: see :meth:`opticornet.datasets.prepare.tracks.trajectory.Trajectory.at`.
        frozen_fix: see :func:`opticornet.datasets.prepare.drives.fixes.fixes_of`.
        ignore: columns of a table that are not wanted.
        clock: of the images.

    Raises:
        UserError: columns that are missing or not understood, positions of two kinds or off the globe, rows that match
            no image, as many rows as images wanted, times that do not overlap, no row that is a fix.
    """
    in_table = path.suffix.lower() == ".csv"
    track = read_recorder(path) if in_table else read_track(path)
    if track is None:
        table = read_known_columns(path, KNOWN_COLUMNS, ignore)
        return _of_table(table, images, folder, reach_s, frozen_fix, clock)
    return track_places(track, images, folder, reach_s, frozen_fix, clock)


def track_places(
    track: Track, images: tuple[str, ...], folder: Path, reach_s: float, frozen_fix: int, clock: Clock
) -> Places:
    """By time, or by order where the track has no times."""
    if track.seconds is None:
        check_count(track.path, len(track.positions), images, folder)
        recorded = _Recorded.of(track.path, track.columns, track.positions, frozen_fix)
        return recorded.by_row(np.arange(len(images)), "row i for image i")
    times, source = image_times(images, folder, clock, track.seconds)
    seconds, order = track.in_order(times)
    recorded = _Recorded.of(track.path, track.columns, track.positions[order], frozen_fix)
    places = recorded.by_time(seconds, times, source, reach_s)
    if not track.no_fix:
        return places
    return replace(
        places, reasons=(*places.reasons, f"{track.path.name} has {track.no_fix} rows that it says are no fix")
    )


def exif_places(images: tuple[str, ...], folder: Path, frozen_fix: int, clock: Clock) -> Places | None:
    """Positions that photographs say of themselves; None where none does.

    Their times are kept where they have a zone, or an offset is given.
    """
    exif = read_exif(tuple(str(folder / image) for image in images))
    if exif is None or np.isnan(exif.degrees).all():
        return None
    recorded = _Recorded.of(folder, ("lat", "lon"), exif.degrees, frozen_fix)
    places = recorded.by_row(np.arange(len(images)), "by the EXIF of the images")
    if np.isnan(exif.seconds).any() or not (exif.zoned or clock.offset_s is not None):
        return places
    return replace(places, seconds=exif.seconds + (clock.offset_s or 0.0), timed=True)


def _of_table(
    table: Columns, images: tuple[str, ...], folder: Path, reach_s: float, frozen_fix: int, clock: Clock
) -> Places:
    table = _without_counts(table, images, folder)
    columns = table.position_columns()
    if not columns:
        raise UserError(
            f"{table.path}: no position columns; wanted x, y[, z] in metres, or lat, lon in degrees, or frame; it has "
            f"{', '.join(table.headers.values()) or 'none'}"
        )
    positions = table.positions(empty=True)
    seconds, by_time = None, "timestamp" in table and "name" not in table and "image" not in table
    if "timestamp" in table:
        seconds = _seconds(table, empty=by_time)
    if seconds is not None and by_time:
        track = Track.of(table.path, columns, positions, seconds, np.isfinite(seconds))
        places = track_places(track, images, folder, reach_s, frozen_fix, clock)
        return replace(places, sequences=_sequences_at(table, seconds, places.seconds), ignored=table.ignored)
    rows, how = image_rows(table, images, folder)
    row_of = np.full(len(images), -1)
    row_of[rows] = np.arange(len(rows))
    in_order = np.argsort(rows)
    ordered = _Recorded.of(table.path, columns, positions[in_order], frozen_fix)
    rank_of = np.full(len(images), -1)
    rank_of[rows[in_order]] = np.arange(len(rows))
    return replace(
        ordered.by_row(rank_of, how),
        sequences=np.array(table["sequence"])[row_of] if "sequence" in table else None,
        flags={name: (row_of >= 0) & table.flags(name)[row_of] for name in FLAGS if name in table},
        seconds=None if seconds is None else np.where(row_of >= 0, seconds[row_of], np.nan),
        ignored=table.ignored,
    )


def _without_counts(table: Columns, images: tuple[str, ...], folder: Path) -> Columns:
    """A table in which a frame number beside another position is what says which image a row is of.

    It is passed over where names or times say so.
    """
    if "frame" not in table or not {"x", "lat"} & set(table.cells):
        return table
    cells, headers = dict(table.cells), dict(table.headers)
    numbers, title = cells.pop("frame"), headers.pop("frame")
    said = {"name", "image"} & set(table.cells)
    if not said and ("timestamp" not in table or names_all(table, "frame", images, folder)):
        cells["name"], headers["name"] = numbers, title
    return replace(table, cells=cells, headers=headers)


def _sequences_at(table: Columns, seconds: np.ndarray, times: np.ndarray | None) -> np.ndarray | None:
    """(N,) label of the row nearest to each image's time, of rows with times (M,); None without such a column."""
    if found := [table.headers[name] for name in FLAGS if name in table]:
        raise UserError(
            f"{table.path}: {', '.join(found)} of rows that are found by time; wanted a column name that "
            "says which image, or name it in `ignore_columns`"
        )
    if times is None or "sequence" not in table:
        return None
    rows = np.flatnonzero(np.isfinite(seconds))
    rows = rows[np.argsort(seconds[rows], kind="stable")]
    between = (seconds[rows][1:] + seconds[rows][:-1]) / 2
    return np.array(table["sequence"])[rows[np.searchsorted(between, times)]]


def _seconds(table: Columns, empty: bool) -> np.ndarray:
    """(N,) times of a table; with ``empty`` NaN where there is none."""
    texts = table["timestamp"]
    there = np.array([not (empty and is_empty(text)) for text in texts])
    seconds = np.full(len(texts), np.nan)
    given = [text for text, one in zip(texts, there, strict=True) if one]
    seconds[there] = seconds_of(given, str(table.path), table.unit("timestamp"), FASTEST_POSES_S)
    return seconds


def _contradicting(seconds: np.ndarray, positions: np.ndarray) -> int:
    """How many rows have the time of the row before and another position, in order of time: they are not used."""
    order = np.argsort(seconds, kind="stable")
    moved = (np.diff(positions[order], axis=0) != 0).any(axis=1)
    return int(np.sum((np.diff(seconds[order]) == 0) & moved))


def _rows_in_words(fixes: Fixes) -> list[str]:
    return [f"{counted(count, 'row')} {reason}" for count, reason in fixes.reasons()]
