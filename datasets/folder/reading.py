"""Dataset folders: ``dataset.toml`` and the files it names. The format is described in docs/datasets.md."""

import os
import tomllib
from dataclasses import dataclass, field, fields, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from opticornet.datasets.arrays import open_descriptors, split_key
from opticornet.datasets.descriptor_files import local_features_path, read_identity, read_usable
from opticornet.datasets.folder.positives import read_positives, write_positives
from opticornet.datasets.folder.scored import read_scored
from opticornet.datasets.folder.tables import FrameTable, read_frames, run_bounds, write_frames
from opticornet.datasets.geodesy import local_metres
from opticornet.datasets.image_features import namings_of, open_image_features
from opticornet.datasets.images.found import find_images, image_stem
from opticornet.datasets.images.recordings import frame_exists
from opticornet.datasets.images.sources import ImageFiles
from opticornet.datasets.spacing import cut_at_jumps
from opticornet.datasets.split_names import check_split_name
from opticornet.datasets.traverse import Dataset, Split, Traverse, Units
from opticornet.utils.array_files import map_npy
from opticornet.utils.errors import UserError
from opticornet.utils.files import atomic_path, write_text
from opticornet.utils.mapped import RowMatrix

TOML_NAME = "dataset.toml"


@dataclass(frozen=True)
class TraverseEntry:
    """``[traverses.NAME]``: paths relative to the folder, or to ``shared``, a folder whose files several datasets use.

    At least one of ``descriptors``, ``images`` (a folder of them) and an ``image`` column in ``frames`` says what the
    frames are. ``ignore_columns`` are columns of ``frames`` that are not wanted; ``score`` lists the frames that are
    scored; a step of more than ``max_step`` units begins a new sequence.
    """

    descriptors: str | None = None
    frames: str | None = None
    images: str | None = None
    ignore_columns: tuple[str, ...] | None = None
    score: str | None = None
    max_step: float | None = None
    shared: str | None = None

    def root(self, folder: Path) -> Path:
        """Where the traverse's descriptors, frames and images are, of a dataset in ``folder``.

        Raises:
            UserError: ``shared`` is no folder.
        """
        root = folder / (self.shared or "")
        if self.shared is not None and not root.is_dir():
            raise UserError(f"{folder / TOML_NAME}: shared = {self.shared!r} is no folder; check the path")
        return root


@dataclass(frozen=True)
class SplitEntry:
    """``[splits.NAME]``: traverse names, half-open row ranges, radii in the dataset's units.

    ``reference_score`` and ``query_score`` list frames that this split scores, among those that their traverse scores.
    ``rows_are_places``: row i of both drives is one place, though one drive has more rows.
    """

    reference: str
    query: str
    reference_rows: tuple[int, int] | None = None
    query_rows: tuple[int, int] | None = None
    positive_radius: float | None = None
    negative_radius: float | None = None
    positives: str | None = None
    reference_score: str | None = None
    query_score: str | None = None
    rows_are_places: bool = False


Entry = TypeVar("Entry", TraverseEntry, SplitEntry)


@dataclass(frozen=True)
class FolderEntry:
    """A whole ``dataset.toml``."""

    name: str
    units: Units
    traverses: dict[str, TraverseEntry] = field(default_factory=dict)
    splits: dict[str, SplitEntry] = field(default_factory=dict)


