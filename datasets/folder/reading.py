"""Dataset folders: ``dataset.toml`` and the files it names, opened as a dataset."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from opticornet.datasets.folder.named_files import inside_folder
from opticornet.datasets.folder.opening import OpenTraverse, open_traverse
from opticornet.datasets.folder.positives import read_positives
from opticornet.datasets.folder.scored import read_scored
from opticornet.datasets.folder.toml import TOML_NAME, FolderEntry, SplitEntry, read_toml
from opticornet.datasets.geodesy import local_metres
from opticornet.datasets.positives import Positives
from opticornet.datasets.spacing import cut_at_jumps
from opticornet.datasets.traverse import Dataset, Split, Traverse
from opticornet.utils.errors import UserError

Rows = tuple[int, int]


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


class _Reader:
    """Opens each traverse of a folder once, however many splits use it."""

    def __init__(self, folder: Path, entry: FolderEntry) -> None:
        self._folder, self._entry = folder, entry
        self._opened: dict[str, OpenTraverse] = {}
        self._references: dict[tuple[str, Rows, str | None], Traverse] = {}  # one for all that search it

    def split(self, name: str) -> Split:
        entry = self._entry.splits[name]
        origin = self._origin(entry.reference)
        reference = self._traverse(entry.reference, origin)
        has_truth = entry.positive_radius is not None or entry.positives is not None
        query = self._traverse(entry.query, origin, None if has_truth else reference.positions.shape[1])
        unequal_rows = self._unequal_rows(entry, reference, query)
        reference = self._scored(reference, entry.reference_score)
        query = self._scored(query, entry.query_score)
        reference_rows = self._rows(name, "reference_rows", entry.reference_rows, reference)
        query_rows = self._rows(name, "query_rows", entry.query_rows, query)
        return Split(
            name=name,
            reference=self._references.setdefault(
                (entry.reference, reference_rows, entry.reference_score), reference.cut(*reference_rows)
            ),
            query=query.cut(*query_rows),
            positive_radius=entry.positive_radius,
            negative_radius=entry.negative_radius,
            positives=self._positives(entry, reference, query, reference_rows, query_rows),
            unequal_rows=unequal_rows,
        )

    def _open(self, name: str) -> OpenTraverse:
        if name not in self._opened:
            self._opened[name] = open_traverse(self._folder, self._entry, name)
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

    def _origin(self, name: str) -> np.ndarray | None:
        """Where the local metres of a split are counted from: the first frame of its reference traverse that has a
        position."""
        lat_lon = self._open(name).frames.lat_lon
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
                f"{self._folder / TOML_NAME}: traverse {name} and the other one of its split do not have the same "
                "kind of position (x, y or lat, lon); give both the same"
            )
        return frames.positions if origin is None else local_metres(frames.positions, origin)

    def _unequal_rows(self, entry: SplitEntry, reference: Traverse, query: Traverse) -> tuple[int, int] | None:
        """How many frames either drive has, where the numbers of rows are their places, for want of anything else, and
        are not known to agree."""
        if entry.rows_are_places or entry.positive_radius is None or len(reference) == len(query):
            return None
        by_rows = all(self._open(name).frames.positions is None for name in (entry.reference, entry.query))
        return (len(reference), len(query)) if by_rows else None

    def _scored(self, traverse: Traverse, score: str | None) -> Traverse:
        """With only the frames scored that the list ``score`` names and that were before."""
        if score is None:
            return traverse
        names = traverse.names or (traverse.images and tuple(map(os.path.basename, traverse.images)))
        if names and len(set(names)) < len(names):  # images of several folders
            names = None
        listed = read_scored(inside_folder(self._folder, score), names, len(traverse))
        return replace(traverse, scored=listed & traverse.is_scored)

    def _rows(self, split: str, key: str, rows: Rows | None, traverse: Traverse) -> Rows:
        start, stop = rows or (0, len(traverse))
        if not 0 <= start < stop <= len(traverse):
            raise UserError(
                f"{self._folder / TOML_NAME}: splits.{split} {key} = [{start}, {stop}] leaves nothing or goes "
                f"beyond the {len(traverse)} frames of {traverse.name}; wanted 0 <= start < stop <= {len(traverse)}"
            )
        return start, stop

    def _positives(
        self, entry: SplitEntry, reference: Traverse, query: Traverse, reference_rows: Rows, query_rows: Rows
    ) -> Positives | None:
        """Those of a table, which lists rows or names of the whole traverses, between the rows of the split."""
        if entry.positives is None:
            return None
        path = inside_folder(self._folder, entry.positives)
        table = read_positives(path, query.names or len(query), reference.names or len(reference))
        return table.of(np.arange(*query_rows)).cut(*reference_rows)
