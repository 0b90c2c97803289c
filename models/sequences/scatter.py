"""Second moments of many or of few rows, and what they say of the change within a place."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Self

import torch
from torch import Tensor

NO_CHANGE = "queries and references are the same: nothing changes within a place"


@dataclass(frozen=True)
class Scatter:
    """The sum of x x^T over rows x. Of fewer rows than dimensions the rows themselves are held, which is less.

    Attributes:
        count: what their mean is taken over, by default the number of rows.
        held: (P, D) float64, the rows, or (D, D), their sum of outer products.
        summed: whether it is the sum.
    """

    count: float
    held: Tensor
    summed: bool

    @classmethod
    def of(cls, rows: int, dims: int, chunks: Iterable[Tensor]) -> "Scatter":
        """Of so many ``rows`` that come in chunks (n, D) float64."""
        if rows < dims:
            return cls(rows, torch.cat(list(chunks)), summed=False)
        return cls(rows, reduce(add, (chunk.T @ chunk for chunk in chunks)), summed=True)

    def __add__(self, other: "Scatter") -> "Scatter":
        count, dims = self.count + other.count, self.held.shape[1]
        if self.summed or other.summed:
            return Scatter(count, self.sum() + other.sum(), summed=True)
        return replace(Scatter.of(len(self.held) + len(other.held), dims, (self.held, other.held)), count=count)

    def weighted(self, weight: float) -> "Scatter":
        """The mean of x x^T times ``weight``, with which it counts in a sum."""
        factor = weight if self.summed else weight**0.5
        return replace(self, count=self.count * weight, held=self.held * factor)

    def sum(self) -> Tensor:
        """(D, D)."""
        return self.held if self.summed else self.held.T @ self.held

    def through(self, root: Tensor) -> "Scatter":
        """Of the rows after a symmetric map (D, D)."""
        return replace(self, held=root @ self.held @ root if self.summed else self.held @ root)

    def eigen(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues (K,) of the mean of x x^T, greatest first, and vectors (D, K): those that are above zero."""
        gram = self.held if self.summed else self.held @ self.held.T  # the two have the same eigenvalues
        values, vectors = torch.linalg.eigh(gram)
        positive = values > len(values) * torch.finfo(values.dtype).eps * values[-1]
        values, vectors = values[positive].flip(0), vectors[:, positive].flip(1)
        if not self.summed:
            vectors = self.held.T @ vectors / values.sqrt()
        return values / self.count, vectors


@dataclass(frozen=True)
class Change:
    """The mean change within a place, C = mean of (q - r)(q - r)^T, by its eigenvalues (K,) and vectors (D, K)."""

    values: Tensor
    vectors: Tensor

    @classmethod
    def of(cls, scatter: Scatter) -> Self:
        """The change of which ``scatter`` is the sum.

        Raises:
            ValueError: nothing changes.
        """
        values, vectors = scatter.eigen()
        if not len(values):
            raise ValueError(NO_CHANGE)
        return cls(values, vectors)

    def floor(self, shrinkage: float) -> Tensor:
        """What ``shrinkage``, a share of the mean eigenvalue, adds to every eigenvalue."""
        return shrinkage * self.values.sum() / len(self.vectors)

    def root(self, shrinkage: float) -> Tensor:
        """(D, D): the symmetric R that makes the raised change round, R (C + floor) R = I."""
        floor, values, vectors = self.floor(shrinkage), self.values, self.vectors
        seen = (vectors * (values + floor).rsqrt()) @ vectors.T
        if len(values) == len(vectors):
            return seen
        unseen = torch.eye(len(vectors), dtype=seen.dtype, device=seen.device) - vectors @ vectors.T
        return seen + unseen * floor.rsqrt()
