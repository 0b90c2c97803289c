"""The labelled places of a dataset."""

from pathlib import Path

from opticornet.datasets.catalogue import BUILT_IN, load_dataset
from opticornet.datasets.folder.named_files import inside_folder
from opticornet.datasets.folder.toml import TOML_NAME, read_toml
from opticornet.datasets.images.frames import missing_images
from opticornet.datasets.places.place_set import PlaceSet
from opticornet.datasets.places.route import places_of_split
from opticornet.datasets.places.table import read_places
from opticornet.utils.errors import UserError


def open_places(folder: str | Path, name: str = "train") -> PlaceSet:
    """The places ``[places.NAME]`` of a dataset folder, or else those along the route of its split of this name
    (:func:`opticornet.datasets.places.route.places_of_split`).

    No image is opened, and it is not looked for here whether files are there (:func:`check_place_images`).

    Args:
        folder: holds a ``dataset.toml``; or the name of a built-in dataset.

    Raises:
        UserError: there are neither, or anything is wrong with them, in one line.
    """
    if str(folder) in BUILT_IN:
        split = load_dataset(str(folder), splits=(name,)).splits[name]
        return places_of_split(split, f"dataset {folder}: splits.{name}")
    folder = Path(folder)
    entry = read_toml(folder)
    if places := entry.places.get(name):
        table = inside_folder(folder, places.table)
        return read_places(table, folder, places.separation or 0.0, places.ignore_columns or ())
    where = folder / TOML_NAME
    if name not in entry.splits:
        there = ", ".join([f"places {one}" for one in entry.places] + [f"split {one}" for one in entry.splits])
        raise UserError(f"{where}: no [places.{name}] and no split {name!r} to take places from; it has {there}")
    return places_of_split(load_dataset(str(folder), splits=(name,)).splits[name], f"{where}: splits.{name}")


def check_place_images(places: PlaceSet) -> None:
    """Raise :class:`UserError` where files of images do not exist."""
    if missing := missing_images(places.images):
        raise UserError(
            f"{places.name}: {len(missing)} of {len(places)} images do not exist, first {missing[0]}; put them "
            "back, or correct the paths"
        )
