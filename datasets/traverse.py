"""What a traverse is: one drive along a route, and what a split of two of them is.

Nothing here reads a file. Readers (``folder/``, ``seqnet/layout.py``, ``synthetic.py``) make these objects; every step
takes them.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from opticornet.datasets.images.cropping import Crop
from opticornet.datasets.positives import Positives
from opticornet.utils.errors import UserError
from opticornet.utils.mapped import RowMatrix

Units = Literal["metres", "frames"]
FrameKind = Literal["descriptors", "images"]


@dataclass(frozen=True)
class Drive:
    """The rows ``[start, stop)`` of a traverse that one drive gave.

    Attributes:
        name: what the user calls it ("summer").
        source, images_source, undescribed, drive_images, first_row: as of a :class:`Traverse` of it alone.
    """

    name: str
    start: int
    stop: int
    source: str = ""
    images_source: str = ""
    undescribed: str = ""
    drive_images: tuple[str, ...] | None = None
    first_row: int = 0

    def __len__(self) -> int:
        return self.stop - self.start

    def cut(self, start: int, stop: int) -> "Drive":
        """What the rows ``[start, stop)`` of the traverse hold of it, which is something."""
        low = max(self.start, start)
        first_row = self.first_row + low - self.start
        return replace(self, start=low - start, stop=min(self.stop, stop) - start, first_row=first_row)


@dataclass(frozen=True)
class Traverse:
    """Frames of one drive, in order, or of several, one after the other: their descriptors, their images, or both.

    Attributes:
        name: what the user calls it ("summer").
        descriptors: (N, D) float16 or float32, usually memory-mapped; never copied whole. None where there are images
            only.
        positions: (N, P) float64 in ``units``; P is 1 (frame numbers) or 2 or 3 (metres). A row of NaN: the frame's
            position is not known; windows see the frame, and it is neither a query nor a place.
        units: "metres" or "frames".
        bounds: (N, 2) int64, half-open range ``[lo, hi)`` of rows of each frame's own sequence.
        names: N frame names, or None (then a frame's name is its row number).
        timestamps: (N,) float64 seconds, or None.
        images: N image paths, or None.
        drive_images: of a cut: the image paths of the whole drive; None: ``images`` are all.
        source: where the descriptors (without any: the images) came from, a path or "synthetic", for messages and
            records.
        local_features: (N, R, C) float16 or float32 local features of each frame, R unit rows, unused ones zero,
            memory-mapped; or None.
        lat_lon: (N, 2) float64 degrees, where positions were made from them; or None.
        images_source: the folder of the images or the table that lists them, for messages and records.
        crop: the part of each image that is taken where frames are images; None: all of it.
        first_row: row of the first frame in the traverse that this one was cut from.
        joined: the drives that it was joined from (``drives.py``); empty: it is one drive.
        undescribed: why there are no descriptors and what to do, for messages; empty where there are.
        scored: (N,) bool, frames that are queries or places; windows see the others too. None: all.
        usable: (N,) bool, False where a frame is damaged or shows nothing: no window may hold it. None: all.
        filled: (N,) bool, frames whose descriptor was made from their neighbours' (``filling.py``). None: none.
    """

    name: str
    descriptors: RowMatrix | None
    positions: np.ndarray
    units: Units
    bounds: np.ndarray
    names: tuple[str, ...] | None = None
    timestamps: np.ndarray | None = None
    images: tuple[str, ...] | None = None
    source: str = ""
    local_features: RowMatrix | None = None
    lat_lon: np.ndarray | None = None
    images_source: str = ""
    undescribed: str = ""
    drive_images: tuple[str, ...] | None = None
    scored: np.ndarray | None = None
    usable: np.ndarray | None = None
    filled: np.ndarray | None = None
    crop: Crop | None = None
    first_row: int = 0
    joined: tuple[Drive, ...] = ()

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def dims(self) -> int:
        """D, the length of a frame descriptor; raises as :meth:`need_descriptors` does."""
        return self.need_descriptors().shape[1]

    @property
    def drives(self) -> tuple[Drive, ...]:
        """The drives it consists of, in the order of its rows."""
        return self.joined or (Drive(self.name, 0, len(self), first_row=self.first_row),)

    @property
    def parts(self) -> tuple["Traverse", ...]:
        """Its drives, each as a traverse of its own; the traverse itself where it is one."""
        return tuple(map(self._part, self.joined)) or (self,)

    @property
    def drive_numbers(self) -> np.ndarray:
        """(N,) int64: which of ``drives`` each frame is of."""
        return np.repeat(np.arange(len(self.drives)), list(map(len, self.drives)))

    @property
    def drive_bounds(self) -> np.ndarray:
        """(N, 2) int64: the half-open range of rows of each frame's own drive."""
        return np.array([(drive.start, drive.stop) for drive in self.drives])[self.drive_numbers]

    @property
    def drive_rows(self) -> np.ndarray:
        """(N,) int64: each frame's row in the whole drive that it is of."""
        return np.concatenate([drive.first_row + np.arange(len(drive)) for drive in self.drives])

    @property
    def placed(self) -> np.ndarray:
        """(N,) bool: frames whose position is known."""
        return ~np.isnan(self.positions).any(axis=1)

    @property
    def is_scored(self) -> np.ndarray:
        """(N,) bool: ``scored``, all where that is None."""
        return np.ones(len(self), bool) if self.scored is None else self.scored

    @property
    def is_usable(self) -> np.ndarray:
        """(N,) bool: ``usable``, all where that is None."""
        return np.ones(len(self), bool) if self.usable is None else self.usable

    def need_descriptors(self) -> RowMatrix:
        """The descriptors.

        Raises:
            UserError: there are images only.
        """
        if self.descriptors is None:
            lacking = next((drive for drive in self.drives if drive.undescribed), self)
            raise UserError(
                f"traverse {lacking.name} has images only, and this needs frame descriptors: "
                f"{lacking.undescribed or 'extract them, or choose a method that takes images'}"
            )
        return self.descriptors

    def need_images(self) -> tuple[str, ...]:
        """The image paths.

        Raises:
            UserError: there are descriptors only.
        """
        if self.images is None:
            raise UserError(
                f"traverse {self.name} has descriptors only ({self.source or 'an array'}), and this needs images: name "
                "them in the dataset.toml (docs/datasets.md), or choose a method that takes descriptors"
            )
        return self.images

    def cut(self, start: int, stop: int) -> "Traverse":
        """Rows ``[start, stop)`` as a traverse of their own: a view, whose bounds are clipped to the cut."""
        rows = slice(start, stop)
        return replace(
            self,
            descriptors=None if self.descriptors is None else self.descriptors[rows],
            positions=self.positions[rows],
            bounds=np.clip(self.bounds[rows], start, stop) - start,
            names=self.names and self.names[rows],
            timestamps=None if self.timestamps is None else self.timestamps[rows],
            images=self.images and self.images[rows],
            drive_images=self.drive_images or self.images,
            lat_lon=None if self.lat_lon is None else self.lat_lon[rows],
            local_features=None if self.local_features is None else self.local_features[rows],
            scored=None if self.scored is None else self.scored[rows],
            usable=None if self.usable is None else self.usable[rows],
            filled=None if self.filled is None else self.filled[rows],
            first_row=self.first_row + start,
            joined=tuple(drive.cut(start, stop) for drive in self.joined if drive.start < stop and start < drive.stop),
        )

    def _part(self, drive: Drive) -> "Traverse":
        return replace(
            self.cut(drive.start, drive.stop),
            name=drive.name,
            source=drive.source,
            images_source=drive.images_source,
            undescribed=drive.undescribed,
            drive_images=drive.drive_images,
            first_row=drive.first_row,
            joined=(),
        )


@dataclass(frozen=True)
class Split:
    """A reference and a query traverse and what counts as the same place between them.

    Attributes:
        name: "train", "val" or "test".
        reference, query: the traverses, already cut to the split's rows, in the same ``units``; descriptors of the same
            dimension.
        positive_radius: test: a match within it (inclusive) is correct; training: positives lie within it. None
            where ``positives`` says what is correct instead, or nothing does (:attr:`has_truth`).
        negative_radius: training: negatives lie beyond it (exclusive); of ``positives``, in reference rows. None where
            the split is never trained on.
        positives: instead of a radius, the correct reference rows of each query (rows of the cut); or None.
        unequal_rows: two of the whole drives, each by name and frames, where positions are their rows' numbers for want
            of anything else, the numbers differ, and nothing says that equal rows are equal places all the same; else
            None.
    """

    name: str
    reference: Traverse
    query: Traverse
    positive_radius: float | None
    negative_radius: float | None = None
    positives: Positives | None = None
    unequal_rows: tuple[tuple[str, int], tuple[str, int]] | None = None

    @property
    def units(self) -> Units:
        return self.reference.units

    @property
    def sides(self) -> tuple[Traverse, Traverse]:
        """Reference and query."""
        return self.reference, self.query

    @property
    def has_truth(self) -> bool:
        """Whether the split says what is correct; otherwise it can be answered, but neither scored nor trained on."""
        return self.positive_radius is not None or self.positives is not None

    def require_places(self, where: str) -> None:
        """Raise :class:`UserError` where the rows of two drives of different length are taken as places; ``where``
        begins the message."""
        if self.unequal_rows is not None:
            (one, frames), (other, other_frames) = self.unequal_rows
            raise UserError(
                f"{where}: {one} has {frames} frames and {other} {other_frames}, none with a position, so row i of "
                f"both cannot be taken as one place; give positions, or, where it is, rows_are_places = true in "
                f"[splits.{self.name}]"
            )


@dataclass(frozen=True)
class Dataset:
    """A named set of splits, e.g. ``Dataset("nordland-1k", {"train": ..., "val": ..., "test": ...})``."""

    name: str
    splits: dict[str, Split]
