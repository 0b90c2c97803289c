"""What a sequence matcher is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from opticornet.utils.options import Choice


@dataclass(frozen=True)
class FramesAround:
    """What a matcher that looks beyond the windows has to know of them.

    Attributes:
        before, after: frames that a reference window's own sequence still has on either side of it: int64 of any shape
            that broadcasts against the scores.
        anchor: position, in both windows, of the frames that they are of: the middle of centred windows, the end of
            trailing ones. Drives of different speeds meet there.
    """

    before: torch.Tensor
    after: torch.Tensor
    anchor: int


class SequenceMatcher(Choice, ABC):
    """Scores a query window against a reference window; the smaller, the more alike.

    A subclass is a frozen dataclass, whose fields are declared by :func:`opticornet.utils.options.option`; the entry of
    a matcher in ``SEQUENCE_MATCHERS``.
    """

    def margin(self, length: int, anchor: int) -> int:
        """Reference frames that :meth:`score` and :meth:`prepare` need on either side of a window of ``length``."""
        return 0

    def prepare(self, distances: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Change the frame distances before windows are cut from them.

        Args:
            distances: (a, b) float32, query frames by reference frames.
            real: (b,) bool; columns where it is False stand in for frames beyond the traverse's ends.

        Returns:
            (a, b) float32. Only columns at least a margin from the ends of ``distances`` need be right.
        """
        return distances

    @abstractmethod
    def score(self, local: torch.Tensor, around: FramesAround) -> torch.Tensor:
        """Score many window pairs.

        Args:
            local: (A, B, L, L + 2 * margin) float32 prepared distances of the frames of A x B window pairs: query
                frame by reference frame, the first ``margin`` of which lie before the window. Usually a view with
                much overlap: read ``local[:, :, t, u]``, never copy or write it.
            around: of the reference windows, (B,) or (A, B).

        Returns:
            (A, B) float32.
        """
