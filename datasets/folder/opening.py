"""A traverse of a dataset folder as its files have it, before it is placed."""

import os
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from opticornet.datasets.descriptors.arrays import open_descriptors, split_key
from opticornet.datasets.descriptors.files import read_identity, read_usable
from opticornet.datasets.descriptors.image_features import namings_of, open_image_features
from opticornet.datasets.descriptors.local_features import open_local_features
from opticornet.datasets.descriptors.local_files import LocalSource
from opticornet.datasets.folder.named_files import frames_of, images_of, inside_folder
from opticornet.datasets.folder.tables import FrameTable, run_bounds
from opticornet.datasets.folder.toml import TOML_NAME, FolderEntry, TraverseEntry
from opticornet.datasets.images.found import image_stem
from opticornet.utils.errors import UserError
from opticornet.utils.mapped import RowMatrix


@dataclass(frozen=True)
class OpenTraverse:
    """What the files of a traverse hold.

    Attributes:
        frames: its table; an empty one where it has none.
        descriptors: (N, D), or None, for the reason that ``undescribed`` gives.
        images: the N paths; None where none are named.
        images_source: the folder or table that names the images; empty where nothing does.
        described: the file of the descriptors; None where they are not there.
        bounds: (N, 2), the half-open range of each frame's sequence.
        usable: (N,) bool; None where all are.
        local_features: (N, R, C); None where none were extracted, or none are asked for.
    """

    frames: FrameTable
    descriptors: RowMatrix | None
    undescribed: str
    images: tuple[str, ...] | None
    images_source: str
    described: Path | None
    bounds: np.ndarray
    usable: np.ndarray | None
    local_features: RowMatrix | None

    def __len__(self) -> int:
        return len(self.bounds)


def open_traverse(folder: Path, dataset: FolderEntry, name: str, local: LocalSource | None = None) -> OpenTraverse:
    """Open the files of a traverse; ``local`` says where its local features are; None: they are not opened.

    Raises:
        UserError: one is missing, cannot be read, or does not fit the others.
    """
    entry = dataset.traverses[name]
    root = entry.root(folder)
    frames = frames_of(folder, entry)
    images = images_of(folder, entry, frames)
    descriptors, undescribed = _descriptors(folder, dataset, name, frames, images)
    _check_rows(root, entry, descriptors, images, frames)
    if frames.names is not None and frames.images is None:
        _check_same_order(root, entry, frames.names, images)
    described = None
    if descriptors is not None and entry.descriptors is not None:
        described = root / entry.descriptors
        if images is not None:
            _check_same_images(described, frames.images or images, entry.images or entry.frames)
    count = len(images or ()) if descriptors is None else len(descriptors)
    return OpenTraverse(
        frames=frames,
        descriptors=descriptors,
        undescribed=undescribed,
        images=images,
        images_source="" if images is None else str(root / (entry.images or entry.frames or "")),
        described=described,
        bounds=_folder_bounds(root, entry, images, count) if frames.bounds is None else frames.bounds,
        usable=_usable(described, frames, count),
        local_features=_local_features(described, count, local, entry),
    )


def _descriptors(
    folder: Path, dataset: FolderEntry, name: str, frames: FrameTable, images: tuple[str, ...] | None
) -> tuple[RowMatrix | None, str]:
    """The descriptors, or None and why: with images they may be extracted later."""
    entry = dataset.traverses[name]
    if entry.descriptors is None:
        if images is not None:
            return None, f"give [traverses.{name}] of {folder / TOML_NAME} a key descriptors and extract them"
        raise UserError(
            f"{folder / TOML_NAME}: traverses.{name} has no key 'descriptors', and {entry.frames} no image column; "
            "wanted one of them"
        )
    path, key = split_key(entry.descriptors)
    location = inside_folder(entry.root(folder), str(path))
    if images is not None and not location.exists():
        return None, f"{location} is not there; extract it first (mode extract, dataset {folder})"
    if key is None and path.suffix.lower() in (".h5", ".hdf5"):
        return open_image_features(location, namings_of(frames.names, images), _names_in(folder, dataset, location)), ""
    return open_descriptors(f"{location}:{key}" if key else location), ""


