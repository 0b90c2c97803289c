"""Several datasets with places as one: to train on all of them, and to validate and test on all of them::

<root>/<set>/dataset.toml
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from opticornet.datasets.catalogue import folder_entry, load_dataset
from opticornet.datasets.folder.toml import ROLES, TOML_NAME, FolderEntry
from opticornet.datasets.places.opening import open_places
from opticornet.datasets.places.place_set import PlaceSet
from opticornet.datasets.positives import Positives
from opticornet.datasets.prepare.image_folder import subfolders
from opticornet.datasets.prepare.prepared import Prepared, PreparedPlaces, PreparedSplit, PreparedTraverse, Source
from opticornet.datasets.traverse import Split, Traverse, Units
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

JOINED_SPLITS = ("val", "test")


@dataclass(frozen=True, kw_only=True)
class PlaceSets(Source):
    """``place-sets``: several dataset folders with places, joined."""

    sets: tuple[str, ...] = option("--sets", (), "dataset folders in --root to join; default: all")

    def read(self, root: Path) -> Prepared:
        """The places ``train`` of all sets, or those along the routes of their splits of this name, each set's places
        and groups called by its name too; and of the splits ``val`` and ``test`` that sets have one each, of single
        images: all queries search all references, and what was correct is.

        Places that may look alike in their set still do; places of two sets never do. For that the positions of sets
        that have a ``separation`` are scaled to the largest one, and laid side by side.

        Args:
            sets: names of folders.

        Raises:
            UserError: no sets, one that is no dataset folder, or none that has places.
        """
        folders = {name: root / name for name in self.sets or self._found(root)}
        entries = {name: folder_entry(str(folder)) for name, folder in folders.items()}
        trained = {name: open_places(folders[name]) for name in entries if _has_places(entries[name])}
        if not trained:
            raise UserError(
                f"{root}: none of {', '.join(folders)} has [places.train] or a split train; prepare one first"
            )
        notes = [note for places in trained.values() for note in places.notes]
        traverses, splits = list[PreparedTraverse](), list[PreparedSplit]()
        for split in JOINED_SPLITS:
            of_sets = {
                name: load_dataset(str(folders[name]), splits=(split,)).splits[split]
                for name, entry in entries.items()
                if split in entry.splits
            }
            if of_sets:
                drives, joined = _joined_split(split, of_sets)
                traverses += drives
                splits.append(joined)
        joined_places = _joined_places(trained, notes)
        units: Units = "frames" if splits else "metres"
        return Prepared(units, tuple(traverses), tuple(splits), tuple(notes), (joined_places,))

    def _found(self, root: Path) -> list[str]:
        names = [name for name in subfolders(root) if (root / name / TOML_NAME).is_file()]
        if not names:
            raise UserError(f"{root}: no folder in it has a {TOML_NAME}; give the one that holds the datasets to join")
        return names


def _has_places(entry: FolderEntry) -> bool:
    return "train" in entry.places or "train" in entry.splits


def _joined_places(sets: dict[str, PlaceSet], notes: list[str]) -> PreparedPlaces:
    columns: dict[str, Sequence[Any]] = {
        "place": [f"{name}/{places.labels[place]}" for name, places in sets.items() for place in places.place],
        "group": [
            f"{name}/{group}".rstrip("/")
            for name, places in sets.items()
            for group in (places.group_names[number] for number in places.group[places.place])
        ],
    }
    ranks = {name: places.rank for name, places in sets.items()}
    unranked = [name for name, rank in ranks.items() if rank is None]
    if not unranked:
        columns["rank"] = np.concatenate([rank for rank in ranks.values() if rank is not None]).tolist()
    elif len(unranked) < len(sets):
        notes.append(f"ranks are left out, as {', '.join(unranked)} has none")
    separation = max(places.separation for places in sets.values())
    if separation:
        positions = _side_by_side(list(sets.values()), separation)
        for column, values in zip("xyz", positions.T.tolist(), strict=True):
            columns[column] = ["" if np.isnan(value) else value for value in values]
    images = tuple(image for places in sets.values() for image in places.images)
    return PreparedPlaces("train", images, columns, separation or None)


def _side_by_side(sets: Sequence[PlaceSet], separation: float) -> np.ndarray:
    """(N, 3) position of every image's place: of each set scaled so that its ``separation`` is the common one, and
    farther than that from every other set; NaN where a set has none."""
    found, start = [], 0.0
    for places in sets:
        positions = np.full((len(places), 3), np.nan)
        if places.separation and places.positions is not None:
            scaled = places.positions[places.place] * (separation / places.separation)
            scaled = scaled - np.nanmin(scaled, axis=0)
            scaled[:, 0] += start
            start = float(np.nanmax(scaled[:, 0])) + 2 * separation
            known = ~np.isnan(scaled).any(axis=1)
            positions[known] = 0.0
            positions[known, : scaled.shape[1]] = scaled[known]
        found.append(positions)
    return np.concatenate(found)


@dataclass
class _Frames:
    """The frames of one side of a joined split, as they are added set by set."""

    images: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    sequences: list[str] = field(default_factory=list)

    def add(self, dataset: str, side: Traverse, rows: np.ndarray) -> None:
        images = side.need_images()
        for row in rows.tolist():
            self.images.append(images[row])
            self.names.append(f"{dataset}/{_name(side, row)}")
            self.sequences.append(f"{dataset}/{side.bounds[row, 0]}")

    def traverse(self, name: str, placed: str) -> PreparedTraverse:
        return PreparedTraverse(name, tuple(self.images), tuple(self.names), {}, self.sequences, placed=placed)


def _joined_split(name: str, sets: dict[str, Split]) -> tuple[list[PreparedTraverse], PreparedSplit]:
    """The scored and usable frames of a split of several datasets, as one split with a list of what is correct."""
    reference, query = _Frames(), _Frames()
    queries, references = list[np.ndarray](), list[np.ndarray]()
    for dataset, split in sets.items():
        kept, wanted = (np.flatnonzero(side.is_scored & side.is_usable) for side in split.sides)
        positives = _positives(dataset, split).of(wanted).among(kept)
        queries.append(positives.queries + len(query.images))
        references.append(positives.rows + len(reference.images))
        reference.add(dataset, split.reference, kept)
        query.add(dataset, split.query, wanted)
    placed = f"none; what is correct lists {name}-positives.csv, as in the sets"
    drives = [side.traverse(f"{name}-{role}", placed) for role, side in zip(ROLES, (reference, query), strict=True)]
    joined = Positives.of_pairs(np.concatenate(queries), np.concatenate(references), len(query.images))
    return drives, PreparedSplit.of_all_rows(name, drives[:1], drives[1:], positives=joined)


def _positives(dataset: str, split: Split) -> Positives:
    """The correct references of each query.

    Raises:
        UserError: the split does not say.
    """
    if split.positives is not None:
        return split.positives
    if split.positive_radius is None:
        raise UserError(f"{dataset}: the split {split.name} does not say what is correct; leave the set out by `sets`")
    split.require_places(f"split {split.name} of {dataset}")
    query, reference = (np.flatnonzero(side.placed) for side in (split.query, split.reference))
    near = Positives.within(split.query.positions[query], split.reference.positions[reference], split.positive_radius)
    return Positives.of_pairs(query[near.queries], reference[near.rows], len(split.query))


def _name(side: Traverse, row: int) -> str:
    """A frame's name, with its drive's where there are several."""
    drive = side.drives[int(side.drive_numbers[row])]
    own = side.names[row] if side.names else str(int(side.drive_rows[row]))
    return own if len(side.drives) == 1 else f"{drive.name}/{own}"
