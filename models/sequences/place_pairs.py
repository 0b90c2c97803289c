"""Pairs of training frames that show one place on two drives: what encoders start from."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PlacePairs:
    """P pairs of frames, in the order of the route.

    Attributes:
        queries, references: (P, D) float32; rows i show the same place on two drives.
        following: (P,) int64, the pair of the next frame on both of its drives; -1 where there is none.
        near: (P,) bool, whether that next frame shows the same place still, as the split counts.
    """

    queries: Tensor
    references: Tensor
    following: Tensor
    near: Tensor

    @classmethod
    def of_one_drive(cls, queries: Tensor, references: Tensor) -> "PlacePairs":
        """Pairs of which each but the last is followed by the next one, a place further."""
        following = torch.arange(1, len(queries) + 1, device=queries.device)
        following[-1:] = -1
        return cls(queries, references, following, torch.zeros_like(following, dtype=torch.bool))

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def mean(self) -> Tensor:
        """(D,) float64: of both sides."""
        return (self.queries.mean(0, dtype=torch.float64) + self.references.mean(0, dtype=torch.float64)) / 2

    def chunks(self, rows: int = 4096) -> Iterable[tuple[Tensor, Tensor]]:
        """Pairs of (n, D), as many as are turned into float64 at a time."""
        return zip(self.queries.split(rows), self.references.split(rows), strict=True)

    def stretch(self, start: int, stop: int) -> "PlacePairs":
        """The pairs ``[start, stop)``; one followed by a pair outside is followed by none."""
        rows = slice(start, stop)
        following = self.following[rows] - start
        inside = (following >= 0) & (following < stop - start)
        following = following.where(inside, -1)
        return PlacePairs(self.queries[rows], self.references[rows], following, self.near[rows] & inside)
