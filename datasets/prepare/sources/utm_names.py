"""Images that carry their position in their name, as most VPR repositories store them::

    <root>[/images][/{train,val,test}]/database/@<easting>@<northing>@<zone>@...@.jpg
    <root>[/images][/{train,val,test}]/{queries,query}/[<sequence>/]@...@.jpg

Fields of a name, from 1: easting, northing, zone number, zone letter, latitude, longitude, panorama, tile, heading,
pitch, roll, height, time, note; all but the first two may be empty or missing. Where a split lies in several UTM zones,
whose metres are not comparable, its positions are the latitudes and longitudes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from opticornet.datasets.prepare.image_folder import absolute, folders_of, images_in, subfolders
from opticornet.datasets.prepare.partition import PARTS
from opticornet.datasets.prepare.prepared import Prepared, PreparedSplit, PreparedTraverse, Source
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

QUERY_FOLDERS = ("queries", "query")
EASTING, ZONE, LETTER, LATITUDE = 1, 3, 4, 5  # fields of a name; northing and longitude follow
DECIMALS = 5  # of degrees: a metre
FARTHEST_DEG = 9.0  # from the middle of a zone: those of Norway and Svalbard are wider than others


@dataclass(frozen=True, kw_only=True)
class UtmNames(Source):
    """``utm-names``: images that carry their position in their name."""

    train_positive_radius: float = option("--trainPositiveRadius", 10.0, "metres, of training positives")
    positive_radius: float = option("--positiveRadius", 25.0, "metres within which a match is correct")
    negative_radius: float = option("--negativeRadius", 25.0, "metres beyond which training negatives lie")

    def read(self, root: Path) -> Prepared:
        """Every split there is a folder for; a lone pair of database and queries is the test split.

        A folder of images within database or queries is a sequence. UTM metres (x east, y north), or latitude and
        longitude where a split lies in more than one UTM zone or hemisphere.

        Args:
            train_positive_radius, negative_radius: metres, of training.
            positive_radius: metres, correct in val and test.

        Raises:
            UserError: no such folders, a name without a position, a split in more than one UTM zone or hemisphere and
                names without latitude and longitude.
        """
        folders = split_folders(root)
        traverses: list[PreparedTraverse] = []
        splits, notes = [], list[str]()
        for part, folder in folders.items():
            pair = [_traverse(side, f"{part}-{side.name}", notes) for side in sides_of(folder)]
            if apart := _apart(name for traverse in pair for name in traverse.names):
                pair = [_by_degrees(folder, traverse, apart) for traverse in pair]
            traverses += pair
            radii: tuple[float, float | None] = (self.positive_radius, None)
            if part == "train":
                radii = (self.train_positive_radius, self.negative_radius)
            splits.append(PreparedSplit.of_all_rows(part, pair[:1], pair[1:], *radii))
        return Prepared("metres", tuple(traverses), tuple(splits), tuple(notes))


def split_folders(root: Path) -> dict[str, Path]:
    """The folder of each split that there is one for; a lone pair of database and queries is the test split.

    Raises:
        UserError: there are no such folders.
    """

    def is_pair(folder: Path) -> bool:
        return (folder / "database").is_dir() and any((folder / name).is_dir() for name in QUERY_FOLDERS)

    for base in (root, root / "images"):
        if is_pair(base):
            return {"test": base}
        if found := {part: base / part for part in PARTS if is_pair(base / part)}:
            return found
    raise UserError(
        f"{root}: no folders database and queries, in it or in {', '.join(PARTS)}; it has "
        f"{', '.join(subfolders(root)) or 'no folders'}"
    )


def sides_of(folder: Path) -> tuple[Path, Path]:
    """The folders of database and queries of a split."""
    return folder / "database", next(folder / name for name in QUERY_FOLDERS if (folder / name).is_dir())


def _traverse(folder: Path, name: str, notes: list[str]) -> PreparedTraverse:
    found = images_in(folder)
    notes += found.notes(name)
    images = found.images
    positions = np.array([name_numbers(name_fields(image), EASTING) for image in images])
    if (bad := np.flatnonzero(~np.isfinite(positions).all(axis=1))).size:
        raise UserError(
            f"{folder}: {len(bad)} of {len(images)} names hold no position, first {images[bad[0]]}; wanted "
            "@easting@northing@...@.jpg"
        )
    return PreparedTraverse(
        name=name,
        images=absolute(folder, images),
        names=images,
        positions={"x": positions[:, 0], "y": positions[:, 1]},
        sequences=folders_of(images),
        placed=f"the names of the images; all {len(images)} have one",
    )


def _apart(names: Iterable[str]) -> str:
    """What keeps the metres of names from being compared, in words; empty if nothing does.

    Eastings start over in each zone, northings in each hemisphere (letters to M are south of the equator).
    """
    fields = [name_fields(name) for name in names]
    zones = sorted({parts[ZONE] for parts in fields if len(parts) > ZONE + 1} - {""})
    if len(zones) > 1:
        return f"in UTM zones {' and '.join(zones)}"
    letters = {parts[LETTER] for parts in fields if len(parts) > LETTER + 1} - {""}
    if len({letter.upper() > "M" for letter in letters}) > 1:
        return f"on both sides of the equator (UTM letters {', '.join(sorted(letters))})"
    return ""


def _by_degrees(folder: Path, traverse: PreparedTraverse, apart: str) -> PreparedTraverse:
    """The traverse with the latitudes and longitudes in its names for positions."""
    fields = [name_fields(name) for name in traverse.names]
    degrees = np.array([name_numbers(parts, LATITUDE) for parts in fields])
    zones = np.array([name_numbers(parts, ZONE, 1)[0] for parts in fields])
    from_meridian = np.abs((degrees[:, 1] - (6 * zones - 183) + 180) % 360 - 180)
    wrong = ~((np.abs(degrees[:, 0]) <= 90) & (from_meridian <= FARTHEST_DEG))
    decimals = max(len(text.partition(".")[2]) for parts in fields for text in parts[LATITUDE : LATITUDE + 2])
    if wrong.any():
        reason = f"{traverse.names[np.flatnonzero(wrong)[0]]} holds no latitude and longitude of its zone"
    elif decimals < DECIMALS:
        reason = f"latitudes and longitudes have {decimals} decimals, wanted {DECIMALS}, a metre"
    else:
        return replace(traverse, positions={"lat": degrees[:, 0], "lon": degrees[:, 1]})
    raise UserError(
        f"{folder}: positions {apart}, between which distances mean nothing, and {reason}; prepare each alone"
    )


def name_fields(name: str) -> list[str]:
    """What stands between the ``@`` of a file name; the first is empty."""
    return PurePosixPath(name).name.split("@")


def name_numbers(parts: list[str], first: int, count: int = 2) -> tuple[float, ...]:
    """Numbers in fields of a name; NaN where one is missing."""
    try:
        return tuple(float(parts[field]) for field in range(first, first + count))
    except (IndexError, ValueError):
        return (np.nan,) * count
