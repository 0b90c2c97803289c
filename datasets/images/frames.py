"""The images of a traverse as float32 tensors on a device, decoded and prepared only as they are needed."""

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from opticornet.datasets.images.batches import Prepare
from opticornet.datasets.images.decoding import BadImageError, without_warnings
from opticornet.datasets.images.levels import find_levels
from opticornet.datasets.images.recordings import frame_exists
from opticornet.datasets.images.sources import ImageFiles, ImageSource, JoinedImages
from opticornet.datasets.traverse import Traverse
from opticornet.utils.errors import UserError

CACHE_BYTES = 256 << 20  # of prepared frames that one source keeps
BLOCK_BYTES = 64 << 20  # of prepared frames that are asked for at a time
MAX_THREADS = 8


class ImageFrames:
    """The N images of a source, prepared for an encoder, served in rows and windows: a ``FrameSource``.

    The frames used last stay in memory, up to ``cache_bytes`` of them: neighbouring windows share frames.

    Args:
        source: the images; read from several threads at once where its ``max_workers`` allow it.
        prepare: what turns an image into a frame (3, H, W); all frames get one shape.
        device: where frames are served.
        cache_bytes: the most that frames kept in memory take; 0 keeps none.
        threads: how many images are decoded at a time.
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
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()  # by row, the one used last at the end

    @classmethod
    def of(cls, traverse: Traverse, prepare: Prepare, device: torch.device) -> "ImageFrames":
        """The images of a traverse, decoded on as many threads as PyTorch uses, at most :data:`MAX_THREADS`.

        Deep ones are scaled by the range that the whole drive fills (``levels.py``), as extraction does by default.

        Raises:
            UserError: the traverse names no images, or those of its drives become frames of different sizes.
        """
        traverse.need_images()
        files = [_files_of(drive) for drive in traverse.parts]
        source = files[0] if len(files) == 1 else JoinedImages(tuple(files))
        frames = cls(source, prepare, device, threads=min(MAX_THREADS, torch.get_num_threads()))
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
        with without_warnings():
            return self._prepared(0).shape

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
        distinct, place = index.unique(return_inverse=True)
        return self._frames(distinct.tolist())[place.to(self.device)]

    def around(self, starts: np.ndarray, length: int) -> tuple[Tensor, Tensor]:
        """The frames of the windows and no others: (M, 3, H, W), and (B,) starts among them.

        Raises:
            UserError: as :meth:`rows`.
        """
        distinct = np.unique(starts[:, None] + np.arange(length))  # rising, so a window's frames stay neighbours
        frames = self._frames(distinct.tolist())
        return frames, torch.from_numpy(np.searchsorted(distinct, starts)).to(self.device)

    def _frames(self, rows: Sequence[int]) -> Tensor:
        """Distinct rows, (U,) to (U, 3, H, W)."""
        frames = np.empty((len(rows), *self.frame_shape), np.float32)
        missing = []
        for place, row in enumerate(rows):
            kept = self._kept.get(row)
            if kept is None:
                missing.append(place)
            else:
                frames[place] = kept
                self._kept.move_to_end(row)

        def fill(place: int) -> None:
            frame = self._prepared(rows[place])
            if frame.shape != self.frame_shape:
                raise UserError(
                    f"the image {self.source.names[rows[place]]} becomes a frame of {_size(frame.shape)}, the first of "
                    f"its traverse one of {_size(self.frame_shape)}: give images of one size, or choose a method that "
                    "resizes them"
                )
            frames[place] = frame

        with without_warnings(), ThreadPoolExecutor(self.threads) as pool:
            for _ in pool.map(fill, missing):
                pass
        for place in missing:
            self._keep(rows[place], frames[place])
        return torch.from_numpy(frames).to(self.device)

    def _prepared(self, row: int) -> np.ndarray:
        try:
            return self.prepare(self.source.read(row, self.prepare.grey))
        except BadImageError as error:
            raise UserError(
                f"cannot decode the image {self.source.names[row]}: {error}; repair it, or leave its frame out of the "
                "dataset"
            ) from error

    def _check_drives(self, traverse: Traverse) -> None:
        """Whether the first images of all drives become frames of one size; of one drive that is seen as it is read."""
        first, *others = traverse.drives
        for drive in others:
            if (shape := self._prepared(drive.start).shape) != self.frame_shape:
                raise UserError(
                    f"frames of {first.name} are {_size(self.frame_shape)}, those of {drive.name} {_size(shape)}: give "
                    "images of one size, or choose a method that resizes them"
                )

    def _keep(self, row: int, frame: np.ndarray) -> None:
        most = self.cache_bytes // self.frame_bytes
        if most:
            self._kept[row] = frame.copy()
        while len(self._kept) > most:
            self._kept.popitem(last=False)


def _files_of(drive: Traverse) -> ImageFiles:
    """The images of one drive, with its own levels."""
    images = drive.need_images()
    return ImageFiles(Path(), images, levels=find_levels([ImageFiles(Path(), drive.drive_images or images)]))


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
