"""What an extraction reads: the images of one source, or those of every traverse of a dataset folder."""

import sys
from dataclasses import replace
from pathlib import Path

from opticornet.datasets.folder.named_files import inside_folder, names_images, table_images
from opticornet.datasets.folder.toml import read_toml
from opticornet.datasets.images.cropping import Crop
from opticornet.datasets.images.found import scan_images
from opticornet.datasets.images.levels import Levels, checked_levels, find_levels
from opticornet.datasets.images.sources import ImageFiles, ImageSource, open_images
from opticornet.options.modes import ExtractOptions
from opticornet.utils.errors import UserError


def options_of_traverses(options: ExtractOptions) -> list[ExtractOptions]:
    """The options for each traverse of the dataset folder ``options.dataset``: prepared, or one that names its images.

    Raises:
        UserError: a traverse names no descriptors to write, or no images to describe.
    """
    folder = Path(options.dataset)
    entry = read_toml(folder)
    entry.need_traverses(folder)
    traverses = []
    for name, traverse in entry.traverses.items():
        if traverse.descriptors is None:
            raise UserError(
                f"traverse {name} of {folder} names no descriptors to write: give it a key descriptors in dataset.toml"
            )
        root = traverse.root(folder)
        output = inside_folder(root, traverse.descriptors)
        images = output.with_suffix(".txt")
        if not images.is_file() and names_images(folder, traverse):
            images = root / (traverse.images or traverse.frames or "")
        elif output.suffix != ".npy" or not images.is_file():
            raise UserError(
                f"traverse {name} of {folder} has no image list {images.name}: prepare the folder with "
                "the prepare step, or give `images` and `output`"
            )
        if output.suffix != ".npy":
            raise UserError(f"{output}: wanted descriptors that end in .npy; change them in dataset.toml")
        store = options.local_store and str(Path(options.local_store, traverse.descriptors).parent)
        traverses.append(replace(options, images=str(images), output=str(output), local_store=store))
    return traverses


def common_levels(options: ExtractOptions, sources: list[ImageSource]) -> Levels | None:
    """The range of deep images that all sources share; None where each has its own.

    Raises:
        UserError: a range that is none, or that no image needs.
    """
    if options.levels:
        levels, needed_by = checked_levels(options.levels), sources
    elif options.shared_range:
        entry = read_toml(Path(options.dataset))
        references = {drive for split in entry.splits.values() for drive in split.drives("reference")}
        needed_by = [source for name, source in zip(entry.traverses, sources, strict=True) if name in references]
    else:
        return None
    found = find_levels(needed_by)
    if found is None:
        name, whose = ("levels", "") if options.levels else ("shared_range", " among those of the reference drives")
        raise UserError(
            f"`{name}` changes nothing here: it is for grey images of 16 bits or more, and there are none{whose}"
        )
    return levels if options.levels else found


def image_source(options: ExtractOptions) -> ImageSource:
    """The images to describe: ``images``, or those that a dataset folder lists or names in a frame table.

    Raises:
        UserError: there are none, ``fps`` is given for images, or ``crop`` for a video.
    """
    return with_crop(_whole_images(options), options.crop)


def with_crop(source: ImageSource, crop: tuple[int, ...]) -> ImageSource:
    """The source, whose images are cropped.

    Raises:
        UserError: the crop is no rectangle, or the source a video.
    """
    if not (part := Crop.of_option(crop)):
        return source
    if not isinstance(source, ImageFiles):
        raise UserError("`crop` is for images and this is a video: leave it out")
    return replace(source, crop=part)


def _whole_images(options: ExtractOptions) -> ImageSource:
    path = Path(options.images)
    if options.dataset and path.is_file() and path.suffix != ".txt":
        if options.fps:
            raise UserError(f"`fps` is for videos and {path} names images: leave it out")
        return table_images(Path(options.dataset), path, options.bayer)
    if path.is_dir():
        for note in scan_images(path).notes(str(path)):
            print(note, file=sys.stderr)
    return open_images(path, options.fps or None, options.bayer, options.topic)