def read_toml(folder: Path) -> FolderEntry:
    """Read ``folder/dataset.toml`` and check every key and type; no other file is opened.

    Raises:
        UserError: no such file, broken TOML, unknown or missing key (named), wrong type, unknown traverse.
    """
    path = folder / TOML_NAME
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except FileNotFoundError as error:
        found = "an empty folder" if folder.is_dir() and not any(folder.iterdir()) else "no dataset.toml"
        raise UserError(f"{folder}: {found}; a dataset folder holds a {TOML_NAME} (docs/datasets.md)") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: cannot be read as TOML ({error})") from error

    _check_keys(path, "at the top", document, FolderEntry)
    units = document.get("units")
    if units not in ("metres", "frames"):
        raise UserError(f'{path}: units is {units!r}; wanted units = "metres" or "frames"')
    traverses = {
        name: _entry(path, f"traverses.{name}", table, TraverseEntry)
        for name, table in _table(path, "traverses", document.get("traverses")).items()
    }
    splits = {
        name: _entry(path, f"splits.{name}", table, SplitEntry)
        for name, table in _table(path, "splits", document.get("splits")).items()
    }
    for name, traverse in traverses.items():
        if traverse == TraverseEntry():
            raise UserError(
                f"{path}: traverses.{name} has no key 'descriptors', nor 'images', nor 'frames' with an image column; "
                "give what there is"
            )
        if traverse.max_step is not None and not 0 < traverse.max_step < float("inf"):
            raise UserError(f"{path}: traverses.{name}.max_step is {traverse.max_step:g}; wanted a number above 0")
    for name, split in splits.items():
        check_split_name(str(path), name)
        for role in (split.reference, split.query):
            if role not in traverses:
                raise UserError(f"{path}: splits.{name} names traverse {role!r}; there are {', '.join(traverses)}")
        if split.positive_radius is not None and split.positives is not None:
            raise UserError(
                f"{path}: splits.{name} has positive_radius and positives; give one of the two, or neither where "
                "nothing is known of the correct references"
            )
    return FolderEntry(_checked_value(path, "name", document.get("name", folder.name), str), units, traverses, splits)


def load_folder(folder: str | Path, split_names: tuple[str, ...] | None = None) -> Dataset:
    """Open the splits of a dataset folder; files of other splits are not touched.

    Args:
        folder: holds a ``dataset.toml``.
        split_names: the splits to open, default all there are.

    Raises:
        UserError: anything wrong with the folder, in one line.
    """
    folder = Path(folder)
    entry = read_toml(folder)
    reader = _Reader(folder, entry)
    for name in split_names or ():
        if name not in entry.splits:
            raise UserError(f"{folder / TOML_NAME}: no split {name!r}; it has {', '.join(entry.splits)}")
    return Dataset(entry.name, {name: reader.split(name) for name in split_names or entry.splits})


def inside_folder(folder: Path, relative: str) -> Path:
    """The path of a file named in a ``dataset.toml``, within its folder or one that it names as ``shared``.

    Raises:
        UserError: it is absolute or leads out of the folder, also by a symbolic link.
    """
    path = folder / relative
    if Path(relative).is_absolute() or not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(
            f"{folder}: {relative!r} leaves the folder; move or copy the file into it, or name the folder that it is "
            "in as shared of its traverse (docs/datasets.md)"
        )
    return path


def images_of(folder: Path, entry: TraverseEntry, frames: FrameTable) -> tuple[str, ...] | None:
    """The image paths of a traverse, in order; None where it names none.

    They may lie outside of the folder, which often holds descriptors of images that stay where they are.

    Raises:
        UserError: both the table and ``images`` name some; the folder of images is missing or holds none.
    """
    if entry.images is None:
        return frames.images and tuple(os.path.join(entry.root(folder), image) for image in frames.images)
    if frames.images is not None:
        raise UserError(
            f"{folder / TOML_NAME}: images = {entry.images!r}, but {entry.frames} has an image column; leave one out"
        )
    place = os.path.join(entry.root(folder), entry.images)
    if not os.path.isdir(place):
        raise UserError(f"{folder / TOML_NAME}: images = {entry.images!r} is no folder; check the path")
    return tuple(os.path.join(place, name) for name in find_images(Path(place)))


def frames_of(folder: Path, entry: TraverseEntry) -> FrameTable:
    """The frame table of a traverse; an empty one where it has none."""
    if entry.frames is None:
        return FrameTable()
    return read_frames(inside_folder(entry.root(folder), entry.frames), entry.ignore_columns or ())


