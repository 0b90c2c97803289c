"""Decoding and preparing images in worker processes, a batch at a time."""

import io
import multiprocessing
import os
import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from opticornet.datasets.images.decoding import BadImageError, is_flat, without_warnings
from opticornet.datasets.images.sources import ImageSource
from opticornet.utils.errors import UserError


class Prepare(Protocol):
    """What turns an image into what an encoder takes: uint8 (H, W, 3) RGB, or (H, W) if ``grey`` -> float32."""

    @property
    def grey(self) -> bool: ...

    def __call__(self, image: np.ndarray) -> np.ndarray: ...


@runtime_checkable
class PrepareInSteps(Prepare, Protocol):
    """A :class:`Prepare` that first resizes, so that what is kept and altered is pixels, a quarter of the bytes."""

    def resized(self, image: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) -> (H', W', 3) on the scale 0 to 255, mostly uint8."""
        ...

    def normalised(self, image: np.ndarray) -> np.ndarray:
        """(H', W', 3) -> float32, as the whole gives it."""
        ...


NO_CONTRAST = "no contrast"


@dataclass(frozen=True)
class UnusableImage:
    """Image ``row`` of a source, which says nothing of its place: damaged, or of one colour."""

    row: int
    name: str
    reason: str

    @property
    def is_damaged(self) -> bool:
        """Whether it could not be decoded."""
        return self.reason != NO_CONTRAST


@dataclass
class ImageBatch:
    """Images ``start`` to ``stop`` of a source, prepared.

    Attributes:
        images: float32 (M, ...), those that can be used, in order; M may be 0.
        rows: (M,) where they are in the source.
        unusable: the others.
        decoded: (M' >= M,) rows of the images that could be decoded.
        shape: of all of those once prepared; None where there are none.
        odd: an image whose prepared shape differs from the first one's and so cannot be in a batch with it;
            ``images`` then ends before it.
    """

    start: int
    stop: int
    images: Tensor
    rows: list[int] = field(default_factory=list)
    unusable: list[UnusableImage] = field(default_factory=list)
    decoded: list[int] = field(default_factory=list)
    shape: tuple[int, ...] | None = None
    odd: str | None = None

    def pin_memory(self) -> "ImageBatch":
        self.images = self.images.pin_memory()
        return self


class _Batches(Dataset):
    """Item k is images [start + k * size, start + (k + 1) * size) of the source."""

    def __init__(self, source: ImageSource, prepare: Prepare, size: int, start: int) -> None:
        self.source, self.prepare, self.size, self.start = source, prepare, size, start

    def __len__(self) -> int:
        return -(-(len(self.source.names) - self.start) // self.size)

    def __getitem__(self, k: int) -> ImageBatch:
        with without_warnings():
            return self._batch(k)

    def _batch(self, k: int) -> ImageBatch:
        start = self.start + k * self.size
        stop = min(start + self.size, len(self.source.names))
        batch = ImageBatch(start, stop, torch.empty(0))
        arrays: list[np.ndarray] = []
        for row in range(start, stop):
            name = self.source.names[row]
            try:
                image = self.source.read(row, self.prepare.grey)
            except BadImageError as error:
                batch.unusable.append(UnusableImage(row, name, str(error)))
                continue
            array = self.prepare(image)
            if batch.shape not in (None, array.shape):
                batch.odd = name
                break
            batch.shape = array.shape
            batch.decoded.append(row)
            if is_flat(image):
                batch.unusable.append(UnusableImage(row, name, NO_CONTRAST))
                continue
            arrays.append(array)
            batch.rows.append(row)
        if arrays:
            batch.images = torch.from_numpy(np.stack(arrays))
        return batch


def image_batches(
    source: ImageSource,
    prepare: Prepare,
    *,
    size: int,
    start: int = 0,
    workers: int = 0,
    pin_memory: bool = False,
    background: bool = False,
) -> Iterator[ImageBatch]:
    """Batches of prepared images in order, from image ``start``, decoded by ``workers`` processes (0: this one).

    Where worker processes start anew instead of as copies of this one (macOS), they cannot import a plugin's classes,
    nor a notebook's: this process decodes for those.

    Which images share a batch depends on ``size`` and ``start`` only. At most two batches per worker wait in memory.
    With ``background`` the workers yield the cores to this process: a network on the CPU runs its threads in step, and
    one of them pushed aside holds up all.

    Raises:
        UserError: the machine's shared memory is too small for the batches.
    """
    workers = min(workers, source.max_workers)
    if workers and not _reaches_workers(prepare):
        workers = 0
    loader = DataLoader(
        _Batches(source, prepare, size, start),
        batch_size=None,
        num_workers=workers,
        pin_memory=pin_memory,
        prefetch_factor=2 if workers else None,
        worker_init_fn=partial(_limit_worker, background=background),
    )
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" in str(error) or "shared memory" in str(error):
            raise UserError(
                "a decoding worker was stopped by the system, most often for lack of (shared) memory: "
                "use a smaller `batch_size`, fewer `threads`, or `threads` -1"
            ) from error
        raise


def _reaches_workers(prepare: Prepare) -> bool:
    """Whether worker processes can unpickle ``prepare``."""
    if multiprocessing.get_start_method() == "fork":  # they have whatever this process has
        return True
    try:
        finder = _ModuleNames(io.BytesIO(pickle.dumps(prepare)))
        finder.load()
    except (pickle.PicklingError, AttributeError, TypeError):  # a lambda, a class inside a function
        return False
    return all(_can_be_imported(name) for name in finder.names)


class _ModuleNames(pickle.Unpickler):
    """Notes the modules that unpickling imports from. Only for what this process has pickled itself."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.names: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.names.add(module.partition(".")[0])
        return super().find_class(module, name)


def _can_be_imported(name: str) -> bool:
    """Whether another process finds a top-level module by its name; ``find_spec`` of this one knows it already."""
    if name == "__main__":
        return hasattr(sys.modules[name], "__file__")  # a script, which worker processes run again
    return any(finder.find_spec(name, None) is not None for finder in sys.meta_path)


def _limit_worker(worker: int, background: bool) -> None:
    """Let OpenCV in a worker use that worker's core alone, as PyTorch does there already, and lower its priority."""
    import cv2

    cv2.setNumThreads(0)
    if background and hasattr(os, "nice"):
        os.nice(19)
