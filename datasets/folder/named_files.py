"""The files that a ``dataset.toml`` names."""

import os
from pathlib import Path

from opticornet.datasets.folder.tables import FrameTable, read_frames
from opticornet.datasets.folder.toml import TOML_NAME, TraverseEntry, read_toml
from opticornet.datasets.images.found import find_images
from opticornet.datasets.images.recordings import frame_exists
from opticornet.datasets.images.sources import ImageFiles
from opticornet.utils.errors import UserError


def inside_folder(folder: Path, relative: str) -> Path:
    """The path of a file named in a ``dataset.toml``, within its folder or one that it names as ``shared``.

    Raises:
        UserError: it is absolute or leads out of the folder, also by a symbolic link.
    """
    path = folder / relative
    if Path(relative).is_absolute() or not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(
            f"{folder}: {relative!r} leaves the folder; move or copy the file into it, or name the folder that it is "
            "in as shared of its traverse (docs/datasets.md)"
        )
    return path


def images_of(folder: Path, entry: TraverseEntry, frames: FrameTable) -> tuple[str, ...] | None:
    """The image paths of a traverse, in order; None where it names none.

    They may lie outside of the folder, which often holds descriptors of images that stay where they are.

    Raises:
        UserError: both the table and ``images`` name some; the folder of images is missing or holds none.
    """
    if entry.images is None:
        return frames.images and tuple(os.path.join(entry.root(folder), image) for image in frames.images)
    if frames.images is not None:
        raise UserError(
            f"{folder / TOML_NAME}: images = {entry.images!r}, but {entry.frames} has an image column; leave one out"
        )
    place = os.path.join(entry.root(folder), entry.images)
    if not os.path.isdir(place):
        raise UserError(f"{folder / TOML_NAME}: images = {entry.images!r} is no folder; check the path")
    return tuple(os.path.join(place, name) for name in find_images(Path(place)))


def frames_of(folder: Path, entry: TraverseEntry) -> FrameTable:
    """The frame table of a traverse; an empty one where it has none."""
    if entry.frames is None:
        return FrameTable()
    return read_frames(inside_folder(entry.root(folder), entry.frames), entry.ignore_columns or ())


def names_images(folder: Path, entry: TraverseEntry) -> bool:
    """Whether a traverse names its images, by a folder or by its frame table."""
    return entry.images is not None or frames_of(folder, entry).images is not None


def table_images(folder: Path, table: Path, bayer: str = "") -> ImageFiles:
    """The images that a frame table names, as a source for extraction.

    Raises:
        UserError: the table has no image column, or some files do not exist.
    """
    entries = read_toml(folder).traverses.values()
    entry = next(entry for entry in entries if entry.frames and entry.root(folder) / entry.frames == table)
    root = entry.root(folder)
    images = frames_of(folder, entry).images
    if images is None:
        raise UserError(f"{table}: no image column; wanted one, or a folder of images in {folder / TOML_NAME}")
    missing = [image for image in images if not frame_exists(root / image)]
    if missing:
        raise UserError(
            f"{table} names {len(missing)} images that do not exist, first {missing[0]!r}: names are taken relative to "
            f"{root}"
        )
    return ImageFiles(root, images, bayer)