def names_images(folder: Path, entry: TraverseEntry) -> bool:
    """Whether a traverse names its images, by a folder or by its frame table."""
    return entry.images is not None or frames_of(folder, entry).images is not None


def table_images(folder: Path, table: Path, bayer: str = "") -> ImageFiles:
    """The images that a frame table names, as a source for extraction.

    Raises:
        UserError: the table has no image column, or some files do not exist.
    """
    entries = read_toml(folder).traverses.values()
    entry = next(entry for entry in entries if entry.frames and entry.root(folder) / entry.frames == table)
    root = entry.root(folder)
    images = frames_of(folder, entry).images
    if images is None:
        raise UserError(f"{table}: no image column; wanted one, or a folder of images in {folder / TOML_NAME}")
    missing = [image for image in images if not frame_exists(root / image)]
    if missing:
        raise UserError(
            f"{table} names {len(missing)} images that do not exist, first {missing[0]!r}: names are taken relative to "
            f"{root}"
        )
    return ImageFiles(root, images, bayer)


@dataclass(frozen=True)
class _OpenTraverse:
    """A traverse as its files have it: ``count`` frames, descriptors and images where there are some."""

    count: int
    frames: FrameTable
    descriptors: RowMatrix | None
    images: tuple[str, ...] | None
    images_source: str
    undescribed: str


