"""The images of a traverse as float32 tensors on a device, decoded and prepared only as they are needed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from opticornet.datasets.images.batches import Prepare, PrepareInSteps
from opticornet.datasets.images.decoding import BadImageError, without_warnings
from opticornet.datasets.images.kept import KeptArrays, most_scratch_bytes
from opticornet.datasets.images.levels import find_levels
from opticornet.datasets.images.recordings import frame_exists
from opticornet.datasets.images.sources import ImageFiles, ImageSource, JoinedImages
from opticornet.datasets.traverse import Traverse
from opticornet.utils.errors import UserError

CACHE_BYTES = 256 << 20  # that one source keeps where frames are read in order
BLOCK_BYTES = 64 << 20  # of prepared frames that are asked for at a time
MAX_THREADS = 8

Made = TypeVar("Made")


class ImageFrames:
    """The N images of a source, prepared for an encoder, served in rows and windows: a ``FrameSource``.

    An image is decoded once as long as its frame, resized and not yet normalised where ``prepare`` has such steps, is
    among those used last that ``cache_bytes`` hold: neighbouring windows share frames, and so do epochs.

    Args:
        source: the images; read from several threads at once where its ``max_workers`` allow it.
        prepare: what turns an image into a frame (3, H, W); all frames get one shape.
        device: where frames are served.
        cache_bytes: the most that kept frames take, in a file without a name; 0 keeps none.
        threads: how many images are decoded at a time: threads, as decoding holds no lock and processes would have to
            hand over every pixel.
    """

    def __init__(
        self,
        source: ImageSource,
        prepare: Prepare,
        device: torch.device,
        *,
        cache_bytes: int = CACHE_BYTES,
        threads: int = 1,
    ) -> None:
        self.source, self.prepare, self.device = source, prepare, device
        self.cache_bytes, self.threads = cache_bytes, min(threads, source.max_workers)
        self._resize: Callable[[np.ndarray], np.ndarray] = prepare
        self._normalise: Callable[[np.ndarray], np.ndarray] = np.asarray
        if isinstance(prepare, PrepareInSteps):
            self._resize, self._normalise = prepare.resized, prepare.normalised

    @classmethod
    def of(cls, traverse: Traverse, prepare: Prepare, device: torch.device, keep_all: bool = False) -> "ImageFrames":
        """The images of a traverse, decoded on as many threads as PyTorch uses, at most :data:`MAX_THREADS`.

        With ``keep_all``, for frames that are asked for again and in any order, as many are kept as half of the free
        space in the system's folder for temporary files holds; else :data:`CACHE_BYTES`.

        Deep ones are scaled by the range that the whole drive fills (``levels.py``), as extraction does by default.

        Raises:
            UserError: the traverse names no images, or those of its drives become frames of different sizes.
        """
        traverse.need_images()
        files = [_files_of(drive) for drive in traverse.parts]
        source = files[0] if len(files) == 1 else JoinedImages(tuple(files))
        cache_bytes = most_scratch_bytes() if keep_all else CACHE_BYTES
        threads = min(MAX_THREADS, torch.get_num_threads())
        frames = cls(source, prepare, device, cache_bytes=cache_bytes, threads=threads)
        frames._check_drives(traverse)
        return frames

    def __len__(self) -> int:
        return len(self.source.names)

    @cached_property
    def frame_shape(self) -> tuple[int, ...]:
        """(3, H, W) of every frame: that of the first one, which this decodes.

        Raises:
            UserError: it cannot be decoded.
        """
        return self._normalise(self._first).shape

    @cached_property
    def _first(self) -> np.ndarray:
        """The first image, resized."""
        with without_warnings():
            return self._resized(0)

    @cached_property
    def _kept(self) -> KeptArrays:
        kept = KeptArrays(self._first, self.cache_bytes)
        kept.keep(0, self._first)
        return kept

    @property
    def frame_bytes(self) -> int:
        """Of one frame as float32."""
        return 4 * int(np.prod(self.frame_shape))

    @property
    def block(self) -> int:
        """How many windows to ask for at a time: neighbouring ones, which share all but one frame."""
        return max(1, BLOCK_BYTES // self.frame_bytes)

    def rows(self, start: int, stop: int) -> Tensor:
        """Frames ``[start, stop)``: (stop - start, 3, H, W) float32.

        Raises:
            UserError: an image cannot be decoded, or its frame has another shape than the first one's.
        """
        return self._frames(range(start, stop))

    def windows(self, starts: Tensor, length: int) -> Tensor:
        """The windows ``[starts, starts + length)``: (B,) int64 on the CPU to (B, length, 3, H, W) float32.

        Raises:
            UserError: as :meth:`rows`.
        """
        index = starts[:, None] + torch.arange(length)  # (B, L)
        return self._frames(index.flatten().tolist()).unflatten(0, index.shape)

    def around(self, starts: np.ndarray, length: int) -> tuple[Tensor, Tensor]:
        """The frames of the windows and no others: (M, 3, H, W), and (B,) starts among them.

        Raises:
            UserError: as :meth:`rows`.
        """
        distinct = np.unique(starts[:, None] + np.arange(length))  # rising, so a window's frames stay neighbours
        frames = self._frames(distinct.tolist())
        return frames, torch.from_numpy(np.searchsorted(distinct, starts)).to(self.device)

    @property
    def has_pixels(self) -> bool:
        """Whether frames are uint8 (H, W, 3) before they are normalised."""
        return self._first.dtype == np.uint8 and self._first.shape[2:] == (3,)

    def altered(self, rows: np.ndarray, alter: Callable[[Tensor], Tensor]) -> Tensor:
        """Windows of any frames, the pixels of each window altered together before they are normalised.

        Args:
            rows: (B, L) int64.
            alter: called for each window in turn: uint8 (L, 3, H, W) to the same.

        Returns:
            (B, L, 3, H, W) float32.

        Raises:
            UserError: as :meth:`rows`.
            ValueError: the frames are no pixels before they are frames.
        """
        if not self.has_pixels:
            raise ValueError("images are prepared in one step, so that there are no pixels to alter")
        pixels = self._pixels(rows.ravel().tolist())
        frames = np.empty((*rows.shape, *self.frame_shape), np.float32)
        for window, some in zip(frames, rows.tolist(), strict=True):
            images = torch.from_numpy(np.stack([pixels[row] for row in some]))  # (L, H, W, 3)
            changed = alter(images.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            for frame, image in zip(window, changed.numpy(), strict=True):
                frame[:] = self._normalise(image)
        return torch.from_numpy(frames).to(self.device)

    def _frames(self, rows: Sequence[int]) -> Tensor:
        """Rows (U,), perhaps repeated, to (U, 3, H, W)."""
        frames, pixels = np.empty((len(rows), *self.frame_shape), np.float32), self._pixels(rows)

        def fill(place: int) -> None:
            frames[place] = self._normalise(pixels[rows[place]])

        self._in_threads(fill, range(len(rows)))
        return torch.from_numpy(frames).to(self.device)

    def _pixels(self, rows: Sequence[int]) -> dict[int, np.ndarray]:
        """The images of rows, resized; those that are not kept are decoded, and kept."""
        found = {row: self._kept.get(row) for row in dict.fromkeys(rows)}
        missing = [row for row, kept in found.items() if kept is None]
        with without_warnings():
            decoded = dict(zip(missing, self._in_threads(self._resized, missing), strict=True))
        for row, pixels in decoded.items():
            if pixels.shape != self._first.shape:
                raise UserError(
                    f"the image {self.source.names[row]} becomes a frame of {_size(self._normalise(pixels).shape)}, "
                    f"the first of its traverse one of {_size(self.frame_shape)}: give images of one size, or choose a "
                    "method that resizes them"
                )
            self._kept.keep(row, pixels)
        return {row: decoded[row] if kept is None else kept for row, kept in found.items()}

    def _in_threads(self, function: Callable[[int], Made], items: Sequence[int]) -> list[Made]:
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(function, items))

    def _resized(self, row: int) -> np.ndarray:
        try:
            return self._resize(self.source.read(row, self.prepare.grey))
        except BadImageError as error:
            raise UserError(
                f"cannot decode the image {self.source.names[row]}: {error}; repair it, or leave its frame out of the "
                "dataset"
            ) from error

    def _check_drives(self, traverse: Traverse) -> None:
        """Whether the first images of all drives become frames of one size; of one drive that is seen as it is read."""
        first, *others = traverse.drives
        for drive in others:
            if (shape := self._normalise(self._resized(drive.start)).shape) != self.frame_shape:
                raise UserError(
                    f"frames of {first.name} are {_size(self.frame_shape)}, those of {drive.name} {_size(shape)}: give "
                    "images of one size, or choose a method that resizes them"
                )


def _files_of(drive: Traverse) -> ImageFiles:
    """The images of one drive, with its own levels."""
    images = drive.need_images()
    levels = find_levels([ImageFiles(Path(), drive.drive_images or images)])
    return ImageFiles(Path(), images, levels=levels, crop=drive.crop)


def check_image_files(traverse: Traverse) -> None:
    """Raise :class:`UserError` where a traverse names no images, or names files that do not exist."""
    traverse.need_images()
    for drive in traverse.parts:
        if missing := missing_images(drive.need_images()):
            raise UserError(
                f"traverse {drive.name}: {len(missing)} of its {len(drive)} images do not exist, first {missing[0]}; "
                f"put them back, or correct the paths in {drive.images_source or 'the traverse'}"
            )


def missing_images(paths: Sequence[str]) -> list[str]:
    """Those that are no files."""
    return [path for path in paths if not frame_exists(Path(path))]


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
