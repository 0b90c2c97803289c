"""Windows of frames to be matched, read from (memory-mapped) descriptors a tile at a time."""

from dataclasses import dataclass

import numpy as np
import torch

from matching.distances import squared_norms


@dataclass(frozen=True)
class SequenceSet:
    """Windows of ``length`` consecutive frames of one traverse.

    Attributes:
        frames: (N, D) float16 or float32 frame descriptors, array (may be memory-mapped) or tensor; read in tiles.
        starts: (M,) int64 first frame of each window; any order, repeats allowed.
        length: frames in a window, L.
        bounds: (M, 2) int64 half-open range of the frames a matcher may read for each window (its own sequence's), or
            None: all frames. Only matchers that look beyond the window need it.
        normalise: scale frames to unit length as they are read. Distances of other than unit frames are allowed.
    """

    frames: np.ndarray | torch.Tensor
    starts: np.ndarray
    length: int
    bounds: np.ndarray | None = None
    normalise: bool = False

    def __post_init__(self):
        if len(self.starts) == 0:
            raise ValueError("there is no window to match")
        first, last = int(self.starts.min()), int(self.starts.max()) + self.length
        if self.length < 1 or first < 0 or last > len(self.frames):
            raise ValueError(f"windows reach over frames {first} to {last} of {len(self.frames)}")

    def __len__(self) -> int:
        return len(self.starts)

    def room(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Frames of its own sequence before and after each of the ``windows`` (any shape of window numbers)."""
        starts = self.starts[windows]
        if self.bounds is None:
            return starts, len(self.frames) - starts - self.length
        bounds = self.bounds[windows]
        return starts - bounds[..., 0], bounds[..., 1] - starts - self.length


@dataclass(frozen=True)
class Strip:
    """The frames of some windows side by side, each frame once.

    Attributes:
        frames: (b, D) float32.
        squared: (b,) float32 squared norms.
        real: (b,) bool: not a stand-in for a frame before the first or after the last one of the traverse.
        positions: (S,) int64: the window ``starts[s]`` and its margins are the rows from ``positions[s]`` on.
    """

    frames: torch.Tensor
    squared: torch.Tensor
    real: torch.Tensor
    positions: np.ndarray


def read_strip(
    sequences: SequenceSet,
    starts: np.ndarray,
    *,
    margin: int = 0,
    reverse: bool = False,
    device: str | torch.device = "cpu",
) -> Strip:
    """Read the frames of the windows that begin at ``starts`` (S,), and ``margin`` frames either side of each.

    Whatever the gaps between windows, the frames of one window are neighbours in the strip. With ``reverse`` the
    strip, and so each window, runs backwards.
    """
    wanted = starts[:, None] + np.arange(-margin, sequences.length + margin)
    numbers = np.unique(wanted)  # (b,)
    positions = np.searchsorted(numbers, wanted[:, 0])
    total = len(sequences.frames)
    frames = _read(sequences.frames, np.clip(numbers, 0, total - 1), device)
    if sequences.normalise:
        frames = torch.nn.functional.normalize(frames, dim=1)
    real = torch.from_numpy((numbers >= 0) & (numbers < total)).to(device)
    if reverse:
        frames, real = frames.flip(0), real.flip(0)
        positions = len(numbers) - positions - wanted.shape[1]
    return Strip(frames, squared_norms(frames), real, positions)


def _read(frames: np.ndarray | torch.Tensor, numbers: np.ndarray, device: str | torch.device) -> torch.Tensor:
    """Rows ``numbers`` (ascending) as float32; consecutive rows of an array that already is float32 are not copied."""
    consecutive = numbers[-1] - numbers[0] + 1 == len(numbers)
    rows = slice(int(numbers[0]), int(numbers[-1]) + 1) if consecutive else numbers
    if isinstance(frames, torch.Tensor):
        return frames[rows].to(device=device, dtype=torch.float32)
    return torch.from_numpy(np.require(frames[rows], np.float32, "CW")).to(device)