class _Reader:
    """Opens each traverse of a folder once, however many splits use it."""

    def __init__(self, folder: Path, entry: FolderEntry) -> None:
        self._folder, self._entry = folder, entry
        self._opened: dict[str, _OpenTraverse] = {}
        self._references: dict[tuple[str, tuple[int, int], str | None], Traverse] = {}  # one for all that search it

    def split(self, name: str) -> Split:
        entry = self._entry.splits[name]
        origin = self._origin(entry.reference)
        reference = self._traverse(entry.reference, origin)
        has_truth = entry.positive_radius is not None or entry.positives is not None
        query = self._traverse(entry.query, origin, None if has_truth else reference.positions.shape[1])
        unequal_rows = None
        if self._by_rows(entry.reference) and self._by_rows(entry.query) and len(reference) != len(query):
            unequal_rows = (
                None if entry.rows_are_places or entry.positive_radius is None else (len(reference), len(query))
            )
        reference = self._scored(reference, entry.reference_score)
        query = self._scored(query, entry.query_score)
        reference_rows = self._rows(name, "reference_rows", entry.reference_rows, reference)
        query_rows = self._rows(name, "query_rows", entry.query_rows, query)
        positives = None
        if entry.positives is not None:
            table = read_positives(
                inside_folder(self._folder, entry.positives),
                query.names or len(query),
                reference.names or len(reference),
            )
            positives = table.of(np.arange(*query_rows)).cut(*reference_rows)
        return Split(
            name=name,
            reference=self._references.setdefault(
                (entry.reference, reference_rows, entry.reference_score), reference.cut(*reference_rows)
            ),
            query=query.cut(*query_rows),
            positive_radius=entry.positive_radius,
            negative_radius=entry.negative_radius,
            positives=positives,
            unequal_rows=unequal_rows,
        )

    def _by_rows(self, name: str) -> bool:
        """Whether frames are at the places that their rows' numbers say, for want of anything else."""
        return self._open(name).frames.positions is None

    def _scored(self, traverse: Traverse, score: str | None) -> Traverse:
        """With only the frames scored that the list ``score`` names and that were before."""
        if score is None:
            return traverse
        names = traverse.names or (traverse.images and tuple(map(os.path.basename, traverse.images)))
        if names and len(set(names)) < len(names):  # images of several folders
            names = None
        listed = read_scored(inside_folder(self._folder, score), names, len(traverse))
        return replace(traverse, scored=listed & traverse.is_scored)

    def _usable(self, described: Path | None, frames: FrameTable, count: int) -> np.ndarray | None:
        """What the frame table says, and what extraction wrote beside a ``.npy``."""
        beside = None
        if described is not None and described.suffix == ".npy":
            beside = read_usable(described, count)
        if beside is None or frames.usable is None:
            return frames.usable if beside is None else beside
        return beside & frames.usable

    def _open(self, name: str) -> _OpenTraverse:
        if name not in self._opened:
            entry = self._entry.traverses[name]
            frames = frames_of(self._folder, entry)
            images = images_of(self._folder, entry, frames)
            descriptors, undescribed = self._descriptors(name, frames, images)
            self._check_rows(entry, descriptors, images, frames)
            if frames.names is not None and frames.images is None:
                self._check_same_order(entry, frames.names, images)
            if images is not None and descriptors is not None and entry.descriptors is not None:
                listed_in = entry.images or entry.frames
                self._check_same_images(
                    entry.root(self._folder) / entry.descriptors, frames.images or images, listed_in
                )
            self._opened[name] = _OpenTraverse(
                count=len(images or ()) if descriptors is None else len(descriptors),
                frames=frames,
                descriptors=descriptors,
                images=images,
                images_source=""
                if images is None
                else str(entry.root(self._folder) / (entry.images or entry.frames or "")),
                undescribed=undescribed,
            )
        return self._opened[name]

    def _descriptors(
        self, name: str, frames: FrameTable, images: tuple[str, ...] | None
    ) -> tuple[RowMatrix | None, str]:
        """The descriptors, or None and why: with images they may be extracted later."""
        entry = self._entry.traverses[name]
        if entry.descriptors is None:
            if images is not None:
                return None, f"give [traverses.{name}] of {self._folder / TOML_NAME} a key descriptors and extract them"
            raise UserError(
                f"{self._folder / TOML_NAME}: traverses.{name} has no key 'descriptors', and {entry.frames} no image "
                "column; wanted one of them"
            )
        path, key = split_key(entry.descriptors)
        location = inside_folder(entry.root(self._folder), str(path))
        if images is not None and not location.exists():
            return None, f"{location} is not there; extract it first (mode extract, dataset {self._folder})"
        if key is None and path.suffix.lower() in (".h5", ".hdf5"):
            return open_image_features(location, namings_of(frames.names, images), self._names_in(location)), ""
        return open_descriptors(f"{location}:{key}" if key else location), ""

    def _names_in(self, path: Path) -> set[str]:
        """All frames and images of the traverses whose descriptors are in one file."""
        sharing = [
            entry
            for entry in self._entry.traverses.values()
            if entry.descriptors and (entry.root(self._folder) / entry.descriptors).resolve() == path.resolve()
        ]
        tables = [(entry, frames_of(self._folder, entry)) for entry in sharing]
        images = [images_of(self._folder, *pair) or () for pair in tables]
        return {
            name for (_, frames), paths in zip(tables, images, strict=True) for name in (*(frames.names or ()), *paths)
        }

    def _check_rows(
        self, entry: TraverseEntry, descriptors: RowMatrix | None, images: tuple[str, ...] | None, frames: FrameTable
    ) -> None:
        """Whether descriptors, images and frame table, as far as there are such, have as many rows."""
        if descriptors is None:
            wanted, noun, whose = len(images or ()), "images", entry.images
        else:
            wanted, noun, whose = len(descriptors), "descriptors", entry.descriptors
        counted = ((entry.frames, "frames", frames.count), (entry.images, "images", images and len(images)))
        for file, what, count in counted:
            if file is not None and count not in (None, wanted):
                path = entry.root(self._folder) / file
                raise UserError(f"{path}: {count} {what}, but {whose} has {wanted} {noun}; wanted one row each")

    def _check_same_order(self, entry: TraverseEntry, names: tuple[str, ...], images: tuple[str, ...] | None) -> None:
        """Whether a frame table whose names are those of the images, or descriptors, lists them in their order."""
        source = entry.images
        if images is None and entry.descriptors is not None:
            images, source = self._extracted_names(entry), entry.descriptors
        stems, named = ([image_stem(name) for name in of] for of in (images or (), names))
        if sorted(stems) != sorted(named) or stems == named:
            return
        row = next(row for row, pair in enumerate(zip(stems, named, strict=True)) if len(set(pair)) > 1)
        raise UserError(
            f"{entry.root(self._folder) / str(entry.frames)}: names the images of {source} in another order (row "
            f"{row + 1} is {names[row]!r}, image {row + 1} {os.path.basename((images or ())[row])!r}); wanted row i to "
            "be frame i, sort the rows"
        )

    def _check_same_images(self, path: Path, images: tuple[str, ...], listed_in: str | None) -> None:
        """Whether descriptors were extracted from the same images, where a record beside them names those.

        A record written by an extraction names images as its list does, which is how a prepared table does, or
        relative to a folder of images, which the paths then end in.
        """
        extracted = (read_identity(path) or {}).get("names")
        if extracted is None:
            return
        pairs = zip_longest(extracted, images)
        if other := next((pair for pair in pairs if not f"/{pair[1]}".endswith(f"/{pair[0]}")), None):
            raise UserError(
                f"{path}: extracted from other images than {listed_in} lists (first {other[0]}, not {other[1]}); "
                "extract again with `overwrite`"
            )

    def _origin(self, name: str) -> np.ndarray | None:
        """Where the local metres of a split are counted from: the first frame of its reference traverse that has a
        position."""
        lat_lon = self._open(name).frames.lat_lon
        return None if lat_lon is None else lat_lon[int(np.argmax(np.isfinite(lat_lon[:, 0])))]

    def _traverse(self, name: str, origin: np.ndarray | None, unplaced: int | None = None) -> Traverse:
        """A traverse; with ``unplaced``, one that may have no positions, which are then NaN of that many columns."""
        opened = self._open(name)
        entry, count, frames = self._entry.traverses[name], opened.count, opened.frames
        described = None
        if opened.descriptors is not None and entry.descriptors is not None:
            described = entry.root(self._folder) / entry.descriptors
        bounds = self._folder_bounds(entry, opened) if frames.bounds is None else frames.bounds
        traverse = Traverse(
            name=name,
            descriptors=opened.descriptors,
            positions=self._positions(name, frames, count, origin, unplaced),
            units=self._entry.units,
            bounds=bounds,
            names=frames.names,
            timestamps=frames.timestamps,
            images=opened.images,
            source=opened.images_source if described is None else str(described),
            local_features=None if described is None else self._local_features(described, count),
            lat_lon=frames.lat_lon,
            images_source=opened.images_source,
            undescribed=opened.undescribed,
            scored=frames.scored,
            usable=self._usable(described, frames, count),
        )
        if entry.max_step is not None:
            traverse = cut_at_jumps(traverse, entry.max_step)
        return self._scored(traverse, entry.score)

    def _folder_bounds(self, entry: TraverseEntry, opened: _OpenTraverse) -> np.ndarray:
        """(N, 2) where no table says so: each folder of the images is a sequence, unless rows come back to one."""
        names = opened.images or self._extracted_names(entry) or ()
        if len(names) == opened.count:
            folders = np.array([os.path.dirname(name) for name in names])
            bounds = run_bounds(folders)
            if entry.images is not None or len(np.unique(bounds[:, 0])) == len(np.unique(folders)):
                return bounds
        return np.tile(np.array([0, opened.count]), (opened.count, 1))

    def _extracted_names(self, entry: TraverseEntry) -> tuple[str, ...] | None:
        """What the record beside descriptors calls their images; None where there is none."""
        if entry.descriptors is None:
            return None
        names = (read_identity(entry.root(self._folder) / split_key(entry.descriptors)[0]) or {}).get("names")
        return names and tuple(names)

    def _local_features(self, descriptors: Path, count: int) -> np.ndarray | None:
        """What extracting with ``local``` wrote beside a ``.npy``; None where it did not."""
        path = local_features_path(descriptors)
        if path.suffix != ".npy" or not path.is_file():
            return None
        features = map_npy(path)
        if features.ndim != 3 or len(features) != count:
            raise UserError(f"{path}: shape {features.shape}; wanted ({count}, R, C), one row per row of {descriptors}")
        return features

    def _positions(
        self, name: str, frames: FrameTable, count: int, origin: np.ndarray | None, unplaced: int | None
    ) -> np.ndarray:
        """(N, P) in the dataset's units."""
        columns = frames.position_columns
        if not columns and unplaced is not None and self._entry.units == "metres":
            return np.full((count, unplaced), np.nan)
        in_frames = columns in ((), ("frame",))
        if in_frames != (self._entry.units == "frames"):
            found = f"columns {', '.join(columns)}" if columns else "no position columns"
            wanted = "x, y or lat, lon" if self._entry.units == "metres" else "a frame column or none"
            if not columns:
                wanted += " (a query may have none where its split has neither positive_radius nor positives)"
            raise UserError(
                f"{self._folder / TOML_NAME}: units are {self._entry.units}, but traverse {name} has {found}; "
                f"wanted {wanted}"
            )
        if frames.positions is None:
            return np.arange(count, dtype=np.float64)[:, None]
        if (columns == ("lat", "lon")) != (origin is not None):
            raise UserError(
                f"{self._folder / TOML_NAME}: traverse {name} and the other one of its split do not have the same "
                "kind of position (x, y or lat, lon); give both the same"
            )
        return frames.positions if origin is None else local_metres(frames.positions, origin)

    def _rows(self, split: str, key: str, rows: tuple[int, int] | None, traverse: Traverse) -> tuple[int, int]:
        start, stop = rows or (0, len(traverse))
        if not 0 <= start < stop <= len(traverse):
            raise UserError(
                f"{self._folder / TOML_NAME}: splits.{split} {key} = [{start}, {stop}] leaves nothing or goes "
                f"beyond the {len(traverse)} frames of {traverse.name}; wanted 0 <= start < stop <= {len(traverse)}"
            )
        return start, stop


