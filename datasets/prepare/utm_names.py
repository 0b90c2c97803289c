"""Images that carry their position in their name, as most VPR repositories store them::

    <root>[/images][/{train,val,test}]/database/@<easting>@<northing>@<zone>@...@.jpg
    <root>[/images][/{train,val,test}]/{queries,query}/[<sequence>/]@...@.jpg

Fields of a name, from 1: easting, northing, zone number, zone letter, latitude, longitude, panorama, tile, heading,
pitch, roll, height, time, note; all but the first two may be empty or missing.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from opticornet.datasets.prepare.image_folder import absolute, images_of, subfolders
from opticornet.datasets.prepare.partition import PARTS
from opticornet.datasets.prepare.prepared import Prepared, PreparedSplit, PreparedTraverse, Source
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

QUERY_FOLDERS = ("queries", "query")


@dataclass(frozen=True, kw_only=True)
class UtmNames(Source):
    """``utm-names``: images that carry their position in their name."""

    train_positive_radius: float = option("--trainPositiveRadius", 10.0, "metres, of training positives")
    positive_radius: float = option("--positiveRadius", 25.0, "metres within which a match is correct")
    negative_radius: float = option("--negativeRadius", 25.0, "metres beyond which training negatives lie")

    def read(self, root: Path) -> Prepared:
        """Every split there is a folder for; a lone pair of database and queries is the test split.

        A folder of images within database or queries is a sequence. UTM metres (x east, y north).

        Args:
            train_positive_radius, negative_radius: metres, of training.
            positive_radius: metres, correct in val and test.

        Raises:
            UserError: no such folders, a name without a position, a split in more than one UTM zone or hemisphere.
        """
        folders = _split_folders(root)
        traverses: list[PreparedTraverse] = []
        splits = []
        for part, folder in folders.items():
            query = next(name for name in QUERY_FOLDERS if (folder / name).is_dir())
            pair = [_traverse(folder / role, f"{part}-{role}") for role in ("database", query)]
            _check_zones(folder, [name for traverse in pair for name in traverse.names])
            traverses += pair
            radii: tuple[float, float | None] = (self.positive_radius, None)
            if part == "train":
                radii = (self.train_positive_radius, self.negative_radius)
            splits.append(PreparedSplit.of_all_rows(part, pair[0], pair[1], *radii))
        return Prepared("metres", tuple(traverses), tuple(splits))


def _split_folders(root: Path) -> dict[str, Path]:
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


def _traverse(folder: Path, name: str) -> PreparedTraverse:
    images = images_of(folder)
    positions = np.array([_position(_fields(image)) for image in images])
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
        sequences=[str(PurePosixPath(image).parent) for image in images],
    )


def _check_zones(folder: Path, names: list[str]) -> None:
    """Eastings start over in each zone, northings in each hemisphere (letters to M are south of the equator)."""
    fields = [_fields(name) for name in names]
    zones = sorted({parts[3] for parts in fields if len(parts) > 4} - {""})
    if len(zones) > 1:
        raise UserError(
            f"{folder}: positions in UTM zones {' and '.join(zones)}; distances between zones mean nothing, prepare "
            "each zone alone"
        )
    letters = {parts[4] for parts in fields if len(parts) > 5} - {""}
    if len({letter.upper() > "M" for letter in letters}) > 1:
        raise UserError(
            f"{folder}: positions on both sides of the equator (UTM letters {', '.join(sorted(letters))}); prepare "
            "each side alone"
        )


def _fields(name: str) -> list[str]:
    return PurePosixPath(name).name.split("@")


def _position(parts: list[str]) -> tuple[float, float]:
    try:
        return float(parts[1]), float(parts[2])
    except (IndexError, ValueError):
        return np.nan, np.nan
