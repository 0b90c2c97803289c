"""Your own drives: a folder of images each, and beside it, if there are any, its positions::

<root>/<traverse>/*.jpg
<root>/<traverse>.csv                     columns lat, lon or x, y[, z] or frame; name or timestamp; sequence
<root>/<traverse>.{tum,kitti,txt}         or a trajectory: "tum" or "kitti", told apart by the numbers per line
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opticornet.datasets.geodesy import local_metres
from opticornet.datasets.prepare.image_folder import absolute, images_of, listed_rows, subfolders
from opticornet.datasets.prepare.partition import partition
from opticornet.datasets.prepare.places import read_places
from opticornet.datasets.prepare.prepared import Prepared, PreparedSplit, PreparedTraverse, Source
from opticornet.datasets.traverse import Units
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

SUFFIXES = (".csv", ".tum", ".kitti", ".txt")
# Positive and negative radius by unit.
RADII = {"frames": (1.0, 5.0), "metres": (10.0, 25.0)}


@dataclass(frozen=True, kw_only=True)
class Folders(Source):
    """``folders``: your own drives."""

    reference: str = option("--reference", "", "reference traverse, a folder")
    query: str = option("--query", "", "query traverse, a folder")
    frame_list: str = option(
        "--frameList", "", "take the frames named in this file, one per line; {traverse} stands for the traverse"
    )
    ignore_columns: tuple[str, ...] = option("--ignoreColumns", (), "columns of tables of positions to leave out")
    fractions: tuple[float, ...] = option("--fractions", (0.6, 0.2, 0.2), "of the route for train, val, test")
    gap: float | None = option("--gap", None, "frames or metres between splits; default: the negative radius")
    seed: int = option("--seed", 123, "seed of the order of the splits along the route")
    reach: float = option("--reach", 1.0, "seconds to the nearest pose beyond which an image is left out")
    positive_radius: float | None = option(
        "--positiveRadius", None, "frames or metres within which a match is correct; default: 1 or 10"
    )
    negative_radius: float | None = option(
        "--negativeRadius", None, "frames or metres beyond which training negatives lie; default: 5 or 25"
    )

    def read(self, root: Path) -> Prepared:
        """Two traverses. Without positions a frame's position is its number in the folder's natural order.

        Args:
            reference, query: their folders; may be left out if there are two, called reference (or ref, database) and
                query (or queries).
            frame_list: take these frames only; ``{traverse}`` is the folder.
            fractions, seed: see :func:`opticornet.datasets.prepare.partition.partition`.
            gap: between splits, default the negative radius.
            reach: seconds to the nearest pose beyond which an image is left out.
            positive_radius, negative_radius: in frames or metres, default :data:`RADII`; training positives and correct
                matches lie within the first, training negatives beyond the second.

        Raises:
            UserError: missing folders, positions of which rows match no image, traverses with different kinds of
                position, or without positions and with different numbers of images.
        """
        notes: list[str] = []
        ignored: set[str] = set()
        names = _traverse_names(root, self.reference, self.query)
        tables = [_positions_file(root, name) for name in names]
        first, second = (
            _traverse(root / name, beside, self.frame_list, self.reach, self.ignore_columns, notes, ignored)
            for name, beside in zip(names, tables, strict=True)
        )
        if absent := [name for name in self.ignore_columns if name.strip().casefold() not in ignored]:
            raise UserError(f"`ignore_columns` {', '.join(absent)}: no table of positions has such a column")
        if tables == [None, None] and len(first) != len(second):
            raise UserError(
                f"{root}: {first.name} has {len(first)} images, {second.name} {len(second)}, and neither has "
                f"positions: image i of both would be taken as the same place; add {first.name}.csv and "
                f"{second.name}.csv, or make the counts equal"
            )
        if first.positions.keys() != second.positions.keys():
            raise UserError(
                f"{root}: {first.name} has positions in {', '.join(first.positions)}, {second.name} in "
                f"{', '.join(second.positions)}; give both the same"
            )
        units: Units = "frames" if "frame" in first.positions else "metres"
        positive, negative = self.positive_radius or RADII[units][0], self.negative_radius or RADII[units][1]
        reference, query = (
            np.stack(list(traverse.positions.values()), axis=1).astype(float) for traverse in (first, second)
        )
        if "lat" in first.positions:
            origin = reference[0]
            reference, query = local_metres(reference, origin), local_metres(query, origin)
        gap = negative if self.gap is None else self.gap
        rows = partition(reference, query, self.fractions, gap, np.random.default_rng(self.seed))
        return Prepared(
            units=units,
            traverses=(first, second),
            splits=tuple(
                PreparedSplit(part, *names, *pair, positive, negative if part == "train" else None)
                for part, pair in rows.items()
            ),
            notes=tuple(notes),
        )


def _traverse_names(root: Path, reference: str, query: str) -> tuple[str, str]:
    found = subfolders(root)

    def called(*names: str) -> str:
        return next((name for name in found if name.lower() in names), "")

    reference = reference or called("reference", "ref", "database")
    query = query or called("query", "queries")
    if not reference or not query:
        raise UserError(
            f"{root}: which folder is the reference and which the query? it has {', '.join(found) or 'none'}; give "
            "`reference` and `query`"
        )
    return reference, query


def _positions_file(root: Path, name: str) -> Path | None:
    """The file with the positions of a traverse, if there is one."""
    found = [path for suffix in SUFFIXES if (path := root / f"{name}{suffix}").is_file()]
    if len(found) > 1:
        raise UserError(f"{root}: both {found[0].name} and {found[1].name} say where {name} was; keep one of them")
    return found[0] if found else None


def _traverse(
    folder: Path,
    beside: Path | None,
    frame_list: str,
    reach: float,
    ignore: tuple[str, ...],
    notes: list[str],
    ignored: set[str],
) -> PreparedTraverse:
    name, images = folder.name, images_of(folder)
    if frame_list:
        images = tuple(images[row] for row in listed_rows(frame_list, name, images))
    if beside is None:
        return PreparedTraverse(name, absolute(folder, images), images, {"frame": np.arange(len(images))})
    places = read_places(beside, images, folder, reach, ignore)
    ignored.update(column.casefold() for column in places.ignored)
    if not places.known.all():
        left_out = f"{np.sum(~places.known)} of {len(images)} images left out"
        notes.append(f"{name}: {left_out}, {beside.name} has no position for them")
    rows = np.flatnonzero(places.known)
    chosen = tuple(images[row] for row in rows)
    return PreparedTraverse(
        name=name,
        images=absolute(folder, chosen),
        names=chosen,
        positions={column: values[rows] for column, values in places.positions.items()},
        sequences=None if places.sequences is None else places.sequences[rows],
        timestamps=None if places.seconds is None else places.seconds[rows],
    )
