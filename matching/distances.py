"""Euclidean distances of all pairs by one matrix product, accurate also between near duplicates."""

import torch

# The product leaves an error of about 1e-7 |q||r| in a squared distance, so of 1e-7 / d in a distance d of unit rows.
# Pairs whose squared distance is below this share of |q|^2 + |r|^2 (d < 0.2) are computed from their difference.
NEAR = 0.02
_PAIR_ENTRIES = 1 << 24  # entries of the differences held at once


def squared_norms(rows: torch.Tensor) -> torch.Tensor:
    """(N, D) to (N,) squared Euclidean lengths."""
    return torch.linalg.vector_norm(rows, dim=1).square_()


def euclidean(
    query: torch.Tensor,
    reference: torch.Tensor,
    query_squared: torch.Tensor | None = None,
    reference_squared: torch.Tensor | None = None,
) -> torch.Tensor:
    """Distances between all rows.

    Args:
        query: (M, D) float32.
        reference: (N, D) float32, same device.
        query_squared: (M,) :func:`squared_norms` of ``query``, where already known.
        reference_squared: (N,) likewise.

    Returns:
        (M, N) float32 Euclidean distances, exactly 0 between equal rows.
    """
    if query_squared is None:
        query_squared = squared_norms(query)
    if reference_squared is None:
        reference_squared = squared_norms(reference)
    distances = query @ reference.T
    near = NEAR * (query_squared.max() + reference_squared.max())
    step = len(query) if query.is_cuda else max(1, (1 << 18) // len(reference))  # blocks that stay in cache
    for start in range(0, len(query), step):
        rows = slice(start, start + step)
        squared = distances[rows]
        squared.mul_(-2).add_(reference_squared).add_(query_squared[rows, None]).clamp_(min=0)
        if squared.min() < near:
            _recompute(squared, squared < near, query[rows], reference)
        squared.sqrt_()
    return distances


def _recompute(
    squared: torch.Tensor, chosen: torch.Tensor, query: torch.Tensor, reference: torch.Tensor
) -> None:
    """Replace the ``chosen`` entries of ``squared`` (M, N) by sums of squared differences."""
    pairs = chosen.nonzero()  # (P, 2)
    for query_rows, reference_rows in (
        part.unbind(1) for part in pairs.split(max(1, _PAIR_ENTRIES // query.shape[1]))
    ):
        squared[query_rows, reference_rows] = squared_norms(query[query_rows] - reference[reference_rows])
