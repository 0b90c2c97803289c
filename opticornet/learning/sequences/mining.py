"""Mining: for each training anchor its nearest positive and its hardest negatives, by exhaustive search.

What is compared is encoded once per refresh; the search runs in tiles on whatever device the vectors are on.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from opticornet.datasets.positives import Positives


@dataclass(frozen=True)
class MinedTuples:
    """Anchors with a positive and at least one violating negative.

    Attributes:
        anchors: (T,) int64 query windows.
        positives: (T,) int64 reference windows.
        negatives: (T, M) int64 reference windows, hardest first; where ``mask`` is False the entry means nothing.
        mask: (T, M) bool.
    """

    anchors: Tensor
    positives: Tensor
    negatives: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return len(self.anchors)

    def __getitem__(self, rows: slice | Tensor) -> "MinedTuples":
        """The tuples of some rows."""
        return MinedTuples(self.anchors[rows], self.positives[rows], self.negatives[rows], self.mask[rows])

    @classmethod
    def join(cls, parts: list["MinedTuples"], n_neg: int) -> "MinedTuples":
        """Tuples of several tiles as one; none at all where ``parts`` is empty."""
        if not parts:
            none = torch.empty(0, dtype=torch.int64)
            return cls(none, none, torch.empty(0, n_neg, dtype=torch.int64), torch.empty(0, n_neg, dtype=torch.bool))
        return cls(
            torch.cat([part.anchors for part in parts]),
            torch.cat([part.positives for part in parts]),
            torch.cat([part.negatives for part in parts]),
            torch.cat([part.mask for part in parts]),
        )


@dataclass(frozen=True)
class Searched:
    """The references that some queries are compared with, and no others need an encoding.

    Attributes:
        rows: (K,) int64 reference windows, rising.
        drawn: (K,) bool, which of them may be a negative of any query; the others only of a query that remembers them,
            or its positive.
    """

    rows: Tensor
    drawn: Tensor

    @classmethod
    def all(cls, count: int) -> "Searched":
        """All N references."""
        return cls(torch.arange(count), torch.ones(count, dtype=torch.bool))

    def places(self, rows: Tensor) -> Tensor:
        """Where among ``rows`` some of them are."""
        return torch.searchsorted(self.rows, rows)


def _pairs(references: Positives, queries: Tensor, searched: Searched, device: torch.device) -> tuple[Tensor, Tensor]:
    """The listed references of some queries: two (E,) int64, places in ``queries`` and among those searched."""
    listed = references.of(queries.numpy()).among(searched.rows.numpy())
    return torch.from_numpy(listed.queries).to(device), torch.from_numpy(listed.rows).to(device)


@dataclass(frozen=True)
class Miner:
    """How tuples are chosen.

    Attributes:
        positives: references that show the query's place.
        excluded: references too near to be negatives (the positives among them).
        n_neg: hardest negatives per anchor, at most, M.
        margin: a negative violates where d(a, n) < d(a, p) + margin; infinity takes the nearest ones regardless.
        squared: compare squared Euclidean distances (quadruplet) instead of plain ones (triplet).
        n_sample: references drawn once per refresh among which negatives are looked for (SeqNet and STA look at 1000),
            together with those remembered from the refresh before; 0 looks at all of them.
        tile: queries searched at a time.
    """

    positives: Positives
    excluded: Positives
    n_neg: int
    margin: float
    squared: bool
    n_sample: int = 0
    tile: int = 1024

    def searched(
        self, queries: Tensor, count: int, generator: torch.Generator, remembered: Tensor | None = None
    ) -> Searched:
        """The references that some queries (A,) are to be compared with, of ``count``, N: those drawn, the queries'
        positives, and what they remember; all, where ``n_sample`` does not say less.

        Args:
            generator: draws the sample; untouched where all are searched.
            remembered: as for :meth:`mine`.
        """
        if not 0 < self.n_sample < count:
            return Searched.all(count)
        drawn, known = torch.zeros(2, count, dtype=torch.bool)
        drawn[torch.randperm(count, generator=generator)[: self.n_sample]] = True
        known[torch.from_numpy(self.positives.of(queries.numpy()).rows)] = True
        if remembered is not None:
            before = remembered[queries]
            known[before[before >= 0]] = True
        rows = (drawn | known).nonzero()[:, 0]
        return Searched(rows, drawn[rows])

    def mine(
        self,
        queries: Tensor,
        query_vectors: Tensor,
        reference_vectors: Tensor,
        searched: Searched,
        remembered: Tensor | None = None,
    ) -> MinedTuples:
        """The nearest positive and hardest violating negatives of some queries.

        Args:
            queries: (A,) int64 query windows, in the order the tuples are to have.
            query_vectors: (A, O) float32 unit rows, the encodings of ``queries``.
            reference_vectors: (K, O) float32 unit rows, the encodings of ``searched``.
            searched: as :meth:`searched` gives it for these queries.
            remembered: (Q, M) int64 negatives found last time, -1 where none; updated in place. They matter only where
                not all references were drawn: an exhaustive search finds them anyway.

        Returns:
            The tuples, on the CPU. Queries without a positive or without a violating negative are left out.
        """
        tuples = [
            self._mine_tile(queries[tile], query_vectors[tile], reference_vectors, searched, remembered)
            for tile in (slice(first, first + self.tile) for first in range(0, len(queries), self.tile))
        ]
        return MinedTuples.join(tuples, self.n_neg)

    def _mine_tile(
        self, queries: Tensor, vectors: Tensor, references: Tensor, searched: Searched, remembered: Tensor | None
    ) -> MinedTuples:
        device = vectors.device
        similarity = vectors @ references.T  # (A, K)

        rows, columns = _pairs(self.positives, queries, searched, device)
        nearest = torch.full((len(queries),), -torch.inf, device=device)
        nearest.scatter_reduce_(0, rows, similarity[rows, columns], "amax")  # (A,)
        ties = similarity[rows, columns] == nearest[rows]
        positives = torch.full((len(queries),), len(references) - 1, device=device)
        positives.scatter_reduce_(0, rows[ties], columns[ties], "amin")  # (A,)

        rows, columns = _pairs(self.excluded, queries, searched, device)
        similarity[rows, columns] = -torch.inf
        if not searched.drawn.all():
            known = None if remembered is None else remembered[queries]
            similarity = _mask_all_but(similarity, searched, known)
        hardest, negatives = similarity.topk(min(self.n_neg, len(references)), dim=1)  # (A, M)
        mask = hardest.isfinite() & (self._distance(hardest) < self._distance(nearest)[:, None] + self.margin)
        valid = (nearest.isfinite() & mask.any(dim=1)).cpu()
        positives, negatives = (searched.rows[places.cpu()] for places in (positives, negatives))
        mask = mask.cpu()
        if remembered is not None:
            remembered[queries, : mask.shape[1]] = torch.where(mask, negatives, -1)
        return MinedTuples(queries, positives, negatives, mask)[valid]

    def _distance(self, similarity: Tensor) -> Tensor:
        """Euclidean (or squared) distance of unit vectors with this inner product."""
        squared = (2 - 2 * similarity).clamp_min(0)
        return squared if self.squared else squared.sqrt()


def _mask_all_but(similarity: Tensor, searched: Searched, remembered: Tensor | None) -> Tensor:
    """Set all of (A, K) but the drawn references and what each query remembers (A, M) to minus infinity."""
    dropped = ~searched.drawn.expand(similarity.shape).contiguous()  # (A, K)
    if remembered is not None:
        rows, entries = (remembered >= 0).nonzero(as_tuple=True)
        dropped[rows, searched.places(remembered[rows, entries])] = False
    return similarity.masked_fill_(dropped.to(similarity.device), -torch.inf)