def format_toml(entry: FolderEntry) -> str:
    """The text of a ``dataset.toml`` that :func:`read_toml` reads back to an equal entry."""
    import tomlkit

    return tomlkit.dumps(
        {"name": entry.name, "units": entry.units}
        | {"traverses": {name: _given_keys(traverse) for name, traverse in entry.traverses.items()}}
        | {"splits": {name: _given_keys(split) for name, split in entry.splits.items()}}
    )


def write_toml(folder: Path, entry: FolderEntry) -> None:
    """Write ``folder/dataset.toml``, atomically."""
    write_text(folder / TOML_NAME, format_toml(entry))


def write_dataset(folder: str | Path, dataset: Dataset) -> None:
    """Write a whole dataset as a folder: descriptors, frames, positives, and last of all ``dataset.toml``.

    Every split gets files of its own (``test-query.npy``), holding just its rows. Descriptors are copied in blocks;
    images stay where they are.

    Raises:
        UserError: the folder holds a dataset already, or cannot be written.
    """
    folder = Path(folder)
    if (folder / TOML_NAME).exists():
        raise UserError(f"{folder} holds a dataset already; choose another folder")
    traverses, splits = {}, {}
    for name, split in dataset.splits.items():
        for role, traverse in (("reference", split.reference), ("query", split.query)):
            traverses[f"{name}-{role}"] = _write_traverse(folder, f"{name}-{role}", traverse)
        positives = None
        if split.positives is not None:
            positives = f"{name}-positives.csv"
            write_positives(folder / positives, split.positives, split.query.names, split.reference.names)
        splits[name] = SplitEntry(
            reference=f"{name}-reference",
            query=f"{name}-query",
            positive_radius=split.positive_radius,
            negative_radius=split.negative_radius,
            positives=positives,
        )
    units = next(iter(dataset.splits.values())).units
    write_toml(folder, FolderEntry(dataset.name, units, traverses, splits))