def _names_in(folder: Path, dataset: FolderEntry, path: Path) -> set[str]:
    """All frames and images of the traverses whose descriptors are in one file."""
    names: set[str] = set()
    for entry in dataset.traverses.values():
        if entry.descriptors and (entry.root(folder) / entry.descriptors).resolve() == path.resolve():
            frames = frames_of(folder, entry)
            names.update(frames.names or (), images_of(folder, entry, frames) or ())
    return names


def _check_rows(
    root: Path, entry: TraverseEntry, descriptors: RowMatrix | None, images: tuple[str, ...] | None, frames: FrameTable
) -> None:
    """Whether descriptors, images and frame table, as far as there are such, have as many rows."""
    if descriptors is None:
        wanted, noun, whose = len(images or ()), "images", entry.images
    else:
        wanted, noun, whose = len(descriptors), "descriptors", entry.descriptors
    counted = ((entry.frames, "frames", frames.count), (entry.images, "images", images and len(images)))
    for file, what, count in counted:
        if file is not None and count not in (None, wanted):
            again = "" if noun == "images" else "; extract again where images were added or taken away"
            found = f"{root / file}: {count} {what}, but {whose} has {wanted} {noun}"
            raise UserError(f"{found}; wanted one row each{again}")


def _check_same_order(root: Path, entry: TraverseEntry, names: tuple[str, ...], images: tuple[str, ...] | None) -> None:
    """Whether a frame table that names images, or those that descriptors were extracted from, has each in its row.

    Names that no image has say nothing, nor do any where images of several folders are called alike.
    """
    source = entry.images
    if images is None and entry.descriptors is not None:
        images, source = _extracted_names(root, entry), entry.descriptors
    stems, named = ([image_stem(name) for name in of] for of in (images or (), names))
    known = set(stems)
    if not len(known) == len(stems) == len(named):
        return
    pairs = enumerate(zip(stems, named, strict=True))
    row = next((row for row, (stem, name) in pairs if name != stem and name in known), None)
    if row is None:
        return
    raise UserError(
        f"{root / str(entry.frames)}: names the images of {source} in another order (row {row + 1} is {names[row]!r}, "
        f"image {row + 1} {os.path.basename((images or ())[row])!r}); wanted row i to be frame i, sort the rows"
    )


def _check_same_images(path: Path, images: tuple[str, ...], listed_in: str | None) -> None:
    """Whether descriptors were extracted from the same images, where a record beside them names those.

    A record written by an extraction names images as its list does, which is how a prepared table does, or relative
    to a folder of images, which the paths then end in.
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


def _folder_bounds(root: Path, entry: TraverseEntry, images: tuple[str, ...] | None, count: int) -> np.ndarray:
    """(N, 2) where no table says so: each folder of the images is a sequence, unless rows come back to one."""
    names = images or _extracted_names(root, entry) or ()
    if len(names) == count:
        folders = np.array([os.path.dirname(name) for name in names])
        bounds = run_bounds(folders)
        if entry.images is not None or len(np.unique(bounds[:, 0])) == len(np.unique(folders)):
            return bounds
    return np.tile(np.array([0, count]), (count, 1))


def _extracted_names(root: Path, entry: TraverseEntry) -> tuple[str, ...] | None:
    """What the record beside descriptors calls their images; None where there is none."""
    if entry.descriptors is None:
        return None
    names = (read_identity(root / split_key(entry.descriptors)[0]) or {}).get("names")
    return names and tuple(names)


def _usable(described: Path | None, frames: FrameTable, count: int) -> np.ndarray | None:
    """What the frame table says, and what extraction wrote beside a ``.npy``."""
    beside = None
    if described is not None and described.suffix == ".npy":
        beside = read_usable(described, count)
    if beside is None or frames.usable is None:
        return frames.usable if beside is None else beside
    return beside & frames.usable


def _local_features(
    described: Path | None, count: int, local: LocalSource | None, entry: TraverseEntry
) -> RowMatrix | None:
    """What extracting with ``local`` wrote; None where it did not, or where nobody asks."""
    if described is None or local is None:
        return None
    return open_local_features(described, count, local, Path(entry.descriptors or "").parent)
