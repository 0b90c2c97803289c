"""Which frames a window holds.

Frame ``i`` with sequence length ``L`` looks at frames ``[i - L//2, i + L - L//2)``, shifted back inside its own
sequence where it would leave it (SeqNet's rule), so every frame has a window.
"""

from dataclasses import dataclass, replace

import numpy as np

from opticornet.datasets.traverse import Traverse
from opticornet.utils.errors import UserError


def window_starts(index: np.ndarray, bounds: np.ndarray, length: int) -> np.ndarray:
    """First frame of some frames' windows.

    Args:
        index: (M,) int64 frames.
        bounds: (M, 2) int64 half-open range of each one's own sequence, which holds at least ``length`` frames.
        length: frames per window, L.

    Returns:
        (M,) int64; the window of ``index[i]`` is ``[starts[i], starts[i] + length)``.
    """
    return np.clip(index - length // 2, bounds[:, 0], bounds[:, 1] - length)


def inside(bounds: np.ndarray, length: int) -> np.ndarray:
    """(N,) bool: frames whose unshifted window of ``length`` stays within their own sequence.

    These are the frames that a filter of ``length`` keeps.
    """
    first = np.arange(len(bounds)) - length // 2
    return (first >= bounds[:, 0]) & (first + length <= bounds[:, 1])


@dataclass(frozen=True)
class Windows:
    """The windows of a traverse that take part.

    Attributes:
        traverse: where the frames are.
        length: frames per window, L.
        rows: (M,) int64 rows of the traverse whose windows these are.
        starts: (M,) int64 first frame of each window.
        backwards: each window is read from its last frame to its first.
        is_mirrored: these are :meth:`mirrored` windows.
    """

    traverse: Traverse
    length: int
    rows: np.ndarray
    starts: np.ndarray
    backwards: bool = False
    is_mirrored: bool = False

    @classmethod
    def of(cls, traverse: Traverse, length: int, filter_length: int = 0) -> "Windows":
        """Every frame's window; with ``filter_length`` only of frames that pass :func:`inside`.

        Raises:
            UserError: a sequence is shorter than ``length``, or the filter leaves no frame.
        """
        rows = np.flatnonzero(inside(traverse.bounds, filter_length)) if filter_length else np.arange(len(traverse))
        if not len(rows):
            raise UserError(
                f"`filter_length` {filter_length} leaves no frame of {traverse.name}: its {len(traverse)} frames "
                "lie in sequences too short for it; choose a smaller one"
            )
        return cls._of_rows(traverse, length, rows)

    def with_length(self, length: int, argument: str = "length") -> "Windows":
        """The same frames' windows of another length, which ``argument`` asked for.

        Raises:
            UserError: a sequence is shorter than ``length``.
        """
        windows = replace(self._of_rows(self.traverse, length, self.rows, argument), backwards=self.backwards)
        return windows.mirrored() if self.is_mirrored else windows

    @classmethod
    def _of_rows(
        cls, traverse: Traverse, length: int, rows: np.ndarray, argument: str = "sequence_length"
    ) -> "Windows":
        bounds = traverse.bounds[rows]
        shortest = int(np.diff(bounds, axis=1).min())
        if shortest < length:
            raise UserError(
                f"`{argument}` {length} is above the shortest sequence of {traverse.name}, which has {shortest} "
                f"frames; choose `{argument}` {shortest} or less, or drop short sequences with `filter_length` {length}"
            )
        return cls(traverse, length, rows, window_starts(rows, bounds, length))

    def mirrored(self) -> "Windows":
        """The windows that the same frames would have, were the traverse driven the other way.

        Of a centred window of even length, one frame more lies behind its frame than before it instead of the other way
        round; windows at a sequence's ends stay where they are.
        """
        bounds = self.traverse.bounds[self.rows]
        if self.is_mirrored:
            return replace(self, starts=window_starts(self.rows, bounds, self.length), is_mirrored=False)
        ends = bounds.sum(axis=1)  # the frame at i becomes the one at ends - 1 - i
        starts = ends - self.length - window_starts(ends - 1 - self.rows, bounds, self.length)
        return replace(self, starts=starts, is_mirrored=True)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def positions(self) -> np.ndarray:
        """(M, P) float64 position of each window: its frame's."""
        return self.traverse.positions[self.rows]


def kept_ranges(table: np.ndarray, reference: Windows, query: Windows) -> np.ndarray:
    """A split's positives table in terms of windows: (M_query, 2) half-open ranges over ``reference.rows``."""
    return np.searchsorted(reference.rows, table[query.rows])
