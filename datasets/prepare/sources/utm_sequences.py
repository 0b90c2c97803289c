"""Sequences of images that carry position and frame number in their names, as the sequence methods of the field ship::

    <root>/{train,val,test}/{database,queries}/[<sequence>/]@...@.jpg

| frames of | fields of a name, from 1 |
|---|---|
| MSLS | easting, northing, sequence, frame number, image key, city, time |
| RobotCar | northing, easting, date, frame number, time |
| Nordland | frame number, 0, season, frame number, name |

Names do not say which of these they are. The two coordinates do: UTM northings are 10 to 100 times their eastings but
near the equator, and there the user is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from opticornet.datasets.prepare.image_folder import absolute, folders_of, images_in
from opticornet.datasets.prepare.prepared import Prepared, PreparedSplit, PreparedTraverse, Source
from opticornet.datasets.prepare.sources.utm_names import name_fields, name_numbers, sides_of, split_folders
from opticornet.utils.errors import UserError
from opticornet.utils.options import option
from opticornet.utils.text import counted

Coordinates = Literal["as-names-tell", "easting-first", "northing-first", "frame-numbers"]
FIRST, SECOND, FRAME, CITY = 1, 2, 4, 6  # fields of a name
EASTINGS = (100_000.0, 1_000_000.0)  # metres; northings are above, 10 degrees and more from the equator


@dataclass(frozen=True, kw_only=True)
class UtmSequences(Source):
    """``utm-sequences``: sequences of images that carry position and frame number in their name."""

    coordinates: Literal["as-names-tell", "easting-first", "northing-first", "frame-numbers"] = option(
        "--coordinates",
        "as-names-tell",
        "what fields 1 and 2 of names are",
        choices=("as-names-tell", "easting-first", "northing-first", "frame-numbers"),
    )
    cities: tuple[str, ...] = option("--cities", (), "take sequences of these cities only, a field of their names")
    train_positive_radius: float = option("--trainPositiveRadius", 10.0, "of training positives, in metres or frames")
    positive_radius: float = option("--positiveRadius", 10.0, "within which a match is correct, in metres or frames")
    negative_radius: float = option("--negativeRadius", 25.0, "beyond which training negatives lie")

    def read(self, root: Path) -> Prepared:
        """Every split there is a folder for; a lone pair of database and queries is the test split.

        Frames are in the order of their folders' names, and in each by frame number. A run of consecutive numbers is a
        sequence, so that no window reaches over a missing one. UTM metres (x east, y north), or frame numbers.

        Args:
            coordinates: which field is what, where the names do not tell.
            cities: none: all.
            train_positive_radius, positive_radius, negative_radius: in metres, of Nordland in frames.

        Raises:
            UserError: no such folders, a name without position or frame number, two frames of one number, names that
                do not tell which coordinate is which, no sequence of ``cities``.
        """
        notes = list[str]()
        pairs = {
            part: [_Side.read(side, f"{part}-{side.name}", self.cities, notes) for side in sides_of(folder)]
            for part, folder in split_folders(root).items()
        }
        sides = [side for pair in pairs.values() for side in pair]
        coordinates = self.coordinates if self.coordinates != "as-names-tell" else _told(root, sides)
        splits = []
        for part, pair in pairs.items():
            drives = [side.traverse(coordinates) for side in pair]
            radii: tuple[float, float | None] = (self.positive_radius, None)
            if part == "train":
                radii = (self.train_positive_radius, self.negative_radius)
            splits.append((drives, PreparedSplit.of_all_rows(part, drives[:1], drives[1:], *radii)))
        traverses = tuple(drive for drives, _ in splits for drive in drives)
        units: Literal["metres", "frames"] = "frames" if coordinates == "frame-numbers" else "metres"
        return Prepared(units, traverses, tuple(split for _, split in splits), tuple(notes))


@dataclass(frozen=True)
class _Side:
    """The frames of a folder ``database`` or ``queries``, in order.

    Attributes:
        images: N names relative to ``folder``.
        numbers: (N, 3) float64: fields 1 and 2, and the frame number.
        runs: (N,) int64 number of each frame's run of consecutive frame numbers.
    """

    folder: Path
    name: str
    images: tuple[str, ...]
    numbers: np.ndarray = field(repr=False)
    runs: np.ndarray = field(repr=False)

    @classmethod
    def read(cls, folder: Path, name: str, cities: tuple[str, ...], notes: list[str]) -> "_Side":
        found = images_in(folder)
        notes += found.notes(name)
        images = _of_cities(folder, found.images, cities)
        fields = [name_fields(image) for image in images]
        numbers = np.array([(*name_numbers(parts, FIRST), *name_numbers(parts, FRAME, 1)) for parts in fields])
        bad = np.flatnonzero(~np.isfinite(numbers).all(axis=1) | (numbers[:, 2] % 1 != 0))
        if bad.size:
            raise UserError(
                f"{folder}: {len(bad)} of {len(images)} names hold no position and whole frame number, first "
                f"{images[bad[0]]}; wanted @easting@northing@sequence@frame@...@.jpg"
            )
        if len(there := _cities_in(fields)) > 1:
            notes.append(
                f"{name}: positions of {len(there)} cities are compared as if of one UTM zone; `cities` takes some"
            )
        folders, labels = np.unique(folders_of(images), return_inverse=True)
        order = np.lexsort((numbers[:, 2], labels))
        images, numbers, labels = tuple(images[row] for row in order), numbers[order], labels[order]
        same, steps = np.diff(labels) == 0, np.diff(numbers[:, 2])
        if (twice := np.flatnonzero(same & (steps == 0))).size:
            row = twice[0]
            raise UserError(
                f"{folder}: {images[row]} and {images[row + 1]} are both frame {numbers[row, 2]:g} of their sequence, "
                "so their order is not known; put each sequence into a folder of its own"
            )
        if missing := int((steps[same] - 1).sum()):
            gaps = np.flatnonzero(same & (steps > 1))
            notes.append(
                f"{name}: {counted(missing, 'frame number')} missing in {counted(len(gaps), 'place')} of "
                f"{counted(len(folders), 'folder')}, first after {images[gaps[0]]}; sequences end there"
            )
        return cls(folder, name, images, numbers, np.cumsum(np.concatenate([[0], ~same | (steps != 1)])))

    def traverse(self, coordinates: Coordinates) -> PreparedTraverse:
        first, second = self.numbers[:, 0], self.numbers[:, 1]
        positions = {"x": first, "y": second} if coordinates == "easting-first" else {"x": second, "y": first}
        return PreparedTraverse(
            name=self.name,
            images=absolute(self.folder, self.images),
            names=self.images,
            positions={"frame": first} if coordinates == "frame-numbers" else positions,
            sequences=self.runs,
            placed=f"the names of the images ({coordinates.replace('-', ' ')}); all {len(self.images)} have one",
        )


def _of_cities(folder: Path, images: tuple[str, ...], cities: tuple[str, ...]) -> tuple[str, ...]:
    """The images of which a field is one of the cities; all, where none is given."""
    if not cities:
        return images
    fields = [name_fields(image) for image in images]
    kept = tuple(image for image, parts in zip(images, fields, strict=True) if not set(cities).isdisjoint(parts))
    if not kept:
        there = ", ".join(_cities_in(fields)) or "no cities"
        raise UserError(f"{folder}: no image of `cities` {' '.join(cities)}; it has {there}")
    return kept


def _cities_in(fields: Sequence[list[str]]) -> list[str]:
    """Of names as of MSLS."""
    return sorted({parts[CITY] for parts in fields if len(parts) > CITY + 1})


def _told(root: Path, sides: Sequence[_Side]) -> Coordinates:
    """What fields 1 and 2 are, by their values.

    Raises:
        UserError: they may be either.
    """
    first, second, frame = np.concatenate([side.numbers for side in sides]).T
    if (second == 0).all() and (first == frame).all():
        return "frame-numbers"

    def are_eastings(values: np.ndarray) -> bool:
        return bool((values >= EASTINGS[0]).all() and (values < EASTINGS[1]).all())

    def are_northings(values: np.ndarray) -> bool:
        return bool((values >= EASTINGS[1]).all())

    if are_eastings(first) and are_northings(second):
        return "easting-first"
    if are_northings(first) and are_eastings(second):
        return "northing-first"
    raise UserError(
        f"{root}: names do not tell whether easting or northing comes first ({first.min():.7g} to {first.max():.7g}, "
        f"then {second.min():.7g} to {second.max():.7g}); give `coordinates` easting-first, northing-first or "
        "frame-numbers"
    )
