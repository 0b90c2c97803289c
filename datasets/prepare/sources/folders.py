"""Your own drives: a folder of images each, and beside it, if there are any, its positions::

<root>/<traverse>/*.jpg                   or a video <traverse>.mp4, or a ROS bag <traverse>.bag
<root>/<traverse>.csv                     columns lat, lon or x, y[, z] or frame; name or timestamp; sequence
<root>/<traverse>.{gpx,nmea,tum,kitti,txt}  or a track: opticornet.datasets.prepare.tracks
<root>/<traverse>/gps.csv                 or one of these in the folder

Folders in a traverse's folder are sequences of their own.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from opticornet.datasets.bags import is_bag
from opticornet.datasets.geodesy import local_metres
from opticornet.datasets.images.found import FoundImages, scan_images
from opticornet.datasets.labels import first_repeated
from opticornet.datasets.prepare.drives.drive import Drive, DriveOptions, read_drive
from opticornet.datasets.prepare.drives.position_files import PositionFiles
from opticornet.datasets.prepare.drives.recorded import Recording, read_recording, recordings_in
from opticornet.datasets.prepare.image_folder import images_in, subfolders
from opticornet.datasets.prepare.partition import QUERY_HELP, partition_drives
from opticornet.datasets.prepare.prepared import DriveRows, Prepared, PreparedSplit, PreparedTraverse, Source
from opticornet.datasets.prepare.sources.tolerance_table import GROUND_TRUTH
from opticornet.datasets.split_names import test_split_names
from opticornet.datasets.traverse import Units
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

# Positive and negative radius by unit.
RADII = {"frames": (1.0, 5.0), "metres": (10.0, 25.0)}


@dataclass(frozen=True, kw_only=True)
class Folders(DriveOptions, Source):
    """``folders``: your own drives."""

    reference: tuple[str, ...] = option("--reference", (), "reference traverse, a folder; or several: one map of all")
    query: tuple[str, ...] = option("--query", (), QUERY_HELP)
    ignore_files: tuple[str, ...] = option("--ignoreFiles", (), "files that hold no positions, or patterns ('*.json')")
    fractions: tuple[float, ...] = option("--fractions", (0.6, 0.2, 0.2), "of the route for train, val, test")
    gap: float | None = option("--gap", None, "frames or metres between splits; default: the negative radius")
    seed: int = option("--seed", 123, "seed of the order of the splits along the route")
    positive_radius: float | None = option(
        "--positiveRadius", None, "frames or metres within which a match is correct; default: 1 or 10"
    )
    negative_radius: float | None = option(
        "--negativeRadius", None, "frames or metres beyond which training negatives lie; default: 5 or 25"
    )

    def read(self, root: Path) -> Prepared:
        """A reference and a query drive, or several. Without positions a frame's position is its number in the folder's
        natural order; where the reference has some and queries none, these are test splits without ground truth.

        Args:
            reference, query: their folders; may be left out if there are two, called reference (or ref, database) and
                query (or queries). Several reference drives are one map; several query drives are trained and validated
                on together and tested one by one.
            ignore_files: patterns of files that could hold positions, and do not.
            fractions, seed: see :func:`opticornet.datasets.prepare.partition.partition`.
            gap: between splits, default the negative radius.
            positive_radius, negative_radius: in frames or metres, default :data:`RADII`; training positives and correct
                matches lie within the first, training negatives beyond the second.

        Raises:
            UserError: missing folders, positions of which rows match no image, traverses with different kinds of
                position, or without positions and with different numbers of images.
        """
        if listed := next((name for name in GROUND_TRUTH if (root / name).is_file()), ""):
            raise UserError(
                f"{root / listed} lists correct references, which folders does not read; `source` vpr-bench does"
            )
        recordings = recordings_in(root)
        of_reference, of_query = _traverse_names(root, self.reference, self.query, tuple(recordings))
        names = (*of_reference, *of_query)
        found = [_frames(root, name, recordings.get(name), self) for name in names]
        used = [recordings[name] for name, (_, recording) in zip(names, found, strict=True) if recording]
        files = PositionFiles(root, self.ignore_files, (*used, *self._lists(names)))
        tables = [files.of(name, inside.others) for name, (inside, _) in zip(names, found, strict=True)]
        files.check_rest((*names, *recordings))
        drives = [
            read_drive(root / name, inside, table, self, recording)
            for name, (inside, recording), table in zip(names, found, tables, strict=True)
        ]
        self._check_used(drives, [recording.path for _, recording in found if recording is not None], tables)
        self._check_ignored(drives)
        traverses, flattened = _without_some_heights([drive.traverse for drive in drives])
        references, queries = traverses[: len(of_reference)], traverses[len(of_reference) :]
        first = references[0]
        notes = (*(note for drive in drives for note in drive.notes), *flattened)
        fileless = {name: table is None for name, table in zip(names, tables, strict=True)}
        unplaced = [
            query
            for query in queries
            if fileless[query.name] and "frame" in query.positions and "frame" not in first.positions
        ]
        if unplaced and len(unplaced) < len(queries):
            raise UserError(f"{root}: {unplaced[0].name} has no positions, other query drives have; prepare it alone")
        for other in (*references[1:], *(() if unplaced else queries)):
            _check_alike(root, first, other, (fileless[first.name], fileless[other.name]))
        if unplaced:
            return self._to_be_placed(references, unplaced, notes)
        return self._partitioned(references, queries, notes)

    def _partitioned(
        self, references: list[PreparedTraverse], queries: list[PreparedTraverse], notes: tuple[str, ...]
    ) -> Prepared:
        """Splits along the route, of drives with positions of one kind."""
        units: Units = "frames" if "frame" in references[0].positions else "metres"
        positive, negative = self.positive_radius or RADII[units][0], self.negative_radius or RADII[units][1]
        drives = (*references, *queries)
        places = {one.name: np.stack(list(one.positions.values()), axis=1).astype(float) for one in drives}
        if "lat" in references[0].positions:
            origin = places[references[0].name][0]
            places = {name: local_metres(degrees, origin) for name, degrees in places.items()}
        gap = negative if self.gap is None else self.gap
        first, others = ({one.name: places[one.name] for one in side} for side in (references, queries))
        rows = partition_drives(first, others, self.fractions, gap, np.random.default_rng(self.seed))
        splits = (
            PreparedSplit(
                *(split, _drive_rows(of_references), _drive_rows(of_queries)),
                positive_radius=positive,
                negative_radius=negative if split == "train" else None,
            )
            for split, (of_references, of_queries) in rows.items()
        )
        return Prepared(units, drives, tuple(splits), notes)

    def _to_be_placed(
        self, references: list[PreparedTraverse], queries: list[PreparedTraverse], notes: tuple[str, ...]
    ) -> Prepared:
        """Splits without ground truth, of queries without positions."""
        if self.positive_radius is not None or self.negative_radius is not None:
            name = queries[0].name
            raise UserError(
                f"{name} has no positions, so no radius says what is correct: leave `positive_radius` and "
                f"`negative_radius` out, or add {name}.csv"
            )
        queries = [replace(one, positions={}, placed="not known; its split has no ground truth") for one in queries]
        names = test_split_names([query.name for query in queries])
        splits = (
            PreparedSplit.of_all_rows(split, references, [query]) for split, query in zip(names, queries, strict=True)
        )
        return Prepared("metres", (*references, *queries), tuple(splits), notes)

    def _check_used(self, drives: list[Drive], recordings: list[Path], tables: list[Path | None]) -> None:
        """Whether options of recordings have one to work on."""
        bags = [path for path in (*recordings, *tables) if path is not None and is_bag(path)]
        if self.fps and not set(recordings) - set(bags):
            raise UserError("`fps` changes nothing: no drive is a video; leave it out")
        if self.topic and not set(recordings) & set(bags):
            raise UserError("`topic` changes nothing: no drive is a ROS bag; leave it out")
        if self.position_topic and not bags:
            raise UserError("`position_topic` changes nothing: there is no ROS bag; leave it out")

    def _lists(self, names: tuple[str, ...]) -> tuple[Path, ...]:
        return tuple(Path(self.frame_list.replace("{traverse}", name)) for name in names) if self.frame_list else ()

    def _check_ignored(self, drives: list[Drive]) -> None:
        there = {column.casefold() for drive in drives for column in drive.ignored}
        if absent := [name for name in self.ignore_columns if name.strip().casefold() not in there]:
            raise UserError(f"`ignore_columns` {', '.join(absent)}: no table of positions has such a column")
        if not any(drive.timed for drive in drives):
            if self.clock_offset is not None:
                raise UserError(
                    "`clock_offset` changes nothing: no positions are found by the images' times; leave it out"
                )
            if self.time_unit:
                raise UserError(
                    "`time_unit` changes nothing: no positions are found by the images' times; leave it out"
                )


def _drive_rows(rows: dict[str, np.ndarray]) -> tuple[DriveRows, ...]:
    return tuple(DriveRows(name, own) for name, own in rows.items())


def _without_some_heights(drives: list[PreparedTraverse]) -> tuple[list[PreparedTraverse], list[str]]:
    """The drives, without heights where only some have them, and notes that say so."""
    flat = [one.name for one in drives if {"x", "y"} == one.positions.keys()]
    high = [one.name for one in drives if {"x", "y", "z"} == one.positions.keys()]
    if not flat or not high:
        return drives, []
    level = [
        replace(one, positions={"x": one.positions["x"], "y": one.positions["y"]}) if one.name in high else one
        for one in drives
    ]
    return level, [f"{name}: z is left out, as {flat[0]} has x, y only" for name in high]


def _check_alike(root: Path, first: PreparedTraverse, second: PreparedTraverse, fileless: tuple[bool, bool]) -> None:
    """Whether positions of two drives say the same places; ``fileless``: which have no file of them."""
    both = (first, second)
    numbered = [one for one, without in zip(both, fileless, strict=True) if without and "frame" in one.positions]
    if len(numbered) == 2 and len(first) != len(second):
        raise UserError(
            f"{root}: {first.name} has {len(first)} images, {second.name} {len(second)}, and neither has "
            f"positions: image i of both would be taken as the same place; add {first.name}.csv and "
            f"{second.name}.csv, or make the counts equal"
        )
    if first.positions.keys() != second.positions.keys():
        if numbered:
            bare, other = (first, second) if numbered[0] is first else (second, first)
            raise UserError(
                f"{root}: {bare.name} has no positions, {other.name} has {', '.join(other.positions)}; add "
                f"{bare.name}.csv with the same"
            )
        raise UserError(
            f"{root}: {first.name} has positions in {', '.join(first.positions)}, {second.name} in "
            f"{', '.join(second.positions)}; give both the same"
        )


def _frames(root: Path, name: str, path: Path | None, options: DriveOptions) -> tuple[FoundImages, Recording | None]:
    """The frames of a drive: images in its folder, or those of the recording ``path``.

    A bag beside a folder of images holds its positions.

    Raises:
        UserError: there are none, or both a folder and a video hold some.
    """
    folder = root / name
    inside = scan_images(folder) if folder.is_dir() and folder != path else None
    if path is None or (inside is not None and inside.images):
        if path is not None and not is_bag(path):
            raise UserError(f"{root}: the folder {name} and {path.name} both hold frames of {name}; rename one of them")
        return images_in(folder), None
    recording = read_recording(path, options.fps or None, options.topic, options.position_topic)
    others = () if inside is None else inside.others
    return replace(recording.frames, others=others), recording


def _traverse_names(
    root: Path, references: tuple[str, ...], queries: tuple[str, ...], recordings: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The reference drives and the query drives."""
    found = sorted({*subfolders(root), *recordings})

    def called(*names: str) -> tuple[str, ...]:
        return tuple(name for name in found if name.lower() in names)[:1]

    references = references or called("reference", "ref", "database")
    queries = queries or called("query", "queries")
    if not references or not queries:
        raise UserError(
            f"{root}: which folder is the reference and which the query? it has {', '.join(found) or 'none'}; give "
            "`reference` and `query`"
        )
    for argument, names in (("reference", references), ("query", queries)):
        if twice := first_repeated(names):
            raise UserError(f"`{argument}` names {twice} twice; name each drive once")
    return references, queries
