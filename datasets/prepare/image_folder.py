"""The images of one traverse: found in a folder, and chosen by a list."""

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np

from opticornet.datasets.images.found import FoundImages, is_system_folder, need_images, scan_images
from opticornet.datasets.labels import first_repeated
from opticornet.datasets.seqnet.structs import read_image_names
from opticornet.utils.errors import UserError


def images_of(folder: Path) -> tuple[str, ...]:
    """Names of all images below a folder of the source, as :func:`images_in` finds them."""
    return images_in(folder).images


def images_in(folder: Path) -> FoundImages:
    """What is below a folder of images of the source.

    Raises:
        UserError: there is no such folder (those that exist are listed), it cannot be read, or holds no image.
    """
    if not folder.is_dir():
        found = ", ".join(subfolders(folder.parent)) or "none"
        raise UserError(f"{folder}: no such folder of images; {folder.parent} has {found}")
    return need_images(folder, scan_images(folder))


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder that are neither hidden nor a system's, sorted; none where it does not exist.

    Raises:
        UserError: it cannot be read.
    """
    if not folder.is_dir():
        return []
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not is_system_folder(entry.name))
    except OSError as error:
        raise UserError(f"cannot read the folder {folder}: {error.strerror}; check its permissions") from error


def folders_of(images: tuple[str, ...]) -> np.ndarray:
    """(N,) folder of each image: each of them is a sequence of its own."""
    return np.array([str(PurePosixPath(image).parent) for image in images])


def absolute(folder: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Absolute paths of images named relative to ``folder``."""
    start = os.path.abspath(folder)
    return tuple(os.path.join(start, name) for name in names)


def stem(name: str) -> str:
    """The file name without folders and suffix, spelt as :func:`composed` does."""
    return composed(PurePosixPath(name).stem)


def composed(name: str) -> str:
    """A name in the one spelling (NFC) of letters with accents: some systems write them as two characters."""
    return unicodedata.normalize("NFC", name)


def rows_by_stem(path: Path, images: tuple[str, ...]) -> dict[str, int]:
    """Row of each image by its file name without folders and suffix, as the table or list ``path`` names them.

    Raises:
        UserError: two images go by the same name.
    """
    rows: dict[str, int] = {}
    for row, image in enumerate(images):
        first = rows.setdefault(stem(image), row)
        if first != row:
            raise UserError(f"{path}: file names do not tell {images[first]} and {image} apart; rename them")
    return rows


def listed_rows(pattern: str, traverse: str, images: tuple[str, ...]) -> np.ndarray:
    """Rows of ``images`` in the order of a list of image names.

    A line names an image by its file name; folders and suffix may differ, as lists of the field name images where
    their authors had them.

    Args:
        pattern: path of the list; ``{traverse}`` in it stands for the traverse's name.
        images: names of the images there are.

    Raises:
        UserError: no list, a line that names no image, two images that go by the same name, a line that comes twice.
    """
    path = Path(pattern.replace("{traverse}", traverse))
    if not path.is_file():
        raise UserError(f"{path}: no such list of image names; check `frame_list`")
    wanted = [stem(line) for line in read_image_names(path)]
    rows = rows_by_stem(path, images)
    if missing := [name for name in wanted if name not in rows]:
        raise UserError(
            f"{path}: {len(missing)} of {len(wanted)} names match no image of {traverse}, first {missing[0]}; "
            "check that list and images belong together"
        )
    if twice := first_repeated(wanted):
        raise UserError(f"{path} names {twice} more than once: each frame has one row")
    return np.array([rows[name] for name in wanted])
