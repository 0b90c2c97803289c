"""Which frames a window holds, and which frames' windows take part.

Frame ``i`` with sequence length ``L`` looks at frames ``[i - L//2, i + L - L//2)`` (*centred*, SeqNet's rule) or at
``[i - L + 1, i + 1)`` (*trailing*, all that a robot has seen by then), moved inside its own sequence where it would
leave it.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from opticornet.datasets.traverse import Traverse
from opticornet.utils.errors import UserError

WindowRule = Literal["centred", "trailing"]
ShortSequences = Literal["refuse", "drop", "shorten"]
RULES_IN_WORDS: dict[WindowRule, str] = {
    "centred": "centred on the frame, shifted back inside its sequence",
    "trailing": "ending at the frame, shifted forward inside its sequence",
}


def window_starts(
    index: np.ndarray,
    bounds: np.ndarray,
    length: int,
    rule: WindowRule = "centred",
    within: np.ndarray | None = None,
) -> np.ndarray:
    """First frame of some frames' windows.

    In a sequence shorter than a window, the window begins with it and reaches beyond its end, or, of a frame that has
    at least ``length // 2`` frames before it, ends with it and reaches beyond its beginning: SeqNet's rule.

    Args:
        index: (M,) int64 frames.
        bounds: (M, 2) int64 half-open range of each one's own sequence.
        length: frames per window, L.
        rule: what a window is around.
        within: (M, 2) int64, half-open range of each one's own drive, which has ``length`` frames and beyond which no
            window may reach; None: no sequence is shorter than ``length``.

    Returns:
        (M,) int64; the window of ``index[i]`` is ``[starts[i], starts[i] + length)``.
    """
    first = index - _before(length, rule)
    starts = np.where(first <= bounds[:, 0], bounds[:, 0], np.minimum(first, bounds[:, 1] - length))
    return starts if within is None else np.clip(starts, within[:, 0], within[:, 1] - length)


def inside(bounds: np.ndarray, length: int, rule: WindowRule = "centred") -> np.ndarray:
    """(N,) bool: frames whose unmoved window of ``length`` stays within their own sequence.

    These are the frames that a filter of ``length`` keeps.
    """
    first = np.arange(len(bounds)) - _before(length, rule)
    return (first >= bounds[:, 0]) & (first + length <= bounds[:, 1])


def _before(length: int, rule: WindowRule) -> int:
    """Frames of a window before the frame that it is of."""
    return length // 2 if rule == "centred" else length - 1


@dataclass(frozen=True)
class Windows:
    """The windows of a traverse that take part.

    Attributes:
        traverse: where the frames are.
        length: frames per window, L.
        rows: (M,) int64 rows of the traverse whose windows these are, ascending: frames that are scored, whose position
            is known (where that is needed), and whose windows are usable.
        starts: (M,) int64 first frame of each window; ascending but for sequences shorter than ``length``.
        rule: which frames a window holds.
        short: what became of sequences shorter than a window.
        unusable: frames that would be in ``rows``, had their windows no unusable frame.
        too_short: frames that would be, were their sequences not shorter than a window.
        is_mirrored: these are :meth:`mirrored` windows.
        backwards: each window is read from its last frame to its first.
    """

    traverse: Traverse
    length: int
    rows: np.ndarray
    starts: np.ndarray
    rule: WindowRule = "centred"
    short: ShortSequences = "refuse"
    unusable: int = 0
    too_short: int = 0
    is_mirrored: bool = False
    backwards: bool = False

    @classmethod
    def of(
        cls,
        traverse: Traverse,
        length: int,
        filter_length: int = 0,
        *,
        rule: WindowRule = "centred",
        short: ShortSequences = "refuse",
        need_positions: bool = True,
        longest: int = 0,
        either_way: bool = False,
    ) -> "Windows":
        """The windows of the frames that take part.

        Args:
            traverse: the frames.
            length: frames per window, L.
            filter_length: only frames that pass :func:`inside` with it; 0: all.
            rule: which frames a window holds.
            short: sequences shorter than a window: "refuse" them, "drop" their frames, or "shorten" as SeqNet does
                (:func:`window_starts`).
            need_positions: leave out frames whose position is not known.
            longest: frames of a longer window that :meth:`with_length` will ask for; 0: none.
            either_way: :meth:`mirrored` will be asked for: those windows hold no unusable frame either.

        Raises:
            UserError: a sequence is shorter than ``length``, or no frame is left.
        """
        kept = traverse.is_scored.copy()
        if need_positions:
            kept &= traverse.placed
        _require(kept, f"no frame of {traverse.name} is both scored and of known position; check its frames table")
        if filter_length:
            kept &= inside(traverse.bounds, filter_length, rule)
            _require(
                kept,
                f"`filter_length` {filter_length} leaves no frame of {traverse.name}: its {len(traverse)} frames "
                "lie in sequences too short for it; choose a smaller one",
            )
        rows, too_short = np.flatnonzero(kept), 0
        argument, longest = ("rerank_length", longest) if longest > length else ("sequence_length", length)
        if short == "drop":
            long = np.diff(traverse.bounds[rows], axis=1)[:, 0] >= longest
            _require(long, f"no sequence of {traverse.name} has {longest} frames; choose shorter windows")
            rows, too_short = rows[long], int((~long).sum())
        windows = cls(traverse, longest, rows, rows, rule, short, too_short=too_short)._with_starts(argument)
        usable = windows.usable()
        if either_way:
            usable &= windows.mirrored().usable()
        _require(
            usable,
            f"every window of {longest} frames of {traverse.name} holds an unusable one; `fill_frames` fills them",
        )
        windows = replace(windows, rows=rows[usable], unusable=int((~usable).sum()))
        return replace(windows, length=length)._with_starts("sequence_length")

    def with_length(self, length: int, argument: str = "length") -> "Windows":
        """The same frames' windows of another length, which ``argument`` asked for.

        Raises:
            UserError: a sequence is shorter than ``length``, or a window would hold an unusable frame.
        """
        windows = replace(self, length=length)._with_starts(argument)
        if not windows.usable().all():
            raise UserError(
                f"`{argument}` {length}: windows of {self.traverse.name} would hold unusable frames; choose "
                f"`{argument}` {self.length} or less, or fill them with `fill_frames`"
            )
        return windows

    def _with_starts(self, argument: str) -> "Windows":
        """With the ``starts`` of the windows."""
        bounds, within = (of[self.rows] for of in (self.traverse.bounds, self.traverse.drive_bounds))
        self._require_frames(within if self.short == "shorten" else bounds, argument)
        if not self.is_mirrored:
            return replace(self, starts=window_starts(self.rows, bounds, self.length, self.rule, within))
        ends = bounds.sum(axis=1)  # the frame at i is the one at ends - 1 - i of the sequence the other way
        starts = ends - self.length - window_starts(ends - 1 - self.rows, bounds, self.length, self.rule)
        return replace(self, starts=np.clip(starts, within[:, 0], within[:, 1] - self.length))

    def _require_frames(self, ranges: np.ndarray, argument: str) -> None:
        """Raise :class:`UserError` where one of the ranges (M, 2) that windows stay in is shorter than a window."""
        lengths = ranges[:, 1] - ranges[:, 0]
        shortest = int(lengths.min())
        if shortest >= self.length:
            return
        traverse = self.traverse
        name = traverse.drives[traverse.drive_numbers[self.rows[lengths.argmin()]]].name
        if self.short == "shorten":
            raise UserError(
                f"`{argument}` {self.length} is above the {shortest} frames of all of {name}; choose `{argument}` "
                f"{shortest} or less"
            )
        raise UserError(
            f"`{argument}` {self.length} is above the shortest sequence of {name}, which has {shortest} "
            f"frames; choose `{argument}` {shortest} or less, or let `short_sequences` drop or shorten such"
        )

    def usable(self) -> np.ndarray:
        """(M,) bool: windows without an unusable frame."""
        if self.traverse.usable is None:
            return np.ones(len(self), bool)
        unusable = np.concatenate([[0], np.cumsum(~self.traverse.usable)])
        return unusable[self.starts + self.length] == unusable[self.starts]

    def mirrored(self) -> "Windows":
        """The windows that the same frames would have, were the traverse driven the other way.

        Of a centred window of even length, one frame more lies behind its frame than before it instead of the other way
        round; a trailing one becomes a leading one. Windows at a sequence's ends stay inside it.
        """
        return replace(self, is_mirrored=not self.is_mirrored)._with_starts("sequence_length")

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def by_drive(self) -> tuple[slice, ...]:
        """Which of them are of each drive of the traverse."""
        ends = [np.searchsorted(self.rows, (drive.start, drive.stop)).tolist() for drive in self.traverse.drives]
        return tuple(slice(*end) for end in ends)

    @property
    def parts(self) -> tuple["Windows", ...]:
        """Those of each drive, over a traverse of its own; the windows themselves where it is one. How many are
        ``unusable`` or ``too_short`` is known of all drives together only."""
        if not self.traverse.joined:
            return (self,)
        return tuple(
            replace(
                self,
                traverse=part,
                rows=self.rows[some] - drive.start,
                starts=self.starts[some] - drive.start,
                unusable=0,
                too_short=0,
            )
            for part, drive, some in zip(self.traverse.parts, self.traverse.drives, self.by_drive, strict=True)
        )

    @property
    def frames(self) -> np.ndarray:
        """(M, L) int64 rows of the frames of each window, in the order in which it is read."""
        places = np.arange(self.length)
        return self.starts[:, None] + (places[::-1] if self.backwards else places)

    @property
    def anchor(self) -> int:
        """Position in a window, as it is read, of the frame that it is of, where it is not moved inside a sequence."""
        before = _before(self.length, self.rule)
        return before if self.is_mirrored == self.backwards else self.length - 1 - before

    def holds_same(self, other: "Windows") -> bool:
        """Whether the other windows hold the same frames of the same traverse."""
        return (
            self.traverse is other.traverse
            and self.length == other.length
            and np.array_equal(self.rows, other.rows)
            and np.array_equal(self.starts, other.starts)
        )

    @property
    def rule_in_words(self) -> str:
        """``rule`` and, where short sequences are computed all the same, ``short``."""
        return RULES_IN_WORDS[self.rule] + ("; over the ends of shorter ones" if self.short == "shorten" else "")

    @property
    def surroundings(self) -> np.ndarray:
        """(M, 2) int64 half-open range of frames around each window that may be looked at: its own sequence up to the
        next unusable frames, and the window."""
        bounds, stops = self.traverse.bounds[self.rows], self.starts + self.length
        low, high = np.minimum(bounds[:, 0], self.starts), np.maximum(bounds[:, 1], stops)
        unusable = np.concatenate([[-1], np.flatnonzero(~self.traverse.is_usable), [len(self.traverse)]])
        behind = np.searchsorted(unusable, self.starts)
        return np.stack([np.maximum(low, unusable[behind - 1] + 1), np.minimum(high, unusable[behind])], axis=1)

    @property
    def positions(self) -> np.ndarray:
        """(M, P) float64 position of each window: its frame's."""
        return self.traverse.positions[self.rows]


def _require(kept: np.ndarray, otherwise: str) -> None:
    if not kept.any():
        raise UserError(otherwise)
