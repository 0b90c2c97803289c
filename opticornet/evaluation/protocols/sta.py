"""The released evaluation code of STA ("Spatio-Temporal SeqVPR", RA-L 2024), with its quirks.

Frames of a window are consecutive, none of it is moved, and a match is right where the middle frames lie within the
radius: so far ``seqL_filterData`` gives the same. Beyond that the code

- takes as the middle of every reference its third frame, which it is of 5 frames only;
- rounds positions to float32: half a metre of a northing;
- keeps the numbers of frames near a query in a list that is read as numbers of reference windows, so that training
  takes windows of the query's own place for negatives, and spares others.
"""

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import ClassVar, Literal

import numpy as np

from opticornet.datasets.folder.tables import run_bounds
from opticornet.datasets.positives import Positives
from opticornet.datasets.traverse import Split, Traverse
from opticornet.datasets.windows import Windows
from opticornet.evaluation.protocols.base import Protocol
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

REFERENCE_COLUMN = 2  # of the frame that stands for a reference window


@dataclass(frozen=True, kw_only=True)
class StaProtocol(Protocol):
    """``sta``: as the released evaluation code of STA."""

    name: ClassVar[str] = "sta"
    has_windows: ClassVar[bool] = True
    cut_last_frame: bool = option(
        "--cutLastFrame", False, "windows of an even length: those of one frame more, without their last"
    )
    reverse_frames: bool = option("--reverseFrames", False, "read the frames of reference windows backwards")

    def placed(self, split: Split) -> Split:
        """With positions in float32.

        Raises:
            UserError: a table says what is correct.
        """
        if split.positives is not None:
            raise UserError(
                f"split {split.name} has a table of positives, and `protocol` sta judges by a radius; leave it out"
            )
        return replace(split, reference=_in_float32(split.reference), query=_in_float32(split.query))

    def windows(self, traverse: Traverse, length: int, role: Literal["reference", "query"]) -> Windows:
        built = self.built_length(length)
        starts = starts_of_windows(folder_bounds(traverse), traverse.bounds, built)
        rows = starts + (REFERENCE_COLUMN if role == "reference" else built // 2)
        kept = (traverse.is_scored & traverse.placed)[rows]
        windows = Windows(traverse, length, rows[kept], starts[kept])
        usable = windows.usable()
        windows = replace(
            windows,
            rows=windows.rows[usable],
            starts=windows.starts[usable],
            unusable=int((~usable).sum()),
            backwards=self.reverse_frames and role == "reference",
        )
        if not len(windows):
            raise UserError(
                f"`sequence_length` {length} leaves no window of {traverse.name}, whose longest sequence has "
                f"{np.diff(traverse.bounds).max()} frames; choose a smaller one"
            )
        return windows

    def built_length(self, length: int) -> int:
        """Frames of a window before its last is cut.

        Raises:
            UserError: the code has no such windows.
        """
        if self.cut_last_frame and length % 2:
            raise UserError(f"`cut_last_frame` is for even lengths, and `sequence_length` is {length}; leave it out")
        built = length + self.cut_last_frame
        if built <= REFERENCE_COLUMN:
            raise UserError(
                f"`sequence_length` {length}: `protocol` sta takes a reference's third frame for its place; choose at "
                "least 3"
            )
        return built

    def excluded(self, queries: Windows, references: Windows, radius: float) -> Positives:
        """The wrong ones: numbers of frames among those of any window, taken for frames, and their places among these
        for references."""
        steps = np.arange(self.built_length(queries.length))
        frames = np.unique(references.starts[:, None] + steps)
        places = references.traverse.positions[frames]
        asked = (queries.starts[:, None] + steps).ravel()
        near = Positives.within(queries.traverse.positions[asked], places, radius)
        pairs = np.unique(np.stack([near.queries // len(steps), near.rows], axis=1), axis=0)
        numbers = np.searchsorted(frames, pairs[:, 1])
        found = (numbers < len(frames)) & (frames[np.minimum(numbers, len(frames) - 1)] == pairs[:, 1])
        found &= numbers < len(references)
        return Positives.of_pairs(pairs[found, 0], numbers[found], len(queries))

    def window_rule(self, windows: Windows) -> str:
        parts = ["as released with STA: whole windows of consecutive frames"]
        parts += ["the last of one frame more cut"] * self.cut_last_frame
        parts += ["references read backwards"] * self.reverse_frames
        return "; ".join(parts)


def starts_of_windows(folders: np.ndarray, bounds: np.ndarray, length: int) -> np.ndarray:
    """First frames of all windows, (M,) int64 rising.

    A window is of each frame with ``length // 2`` frames before and after it in its folder, and begins that many frames
    before it, of even lengths one later.

    Args:
        folders: (N, 2) int64 half-open range of each frame's folder.
        bounds: (N, 2) int64, likewise, of its run of consecutive frame numbers, which a window does not leave.
        length: frames per window.
    """
    half, frames = length // 2, np.arange(len(bounds))
    starts = frames - half + (length + 1) % 2
    centred = (frames - half >= folders[:, 0]) & (frames + half < folders[:, 1])
    return starts[centred & (starts >= bounds[:, 0]) & (starts + length <= bounds[:, 1])]


def folder_bounds(traverse: Traverse) -> np.ndarray:
    """(N, 2) int64 half-open range of the frames in each frame's folder, by their names; of frames without names, of
    their sequence."""
    if traverse.names is None:
        return traverse.bounds
    return run_bounds(np.array([str(PurePosixPath(name).parent) for name in traverse.names]))


def _in_float32(traverse: Traverse) -> Traverse:
    return replace(traverse, positions=traverse.positions.astype(np.float32).astype(np.float64))