def _write_traverse(folder: Path, name: str, traverse: Traverse) -> TraverseEntry:
    descriptors = traverse.descriptors
    if descriptors is not None:
        with atomic_path(folder / f"{name}.npy") as temporary:
            copy = np.lib.format.open_memmap(temporary, "w+", descriptors.dtype, (len(traverse), traverse.dims))
            step = max(1, (16 << 20) // (4 * traverse.dims))
            for start in range(0, len(traverse), step):
                copy[start : start + step] = descriptors[start : start + step]
            copy.flush()
    position_names = ("frame",) if traverse.units == "frames" else ("x", "y", "z")
    columns: dict[str, Any] = {}
    if traverse.names:
        columns["name"] = traverse.names
    for column, values in zip(position_names, traverse.positions.T.tolist(), strict=False):
        columns[column] = ["" if np.isnan(value) else value for value in values]
    columns["sequence"] = np.unique(traverse.bounds[:, 0], return_inverse=True)[1].tolist()
    if traverse.timestamps is not None:
        columns["timestamp"] = traverse.timestamps.tolist()
    if traverse.images:
        columns["image"] = [os.path.abspath(image) for image in traverse.images]
    for column, flags in (("score", traverse.scored), ("usable", traverse.usable)):
        if flags is not None:
            columns[column] = flags.astype(int).tolist()
    write_frames(folder / f"{name}.csv", columns)
    return TraverseEntry(None if descriptors is None else f"{name}.npy", f"{name}.csv")


def _given_keys(entry: TraverseEntry | SplitEntry) -> dict[str, Any]:
    """The keys that have a value."""
    return {key: value for key, value in vars(entry).items() if value is not None and value is not False}


def _table(path: Path, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise UserError(f"{path}: no {key}; wanted at least one [{key}.NAME]")
    return value


def _check_keys(path: Path, where: str, table: Any, entry_type: type) -> None:
    if not isinstance(table, dict):
        raise UserError(f"{path}: {where} is not a table")
    allowed = [attribute.name for attribute in fields(entry_type)]
    for key in table:
        if key not in allowed:
            raise UserError(f"{path}: unknown key {key!r} {where}; keys are {', '.join(allowed)}")


def _entry(path: Path, where: str, table: Any, entry_type: type[Entry]) -> Entry:
    _check_keys(path, f"in {where}", table, entry_type)
    kinds = {
        "reference_rows": tuple,
        "query_rows": tuple,
        "positive_radius": float,
        "negative_radius": float,
        "ignore_columns": list,
        "max_step": float,
        "rows_are_places": bool,
    }
    values = {key: _checked_value(path, f"{where}.{key}", value, kinds.get(key, str)) for key, value in table.items()}
    try:
        return entry_type(**values)
    except TypeError as error:
        missing = next(a.name for a in fields(entry_type) if a.name not in values)
        raise UserError(f"{path}: {where} has no key {missing!r}") from error


def _checked_value(path: Path, where: str, value: Any, kind: type) -> Any:
    """``value`` as str, bool, float, a pair of integers (tuple) or several texts (a tuple too; ``kind`` is list)."""
    if kind is str and isinstance(value, str) and value:
        return value
    if kind is bool and isinstance(value, bool):
        return value
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind is tuple and isinstance(value, list) and len(value) == 2 and all(type(row) is int for row in value):
        return tuple(value)
    if kind is list and isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        return tuple(value)
    wanted = {
        str: "text",
        bool: "true or false",
        float: "a number",
        tuple: "two whole numbers [start, stop]",
        list: 'a list of texts ["a", "b"]',
    }[kind]
    raise UserError(f"{path}: {where} is {value!r}; wanted {wanted}")
