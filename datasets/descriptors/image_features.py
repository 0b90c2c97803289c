"""Descriptors that are stored one per image by its name, as hloc's ``h5`` files have them.

``global-feats-netvlad.h5`` holds a group ``db/1.jpg`` with the dataset ``global_descriptor`` for each image. A dataset
``db/1.jpg`` without a group is read too; each is (D,) or (1, D), float16 or float32.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from opticornet.datasets.descriptors.arrays import LazyRows
from opticornet.utils.errors import DamagedFile, UserError
from opticornet.utils.mapped import release

if TYPE_CHECKING:
    import h5py

GLOBAL_DESCRIPTOR = "global_descriptor"


class ImageFeatures:
    """The (N, D) descriptors of some images of a file; what is indexed is read, and nothing else.

    Where they are stored as plain bytes, which is HDF5's default, they are memory-mapped.

    Args:
        path: the ``h5`` file.
        datasets: (N,) name of each image's dataset in it.

    Raises:
        UserError: the datasets are not (D,) or (1, D) of one D and type.
    """

    def __init__(self, path: Path, datasets: Sequence[str]) -> None:
        import h5py

        self.file = h5py.File(path, "r")
        self._datasets = tuple(datasets)
        first = self.file[self._datasets[0]]
        self.dtype: np.dtype[Any] = first.dtype
        self.shape = (len(self._datasets), int(first.size or 0))
        self.ndim = 2
        offsets = [self._offset(name) for name in self._datasets]
        self._offsets = [offset for offset in offsets if offset is not None]
        self._bytes: np.ndarray | None = None
        if len(self._offsets) == len(offsets):
            self._bytes = np.memmap(path, np.uint8, mode="r")
            self.file.close()

    def __len__(self) -> int:
        return len(self._datasets)

    def __getitem__(self, key: slice | np.ndarray, /) -> np.ndarray:
        """(M, D) rows of a slice or an integer array (M,)."""
        rows = np.arange(len(self))[key].tolist()
        values = np.empty((len(rows), self.shape[1]), self.dtype)
        for place, row in enumerate(rows):
            values[place] = self._row(row)
        release(self._bytes)
        return values

    def _row(self, row: int) -> np.ndarray:
        if self._bytes is None:
            return np.asarray(self.file[self._datasets[row]]).reshape(-1)
        start = self._offsets[row]  # known of every row where there are bytes
        assert start is not None
        return self._bytes[start : start + self.shape[1] * self.dtype.itemsize].view(self.dtype)

    def _offset(self, name: str) -> int | None:
        """Where a dataset's plain bytes begin; None where it has none (compressed, in pieces)."""
        import h5py

        dataset = h5py.h5d.open(self.file.id, name.encode())  # h5py's own objects take twice as long
        width = self.shape[1]
        fits = dataset.shape in ((width,), (1, width)) and width and dataset.dtype == self.dtype
        if not fits or self.dtype not in (np.float16, np.float32):
            raise UserError(
                f"{self.file.filename}: {name} is {dataset.shape} {dataset.dtype}; wanted (D,) float16 or float32, as "
                f"for every image (the first is ({width},) {self.dtype})"
            )
        return None if dataset.get_create_plist().get_external_count() else dataset.get_offset()


def open_image_features(path: Path, namings: Sequence[Sequence[str]], others: Collection[str] = ()) -> LazyRows:
    """Open the descriptors of images by their names: (N, D) rows that are read when asked for.

    Args:
        path: an ``h5`` file as hloc writes it.
        namings: what the N images may be called in it, in the order of the rows: the first naming is taken of which all
            are there.
        others: images that may be in it besides, under whatever part of their path.

    Raises:
        UserError: it cannot be read; an image is not in it, or more images are than ``others`` names.
    """
    if not namings:
        raise UserError(
            f"{path}: holds descriptors by image names, and nothing says which row is which image; give the traverse a "
            f'frame table with names, or name one array, as "{path.name}:key"'
        )
    if not path.is_file():
        raise UserError(f"{path}: no such descriptor file; check the path")
    import h5py

    try:
        with h5py.File(path, "r") as file:
            datasets = _datasets(file)
        naming = next((naming for naming in namings if datasets.keys() >= set(naming)), None)
        if naming is None:
            raise _missing(path, max(namings, key=lambda names: len(datasets.keys() & set(names))), datasets)
        allowed = {other for name in others for other in (name, *_endings(name))} | set(naming)
        if more := [name for name in datasets if name not in allowed]:
            raise UserError(
                f"{path}: holds {len(more)} images that no traverse names, first {more[0]!r}; name them, or leave them "
                "out of the file"
            )
        return LazyRows(ImageFeatures(path, [datasets[name] for name in naming]), np.arange(len(naming)))
    except (OSError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise DamagedFile(f"{path}: cannot be read as an h5 file ({reason}); copy or extract it again") from error


def namings_of(names: Sequence[str] | None, images: Sequence[str] | None) -> list[list[str]]:
    """What images may be called in a file: their frames' names; their paths' last part, last two parts, and so on."""
    namings = [list(names)] if names is not None else []
    parts = [Path(image).parts for image in images or ()]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        namings.append(["/".join(part[-depth:]) for part in parts])
    return namings


def _endings(name: str) -> list[str]:
    parts = Path(name).parts
    return ["/".join(parts[-depth:]) for depth in range(1, len(parts) + 1)]


def _datasets(file: "h5py.File") -> dict[str, str]:
    """The dataset of each image's descriptor, by the image's name, as the file lists them."""
    import h5py

    ending = f"/{GLOBAL_DESCRIPTOR}"
    found: list[str] = []
    file.visit(found.append)  # names alone: opening every object takes four times as long
    if named := [name for name in found if name.endswith(ending)]:
        return {name.removesuffix(ending): name for name in named}
    return {name: name for name in found if isinstance(file[name], h5py.Dataset)}


def _missing(path: Path, naming: Sequence[str], datasets: dict[str, str]) -> UserError:
    missing = [name for name in naming if name not in datasets]
    there = f"it holds {len(datasets)} images, first {next(iter(datasets))!r}" if datasets else "it holds none"
    return UserError(
        f"{path}: no descriptor of {len(missing)} of {len(naming)} images, first {missing[0]!r} ({there}); extract "
        "them with hloc, or correct the names"
    )
