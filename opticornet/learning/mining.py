"""Mining: for each training anchor its nearest positive and its hardest negatives, by exhaustive search.

All windows are encoded once per refresh; the search runs in tiles on whatever device the vectors are on.
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

    def cpu(self) -> "MinedTuples":
        return MinedTuples(self.anchors.cpu(), self.positives.cpu(), self.negatives.cpu(), self.mask.cpu())

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


def _pairs(references: Positives, queries: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """The listed references of some queries: two (E,) int64, places in ``queries`` and references."""
    listed = references.of(queries.numpy())
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
        n_sample: references drawn once per refresh among which negatives are looked for (SeqNet looks at 1000),
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

    def mine(
        self,
        queries: Tensor,
        query_vectors: Tensor,
        reference_vectors: Tensor,
        generator: torch.Generator,
        remembered: Tensor | None = None,
    ) -> MinedTuples:
        """The nearest positive and hardest violating negatives of some queries.

        Args:
            queries: (A,) int64 query windows, in the order the tuples are to have.
            query_vectors: (A, O) float32 unit rows, the encodings of ``queries``.
            reference_vectors: (N, O) float32 unit rows.
            generator: draws the sample; untouched where ``n_sample`` is 0.
            remembered: (Q, M) int64 negatives found last time, -1 where none; updated in place. Only used with
                ``n_sample``, since an exhaustive search finds them anyway.

        Returns:
            The tuples, on the CPU. Queries without a positive or without a violating negative are left out.
        """
        n_reference = len(reference_vectors)
        sampled = None
        if 0 < self.n_sample < n_reference:
            sampled = torch.randperm(n_reference, generator=generator)[: self.n_sample]
        tuples = [
            self._mine_tile(queries[tile], query_vectors[tile], reference_vectors, sampled, remembered)
            for tile in (slice(first, first + self.tile) for first in range(0, len(queries), self.tile))
        ]
        return MinedTuples.join(tuples, self.n_neg)

    def _mine_tile(
        self, queries: Tensor, vectors: Tensor, references: Tensor, sampled: Tensor | None, remembered: Tensor | None
    ) -> MinedTuples:
        device = vectors.device
        similarity = vectors @ references.T  # (A, N)

        rows, columns = _pairs(self.positives, queries, device)
        nearest = torch.full((len(queries),), -torch.inf, device=device)
        nearest.scatter_reduce_(0, rows, similarity[rows, columns], "amax")  # (A,)
        ties = similarity[rows, columns] == nearest[rows]
        positives = torch.full((len(queries),), len(references), device=device)
        positives.scatter_reduce_(0, rows[ties], columns[ties], "amin")  # (A,)

        rows, columns = _pairs(self.excluded, queries, device)
        similarity[rows, columns] = -torch.inf
        if sampled is not None:
            similarity = _mask_all_but(similarity, sampled.to(device), remembered, queries)
        hardest, negatives = similarity.topk(min(self.n_neg, len(references)), dim=1)  # (A, M)
        mask = hardest.isfinite() & (self._distance(hardest) < self._distance(nearest)[:, None] + self.margin)
        if sampled is not None and remembered is not None:
            remembered[queries, : mask.shape[1]] = torch.where(mask, negatives, -1).cpu()

        valid = nearest.isfinite() & mask.any(dim=1)
        return MinedTuples(queries.to(device), positives, negatives, mask)[valid].cpu()

    def _distance(self, similarity: Tensor) -> Tensor:
        """Euclidean (or squared) distance of unit vectors with this inner product."""
        squared = (2 - 2 * similarity).clamp_min(0)
        return squared if self.squared else squared.sqrt()


def _mask_all_but(similarity: Tensor, sampled: Tensor, remembered: Tensor | None, queries: Tensor) -> Tensor:
    """Set all but the sampled and each query's remembered references to minus infinity; all (A, N)."""
    dropped = torch.ones_like(similarity, dtype=torch.bool)
    dropped[:, sampled] = False
    if remembered is not None:
        known = remembered[queries].to(similarity.device)  # (A, M)
        rows, entries = (known >= 0).nonzero(as_tuple=True)
        dropped[rows, known[rows, entries]] = False
    return similarity.masked_fill_(dropped, -torch.inf)
