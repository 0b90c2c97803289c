"""The datasets seqNet knows, in its files, layout and protocol.

::

    <data>/descData/<descType>/nordland-clean-<season>.npy
    <data>/descData/<descType>/oxford_<traverse>_stereo_left.npy
    <data>/descData/<descType>/msls_<city>_{database,query}.npy
    <structs>/oxford-{v1.0,pnv}_<reference>_<query>_{train,test}_*.db, oxford-{v1.0,pnv}_splitInds.npz
    <structs>/msls_<city>_*.db, seqBoundsFiles/msls_<city>_{database,query}_seqBounds.txt
    <structs>/imageNamesFiles/nordland_clean_imageNames.txt          (optional: frame names)

Rows and radii are those of SeqNet (RA-L 2021): see docs/datasets.md.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from opticornet.datasets.descriptors.arrays import open_descriptors, take_rows
from opticornet.datasets.seqnet.structs import Struct, read_bounds, read_image_names, read_split_indices, read_struct
from opticornet.datasets.split_names import USUAL_SPLITS
from opticornet.datasets.traverse import Dataset, Split, Traverse, Units
from opticornet.utils.errors import UserError
from opticornet.utils.mapped import RowMatrix

NORDLAND_ROWS = {"train": (0, 15000), "val": (18200, 21200), "test": (15100, 18100)}
# seqNet ships the files of three cities.
PREPARED_INSTEAD = "make a dataset folder from the images: mode prepare, `source` msls"
OXFORD_REFERENCE, OXFORD_QUERY = "2015-03-17-11-08-44", "2014-12-16-18-44-24"


def nordland(
    reference: str, query: str, descriptors: Path, structs: Path, split_names: tuple[str, ...] | None = None
) -> Dataset:
    """Two seasons of the 27592 "clean" Nordland frames; a frame's position is its row.

    Train: positives within 10 frames, negatives beyond 40. Val and test: correct within 1 frame.
    """
    names_file = structs / "imageNamesFiles" / "nordland_clean_imageNames.txt"
    names = read_image_names(names_file) if names_file.is_file() else None
    traverses = []
    for season in (reference, query):
        path = descriptors / f"nordland-clean-{season}.npy"
        array = open_descriptors(path)
        if names and len(names) != len(array):
            raise UserError(f"{path}: {len(array)} descriptors, but {names_file} names {len(names)} frames")
        traverses.append(_one_sequence(season, array, np.arange(len(array))[:, None], "frames", names, path))
    splits = {}
    for name in split_names or USUAL_SPLITS:
        start, stop = NORDLAND_ROWS[name]
        if short := next((t for t in traverses if len(t) < stop), None):
            raise UserError(
                f"{short.source}: {len(short)} descriptors; the {name} split takes rows {start} to {stop} of the "
                "27592 clean frames"
            )
        radii: tuple[float, float | None] = (10.0, 40.0) if name == "train" else (1.0, None)
        splits[name] = Split(name, traverses[0].cut(start, stop), traverses[1].cut(start, stop), *radii)
    return Dataset(f"nordland-{reference[0]}{query[0]}", splits)


def oxford(name: str, descriptors: Path, structs: Path, split_names: tuple[str, ...] | None = None) -> Dataset:
    """Oxford RobotCar, 2015-03-17 (day) against 2014-12-16 (night), frames 2 m apart; val and test are the same.

    The rows of a split have gaps. As in seqNet each split is one sequence all the same, so a few windows of
    ``oxford-pnv`` reach over a gap.
    """
    indices_path = structs / f"{name}_splitInds.npz"
    splits = {}
    for split_name in split_names or USUAL_SPLITS:
        struct = read_struct(oxford_struct(name, structs, split_name))
        traverses = []
        for index, (date, names, positions) in enumerate(_sides(struct, (OXFORD_REFERENCE, OXFORD_QUERY))):
            rows = read_split_indices(indices_path, f"{split_name}Inds")[index]
            path = descriptors / f"oxford_{date}_stereo_left.npy"
            array = open_descriptors(path)
            if rows.max() >= len(array):
                raise UserError(f"{path}: {len(array)} descriptors, but {indices_path} asks for row {rows.max()}")
            if len(rows) != len(positions):
                raise UserError(f"{indices_path}: {len(rows)} rows for {len(positions)} positions in {struct.source}")
            traverses.append(_one_sequence(date, take_rows(array, rows), positions, struct.units, names, path))
        splits[split_name] = Split(split_name, traverses[0], traverses[1], *_radii(split_name, struct))
    return Dataset(name, splits)


def msls(
    cities: dict[str, str], descriptors: Path, structs: Path, split_names: tuple[str, ...] | None = None
) -> Dataset:
    """Mapillary Street-Level Sequences: database and query of one of the ``cities`` per split."""
    splits = {}
    for split_name in split_names or cities:
        city = cities[split_name]
        struct = read_struct(msls_struct(city, structs))
        traverses = []
        for role, names, positions in _sides(struct, ("database", "query")):
            path = descriptors / f"msls_{city}_{role}.npy"
            array = open_descriptors(path)
            bounds = read_bounds(structs / "seqBoundsFiles" / f"msls_{city}_{role}_seqBounds.txt")
            for count, file in ((len(positions), struct.source), (len(bounds), f"the bounds of {city} {role}")):
                if count != len(array):
                    raise UserError(f"{path}: {len(array)} descriptors, but {file} has {count} frames")
            whole = _one_sequence(f"{city}-{role}", array, positions, struct.units, names, path)
            traverses.append(replace(whole, bounds=bounds))
        splits[split_name] = Split(split_name, traverses[0], traverses[1], *_radii(split_name, struct))
    return Dataset("msls", splits)


def oxford_struct(name: str, structs: Path, split_name: str) -> Path:
    """The struct file of a split; validation uses the test split's."""
    part = "train" if split_name == "train" else "test"
    return _struct_file(structs, f"{name}_{OXFORD_REFERENCE}_{OXFORD_QUERY}_{part}_*.db")


