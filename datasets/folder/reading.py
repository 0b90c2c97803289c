"""Dataset folders: ``dataset.toml`` and the files it names, opened as a dataset."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from opticornet.datasets.descriptors.local_files import LocalSource
from opticornet.datasets.drives import frame_labels, join_drives, joined_rows
from opticornet.datasets.folder.named_files import inside_folder
from opticornet.datasets.folder.opening import OpenTraverse, open_traverse
from opticornet.datasets.folder.positives import read_positives
from opticornet.datasets.folder.scored import read_scored
from opticornet.datasets.folder.toml import TOML_NAME, FolderEntry, Role, Rows, SplitEntry, read_toml
from opticornet.datasets.geodesy import local_metres
from opticornet.datasets.positives import Positives
from opticornet.datasets.spacing import cut_at_jumps
from opticornet.datasets.traverse import Dataset, Split, Traverse
from opticornet.utils.errors import UserError


def load_folder(
    folder: str | Path, split_names: tuple[str, ...] | None = None, local: LocalSource | None = None
) -> Dataset:
    """Open the splits of a dataset folder; files of other splits are not touched.

    Args:
        folder: holds a ``dataset.toml``.
        split_names: the splits to open, default all there are.
        local: where local features are; None: they are not opened.

    Raises:
        UserError: anything wrong with the folder, in one line.
    """
    folder = Path(folder)
    entry = read_toml(folder)
    entry.need_traverses(folder)
    reader = _Reader(folder, entry, local)
    for name in split_names or ():
        if name not in entry.splits:
            of_places = (
                f", and places {name}, for image encoders: name one by `desc_type`" if name in entry.places else ""
            )
            raise UserError(f"{folder / TOML_NAME}: no split {name!r}; it has {', '.join(entry.splits)}{of_places}")
    return Dataset(entry.name, {name: reader.split(name) for name in split_names or entry.splits})


class _Reader:
    """Opens each traverse of a folder once, however many splits use it."""

    def __init__(self, folder: Path, entry: FolderEntry, local: LocalSource | None) -> None:
        self._folder, self._entry, self._local = folder, entry, local
        self._opened: dict[str, OpenTraverse] = {}
        self._references: dict[tuple[object, ...], Traverse] = {}  # one for all that search it

    def split(self, name: str) -> Split:
        entry = self._entry.splits[name]
        has_truth = entry.positive_radius is not None or entry.positives is not None
        origin = self._origin(entry.drives("reference"))
        references = self._side(entry, "reference", origin)
        unplaced = None if has_truth else references[0].positions.shape[1]
        queries = self._side(entry, "query", origin, unplaced)
        reference_rows = self._rows(name, "reference_rows", entry.rows("reference"), references)
        query_rows = self._rows(name, "query_rows", entry.rows("query"), queries)
        return Split(
            name=name,
            reference=self._references.setdefault(
                (entry.drives("reference"), reference_rows, entry.score("reference")),
                self._join(name, references, reference_rows),
            ),
            query=self._join(name, queries, query_rows),
            positive_radius=entry.positive_radius,
            negative_radius=entry.negative_radius,
            positives=self._positives(entry, references, queries, reference_rows, query_rows),
            unequal_rows=self._unequal_rows(entry, (*references, *queries)),
        )

    def _side(
        self, entry: SplitEntry, role: Role, origin: np.ndarray | None, unplaced: int | None = None
    ) -> tuple[Traverse, ...]:
        """The whole drives of one side."""
        drives = (self._traverse(drive, origin, unplaced) for drive in entry.drives(role))
        return tuple(map(self._scored, drives, entry.score(role)))

    def _join(self, split: str, drives: tuple[Traverse, ...], rows: tuple[Rows, ...]) -> Traverse:
        """The split's rows of some drives, as one traverse."""
        cuts = [drive.cut(*some) for drive, some in zip(drives, rows, strict=True)]
        return join_drives(cuts, f"{self._folder / TOML_NAME}: splits.{split}")

    def _open(self, name: str) -> OpenTraverse:
        if name not in self._opened:
            self._opened[name] = open_traverse(self._folder, self._entry, name, self._local)
        return self._opened[name]

    def _traverse(self, name: str, origin: np.ndarray | None, unplaced: int | None = None) -> Traverse:
        """A traverse; with ``unplaced``, one that may have no positions, which are then NaN of that many columns."""
        opened, entry = self._open(name), self._entry.traverses[name]
        frames = opened.frames
        traverse = Traverse(
            name=name,
            descriptors=opened.descriptors,
            positions=self._positions(name, opened, origin, unplaced),
            units=self._entry.units,
            bounds=opened.bounds,
            names=frames.names,
            timestamps=frames.timestamps,
            images=opened.images,
            source=opened.images_source if opened.described is None else str(opened.described),
            local_features=opened.local_features,
            lat_lon=frames.lat_lon,
            images_source=opened.images_source,
            undescribed=opened.undescribed,
            scored=frames.scored,
            usable=opened.usable,
        )
        if entry.max_step is not None:
            traverse = cut_at_jumps(traverse, entry.max_step)
        return self._scored(traverse, entry.score)

    def _origin(self, references: tuple[str, ...]) -> np.ndarray | None:
        """Where the local metres of a split, of all its drives, are counted from: the first frame of its (first)
        reference traverse that has a position."""
        lat_lon = self._open(references[0]).frames.lat_lon
        return None if lat_lon is None else lat_lon[int(np.argmax(np.isfinite(lat_lon[:, 0])))]

    def _positions(
        self, name: str, opened: OpenTraverse, origin: np.ndarray | None, unplaced: int | None
    ) -> np.ndarray:
        """(N, P) in the dataset's units."""
        frames = opened.frames
        columns = frames.position_columns
        if not columns and unplaced is not None and self._entry.units == "metres":
            return np.full((len(opened), unplaced), np.nan)
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
            return np.arange(len(opened), dtype=np.float64)[:, None]
        if (columns == ("lat", "lon")) != (origin is not None):
            raise UserError(
                f"{self._folder / TOML_NAME}: traverse {name} and the others of its split do not have the same "
                "kind of position (x, y or lat, lon); give both the same"
            )
        return frames.positions if origin is None else local_metres(frames.positions, origin)

    def _unequal_rows(
        self, entry: SplitEntry, drives: tuple[Traverse, ...]
    ) -> tuple[tuple[str, int], tuple[str, int]] | None:
        """Two drives of different numbers of frames, where the numbers of rows are their places, for want of anything
        else, and are not known to agree."""
        if entry.rows_are_places or entry.positive_radius is None:
            return None
        by_rows = [drive for drive in drives if self._open(drive.name).frames.positions is None]
        other = next((drive for drive in by_rows if len(drive) != len(by_rows[0])), None)
        return None if other is None else ((by_rows[0].name, len(by_rows[0])), (other.name, len(other)))

    def _scored(self, traverse: Traverse, score: str | None) -> Traverse:
        """With only the frames scored that the list ``score`` names and that were before."""
        if score is None:
            return traverse
        names = traverse.names or (traverse.images and tuple(map(os.path.basename, traverse.images)))
        if names and len(set(names)) < len(names):  # images of several folders
            names = None
        listed = read_scored(inside_folder(self._folder, score), names, len(traverse))
        return replace(traverse, scored=listed & traverse.is_scored)

    def _rows(
        self, split: str, key: str, rows: tuple[Rows | None, ...], drives: tuple[Traverse, ...]
    ) -> tuple[Rows, ...]:
        """The rows of each drive."""
        found = []
        for some, drive in zip(rows, drives, strict=True):
            start, stop = some or (0, len(drive))
            if not 0 <= start < stop <= len(drive):
                raise UserError(
                    f"{self._folder / TOML_NAME}: splits.{split} {key} = [{start}, {stop}] leaves nothing or goes "
                    f"beyond the {len(drive)} frames of {drive.name}; wanted 0 <= start < stop <= {len(drive)}"
                )
            found.append((start, stop))
        return tuple(found)

    def _positives(
        self,
        entry: SplitEntry,
        references: tuple[Traverse, ...],
        queries: tuple[Traverse, ...],
        reference_rows: tuple[Rows, ...],
        query_rows: tuple[Rows, ...],
    ) -> Positives | None:
        """Those of a table, which lists rows or names of the whole traverses, between the rows of the split."""
        if entry.positives is None:
            return None
        path = inside_folder(self._folder, entry.positives)
        table = read_positives(path, frame_labels(queries), frame_labels(references))
        return table.of(joined_rows(queries, query_rows)).among(joined_rows(references, reference_rows))
