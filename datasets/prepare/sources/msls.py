"""Mapillary Street-Level Sequences, as shipped::

<root>/{train_val,test}/<city>/{database,query}/images/<key>.jpg
<root>/{train_val,test}/<city>/{database,query}/{seq_info,postprocessed,raw,subtask_index}.csv

Cities of the test set have been published with positions since 2026; older copies lack their ``postprocessed.csv``.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opticornet.datasets.columns import Columns, read_columns
from opticornet.datasets.prepare.image_folder import absolute, images_of, listed_rows, subfolders
from opticornet.datasets.prepare.prepared import Prepared, PreparedSplit, PreparedTraverse, Source
from opticornet.datasets.split_names import test_split_names
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

ROLES = ("database", "query")
# Subtask, and its column in subtask_index.csv: query and database of different seasons, years or times of the day.
SUBTASKS = {
    "all": "all",
    "summer2winter": "s2w",
    "winter2summer": "w2s",
    "old2new": "o2n",
    "new2old": "n2o",
    "day2night": "d2n",
    "night2day": "n2d",
}


@dataclass(frozen=True, kw_only=True)
class Msls(Source):
    """``msls``: Mapillary Street-Level Sequences."""

    train_city: str = option("--trainCity", "", "city to train on")
    val_city: str = option("--valCity", "", "city to validate on")
    test_city: tuple[str, ...] = option("--testCity", (), "city to test on, or several: a split test-CITY each")
    subtask: str = option(
        "--subtask", "all", "which queries and references to validate and test on", choices=tuple(SUBTASKS)
    )
    frame_list: str = option(
        "--frameList", "", "take the frames named in this file, one per line; {traverse} stands for <city>_<role>"
    )
    break_gaps: bool = option("--breakGaps", False, "a missing frame number begins a new sequence")
    positive_radius: float = option("--positiveRadius", 10.0, "metres within which a match is correct")
    negative_radius: float = option("--negativeRadius", 10.0, "metres beyond which training negatives lie")

    def read(self, root: Path) -> Prepared:
        """One city per split; database is the reference. UTM metres (x east, y north).

        Frames are in the order of their sequences (``sequence_key``, in order of appearance) and in them by
        ``frame_number``. Panoramas are left out, as the dataset's own loader does.

        Args:
            train_city, val_city, test_city: no such split where empty; of several cities to test on each has one.
            subtask: a key of :data:`SUBTASKS`, for val and test; training takes all frames.
            frame_list: take these frames only, in this order; ``{traverse}`` is ``<city>_<role>``.
            break_gaps: a missing frame number begins a new sequence (the dataset's own loader skips windows with one;
                seqNet's sequence bounds run on).
            positive_radius, negative_radius: metres; the defaults are those in seqNet's files. The dataset's own loader
                has 10 and 25.

        Raises:
            UserError: no city given or not there, tables that lack columns or disagree, images not unpacked.
        """
        cities = {"train": self.train_city, "val": self.val_city} | test_split_names(self.test_city)
        if not any(cities.values()):
            raise UserError("msls needs a city: give `train_city`, `val_city`, `test_city`, one or more of them")
        traverses: dict[str, PreparedTraverse] = {}
        notes: list[str] = []
        splits = []
        for part, city in cities.items():
            if not city:
                continue
            task = "all" if part == "train" else self.subtask
            pair = []
            for role in ROLES:
                name = f"{city}_{role}" if task == "all" else f"{city}_{role}_{SUBTASKS[task]}"
                if name not in traverses:
                    folder = _city_folder(root, city) / role
                    traverses[name] = _traverse(
                        folder, f"{city}_{role}", name, task, self.frame_list, self.break_gaps, notes
                    )
                pair.append(traverses[name])
            negative_radius = self.negative_radius if part == "train" else None
            splits.append(PreparedSplit.of_all_rows(part, pair[:1], pair[1:], self.positive_radius, negative_radius))
        return Prepared("metres", tuple(traverses.values()), tuple(splits), tuple(notes))


def _city_folder(root: Path, city: str) -> Path:
    places = (root / "train_val", root / "test", root)
    folder = next((place / city for place in places if (place / city).is_dir()), None)
    if folder is None:
        there = [name for place in places[:2] if place.is_dir() for name in subfolders(place)]
        raise UserError(f"{root}: no city {city!r} in train_val or test; found {', '.join(there or subfolders(root))}")
    if folder.parent.name == "test" and not all((folder / role / "postprocessed.csv").is_file() for role in ROLES):
        raise UserError(
            f"{folder}: no positions (postprocessed.csv), with which cities of the test set have been published since "
            "2026; get the dataset again, or choose another city"
        )
    return folder


def _traverse(
    folder: Path, listed_as: str, name: str, task: str, frame_list: str, break_gaps: bool, notes: list[str]
) -> PreparedTraverse:
    info = read_columns(folder / "seq_info.csv", ("key", "sequence_key", "frame_number"))
    keys, numbers = np.array(info["key"]), info.numbers("frame_number")
    places = _aligned(info, read_columns(folder / "postprocessed.csv", ("key", "easting", "northing")))
    kept = ~_panoramas(folder, info)
    if not kept.all():
        notes.append(f"{name}: {np.sum(~kept)} panoramas left out")
    if task != "all":
        # The rows of this table have no key but the same order.
        chosen = read_columns(folder / "subtask_index.csv", (SUBTASKS[task],)).flags(SUBTASKS[task])
        if len(chosen) != len(info):
            raise UserError(f"{folder / 'subtask_index.csv'}: {len(chosen)} rows, seq_info.csv has {len(info)}")
        kept &= chosen
    _, first, sequence = np.unique(info["sequence_key"], return_index=True, return_inverse=True)
    rows = np.lexsort((numbers, first[sequence]))
    rows = rows[kept[rows]]
    if frame_list:
        rows = rows[listed_rows(frame_list, listed_as, tuple(keys[rows]))]
    if not len(rows):
        raise UserError(f"{folder}: no frame is left of {len(info)} for subtask {task}; choose another one")

    found = set(images_of(folder / "images"))
    images = [f"{key}.jpg" for key in keys[rows].tolist()]
    if missing := [image for image in images if image not in found]:
        raise UserError(
            f"{folder / 'seq_info.csv'}: {len(missing)} of {len(images)} rows match no image, first {missing[0]}; "
            "unpack all parts of the dataset, or give `frame_list` with the frames there are"
        )
    labels = sequence[rows]
    if break_gaps:
        labels = np.cumsum(np.diff(labels, prepend=-1).astype(bool) | (np.diff(numbers[rows], prepend=0) != 1))
    positions = np.stack([places[0].numbers("easting"), places[0].numbers("northing")], axis=1)[places[1][rows]]
    return PreparedTraverse(
        name=name,
        images=absolute(folder / "images", images),
        names=tuple(keys[rows].tolist()),
        positions={"x": positions[:, 0], "y": positions[:, 1]},
        sequences=labels,
        placed=f"x, y of postprocessed.csv, by key; all {len(rows)} images have one",
    )


def _panoramas(folder: Path, info: Columns) -> np.ndarray:
    """(N,) bool, rows of ``info`` that are panoramas: none where the table that says so was not published."""
    path = folder / "raw.csv"
    if not path.is_file() and folder.parent.parent.name == "test":
        return np.zeros(len(info), bool)
    table, rows = _aligned(info, read_columns(path, ("key", "pano")))
    return table.flags("pano")[rows]


def _aligned(info: Columns, other: Columns) -> tuple[Columns, np.ndarray]:
    """A table of the same folder, and which of its rows belongs to each row of ``info``."""
    if info["key"] == other["key"]:
        return other, np.arange(len(info))
    rows = {key: row for row, key in enumerate(other["key"])}
    if missing := [key for key in info["key"] if key not in rows]:
        raise UserError(f"{other.path}: {len(missing)} keys of {info.path.name} are missing, first {missing[0]}")
    return other, np.array([rows[key] for key in info["key"]])