def msls_struct(city: str, structs: Path) -> Path:
    """The struct file of a city."""
    return _struct_file(structs, f"msls_{city}_*.db")


def _sides(struct: Struct, labels: tuple[str, str]) -> tuple[tuple[str, tuple[str, ...], np.ndarray], ...]:
    """(label, frame names, positions) of the reference, then of the query."""
    return (
        (labels[0], struct.reference_names, struct.reference_positions),
        (labels[1], struct.query_names, struct.query_positions),
    )


def _radii(split_name: str, struct: Struct) -> tuple[float, float | None]:
    """Train: positives within the nontrivial radius, negatives beyond the other; else correct within the other."""
    if split_name != "train":
        return struct.radius, None
    if struct.training_positive_radius is None:
        raise UserError(f"{struct.source}: no nonTrivPosDistSqThr, the radius of training positives (squared)")
    return struct.training_positive_radius, struct.radius


def _struct_file(folder: Path, pattern: str) -> Path:
    """The one file of ``folder`` that matches: the radii in the names of struct files are not to be relied on."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        several = f"{len(found)} files match" if found else "no file matches"
        otherwise = "" if found or not pattern.startswith("msls_") else f"; of other cities {PREPARED_INSTEAD}"
        raise UserError(f"{folder}: {several} {pattern}; wanted seqNet's struct file there (`struct_path`){otherwise}")
    return found[0]


def _one_sequence(
    name: str,
    descriptors: RowMatrix,
    positions: np.ndarray,
    units: Units,
    names: tuple[str, ...] | None,
    path: Path,
) -> Traverse:
    count = len(descriptors)
    return Traverse(
        name=name,
        descriptors=descriptors,
        positions=positions.astype(np.float64),
        units=units,
        bounds=np.tile(np.array([0, count]), (count, 1)),
        names=names,
        source=str(path),
    )
