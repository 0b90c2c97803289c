"""Euclidean distances of all pairs by one matrix product, accurate also between near duplicates."""

import torch

# Rounding leaves up to 1e-6 |q||r| in a squared distance, so 5e-7 / d in a distance d of unit rows. Pairs whose
# squared distance is below this share of |q|^2 + |r|^2 (d < 0.25) are computed from their difference instead, so that
# none is off by more than 2e-6.
NEAR = 0.03
_BLOCK = 1 << 18  # entries of a block that stays in a CPU's cache
_PAIR_ENTRIES = 1 << 24  # entries of the differences held at once


def squared_norms(rows: torch.Tensor) -> torch.Tensor:
    """(N, D) to (N,) squared Euclidean lengths."""
    blocks = rows.split(max(1, _BLOCK // rows.shape[1]))
    return torch.cat([(block * block).sum(dim=1) for block in blocks])  # more exact than the square of a norm


def euclidean(
    query: torch.Tensor,
    reference: torch.Tensor,
    query_squared: torch.Tensor | None = None,
    reference_squared: torch.Tensor | None = None,
    reference_scale: torch.Tensor | None = None,
    centred: bool = False,
) -> torch.Tensor:
    """Distances between all rows.

    Args:
        query: (M, D) float32.
        reference: (N, D) float32, same device.
        query_squared: (M,) :func:`squared_norms` of ``query``, where already known.
        reference_squared: (N,) likewise, of the scaled rows; needed with ``reference_scale``.
        reference_scale: (N,) factors of the rows of ``reference``, applied to products instead of a scaled copy.
        centred: the rows lie around zero; otherwise they are centred where they have so much in common that many
            pairs are near.

    Returns:
        (M, N) float32 Euclidean distances, exactly 0 between equal rows.
    """
    if query_squared is None:
        query_squared = squared_norms(query)
    if reference_squared is None:
        reference_squared = squared_norms(reference)
    distances = query @ reference.T
    factor = -2 if reference_scale is None else -2 * reference_scale
    near = NEAR * (query_squared.max() + reference_squared.max())
    step = len(query) if query.is_cuda else max(1, _BLOCK // len(reference))
    for start in range(0, len(query), step):
        rows = slice(start, start + step)
        squared = distances[rows]
        squared.mul_(factor).add_(reference_squared).add_(query_squared[rows, None]).clamp_(min=0)
        if squared.min() < near:
            chosen = squared < near
            crowded = int(chosen.sum()) > sum(chosen.shape) + chosen.numel() // 100
            if crowded and not centred:
                _recompute_centred(squared, query[rows], reference, reference_scale)
            else:
                _recompute(squared, chosen, query[rows], reference, reference_scale)
        squared.sqrt_()
    return distances


def _recompute(
    squared: torch.Tensor,
    chosen: torch.Tensor,
    query: torch.Tensor,
    reference: torch.Tensor,
    reference_scale: torch.Tensor | None,
) -> None:
    """Replace the ``chosen`` entries of ``squared`` (M, N) by sums of squared differences."""
    pairs = chosen.nonzero()  # (P, 2)
    for part in pairs.split(max(1, _PAIR_ENTRIES // query.shape[1])):
        query_rows, reference_rows = part.unbind(1)
        others = reference[reference_rows]
        if reference_scale is not None:
            others *= reference_scale[reference_rows, None]
        squared[query_rows, reference_rows] = squared_norms(query[query_rows] - others)


def _recompute_centred(
    squared: torch.Tensor, query: torch.Tensor, reference: torch.Tensor, reference_scale: torch.Tensor | None
) -> None:
    """Replace all entries of ``squared`` (M, N) by those of rows from which the references' mean is taken: distances
    stay, products and with them their rounding shrink."""
    step = max(1, _PAIR_ENTRIES // query.shape[1])
    for start in range(0, len(reference), step):
        columns = slice(start, start + step)
        others = reference[columns]
        if reference_scale is not None:
            others = others * reference_scale[columns, None]
        centre = others.mean(dim=0)
        squared[:, columns] = euclidean(query - centre, others - centre, centred=True).square_()
