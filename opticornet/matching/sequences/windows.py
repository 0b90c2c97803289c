"""Windows of frames to be matched, read from (memory-mapped) descriptors a tile at a time."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from opticornet.matching.distances import squared_norms
from opticornet.utils.mapped import RowMatrix, as_tensor, release

_SHORTEST = 1e-12  # frames shorter than this are not scaled up to unit length
_BLOCK = 1024  # frames measured at a time


@dataclass(frozen=True)
class SequenceSet:
    """Windows of ``length`` consecutive frames of one traverse.

    Attributes:
        frames: (N, D) float16 or float32 frame descriptors, array (may be memory-mapped) or tensor; read in tiles.
        starts: (M,) int64 first frame of each window; any order, repeats allowed.
        length: frames in a window, L.
        bounds: (M, 2) int64 half-open range of the frames a matcher may read for each window (its own sequence's), or
            None: all frames. Only matchers that look beyond the window need it.
        normalise: compare frames as if scaled to unit length. Distances of other than unit frames are allowed.
        squared: (N,) float32 squared norms of ``frames`` on a CPU, or None: each use computes what it needs anew.
        backwards: each window is read from its last frame to its first.
        anchor: position in a window, as read, of the frame that the window is of; None: its middle, ``length // 2``.
    """

    frames: RowMatrix | torch.Tensor
    starts: np.ndarray
    length: int
    bounds: np.ndarray | None = None
    normalise: bool = False
    squared: torch.Tensor | None = None
    backwards: bool = False
    anchor: int | None = None

    def __post_init__(self):
        if len(self.starts) == 0:
            raise ValueError("there is no window to match")
        first, last = int(self.starts.min()), int(self.starts.max()) + self.length
        if self.length < 1 or first < 0 or last > len(self.frames):
            raise ValueError(f"windows reach over frames {first} to {last} of {len(self.frames)}")
        if not 0 <= self.place < self.length:
            raise ValueError(f"the anchor {self.anchor} lies outside of windows of {self.length} frames")

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def place(self) -> int:
        """``anchor``, a number always."""
        return self.length // 2 if self.anchor is None else self.anchor

    def measured(self) -> "SequenceSet":
        """The same windows with ``squared`` known, for sets that are matched many times."""
        blocks = (np.arange(i, min(i + _BLOCK, len(self.frames))) for i in range(0, len(self.frames), _BLOCK))
        norms = []
        for numbers in blocks:
            norms.append(squared_norms(_read(self.frames, numbers, "cpu")))
            release(self.frames)
        return replace(self, squared=torch.cat(norms))

    def some(self, rows: slice) -> "SequenceSet":
        """Some of the windows, of the same frames."""
        bounds = None if self.bounds is None else self.bounds[rows]
        return replace(self, starts=self.starts[rows], bounds=bounds)

    def frames_around(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Frames of its own sequence before and after, as read, each of the ``windows`` (window numbers, any shape)."""
        starts = self.starts[windows]
        bounds = np.array([0, len(self.frames)]) if self.bounds is None else self.bounds[windows]
        before, after = starts - bounds[..., 0], bounds[..., 1] - starts - self.length
        return (after, before) if self.backwards else (before, after)


@dataclass(frozen=True)
class Strip:
    """The frames of some windows side by side, each frame once.

    Attributes:
        frames: (b, D) float32, before scaling.
        scale: (b,) float32 factors that bring frames to the length at which they are compared; None: as they are.
        squared: (b,) float32 squared norms after scaling.
        real: (b,) bool: not a stand-in for a frame before the first or after the last one of the traverse.
        positions: (S,) int64: the window ``starts[s]`` and its margins are the rows from ``positions[s]`` on.
    """

    frames: torch.Tensor
    scale: torch.Tensor | None
    squared: torch.Tensor
    real: torch.Tensor
    positions: np.ndarray


def read_strip(
    sequences: SequenceSet,
    starts: np.ndarray,
    *,
    margin: int = 0,
    device: str | torch.device = "cpu",
) -> Strip:
    """Read the frames of the windows that begin at ``starts`` (S,), and ``margin`` frames either side of each.

    Whatever the gaps between windows, the frames of one window are neighbours in the strip. Where windows are read
    backwards, so runs the strip.
    """
    wanted = starts[:, None] + np.arange(-margin, sequences.length + margin)
    numbers = np.unique(wanted)  # (b,)
    positions = np.searchsorted(numbers, wanted[:, 0])
    total = len(sequences.frames)
    rows = np.clip(numbers, 0, total - 1)
    frames = _read(sequences.frames, rows, device)
    if sequences.squared is None:
        squared = squared_norms(frames)
    else:
        squared = sequences.squared[torch.from_numpy(rows)].to(device)
    real = torch.from_numpy((numbers >= 0) & (numbers < total)).to(device)
    if sequences.backwards:
        frames, squared, real = frames.flip(0), squared.flip(0), real.flip(0)
        positions = len(numbers) - positions - wanted.shape[1]
    scale = None
    if sequences.normalise:
        scale = squared.sqrt().clamp_(min=_SHORTEST).reciprocal_()
        squared = squared * scale * scale
    return Strip(frames, scale, squared, real, positions)


def _read(frames: RowMatrix | torch.Tensor, numbers: np.ndarray, device: str | torch.device) -> torch.Tensor:
    """Rows ``numbers`` (never falling) as float32; consecutive rows of a float32 array are not copied."""
    consecutive = bool((np.diff(numbers) == 1).all())
    rows = slice(int(numbers[0]), int(numbers[-1]) + 1) if consecutive else numbers
    if isinstance(frames, torch.Tensor):
        return frames[rows].to(device=device, dtype=torch.float32)
    block = as_tensor(np.ascontiguousarray(frames[rows], np.float32)).to(device)
    if not consecutive:  # read into a copy
        release(frames)
    return block
