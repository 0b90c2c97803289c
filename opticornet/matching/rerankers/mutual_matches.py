"""How many local features two images share: mutual nearest neighbours above a cosine, in tiles that stay in a cache.

As in SelaVPR (Lu et al., ICLR 2024) and FoL (Wang et al., AAAI 2025), whose numbers it reproduces.
"""

import torch
from torch import Tensor

THRESHOLD = 0.7
_TILE_BYTES, _CUDA_TILE_BYTES = 2 << 20, 256 << 20  # cosines worked out at a time: those of a core stay in its cache
_TILE_ROWS = 128  # query rows of a tile, where there are as many: fewer make the product slower


def tile_shape(rows: int, features: int, tile_bytes: int) -> tuple[int, int]:
    """Query rows and candidates of a tile, at least one of each, for ``rows`` query rows and ``features`` of each
    candidate."""
    candidates = max(1, tile_bytes // (4 * features * min(rows, _TILE_ROWS)))
    return min(rows, max(1, tile_bytes // (4 * features * candidates))), candidates


def usual_tile_bytes(device: torch.device) -> int:
    """Bytes of the cosines that are best worked out at a time."""
    return _CUDA_TILE_BYTES if device.type == "cuda" else _TILE_BYTES


def mutual_matches(
    query: Tensor,
    candidates: Tensor,
    threshold: float = THRESHOLD,
    *,
    used: Tensor | None = None,
    tile_bytes: int | None = None,
) -> Tensor:
    """Number of mutual nearest pairs with a cosine above `threshold`.

    As in the published code, of cosines that are equal to the bit the first is the nearest, and a candidate with a
    single mutual pair, of whatever cosine, scores 0. Only where different rows of the query are as near to a row, and
    the first of them is nearest to another, a later one may be its partner: features that are no grid of a few values
    never show it, and to look for it takes a tenth of the time.

    Args:
        query: (M, C) float32 unit rows, perhaps padded with zero rows.
        candidates: (K, N, C) likewise.
        used: (K, N) bool, the candidates' rows that are not zero, where they are known.
        tile_bytes: of cosines held at a time, at least those of one query row and one candidate.

    Returns:
        (K,) int64.
    """
    used = candidates.any(2) if used is None else used
    rows, step = tile_shape(len(query), candidates.shape[1], tile_bytes or usual_tile_bytes(query.device))
    parts = [
        _matches(query, some, count, threshold, rows)
        for some, count in zip(candidates.split(step), used.split(step), strict=True)
    ]
    return torch.cat(parts)


def _matches(query: Tensor, candidates: Tensor, used: Tensor, threshold: float, rows: int) -> Tensor:
    """:func:`mutual_matches` of candidates whose cosines with ``rows`` query rows fit into a tile."""
    count, features, channels = candidates.shape
    columns = candidates.reshape(count * features, channels).T
    buffer = query.new_empty(rows * count * features)
    best = query.new_full((count * features,), -torch.inf)  # of each column
    nearest, cosine = [], []
    for part in query.split(rows):
        tile = buffer[: len(part) * len(best)].view(len(part), len(best))
        torch.mm(part, columns, out=tile)
        torch.maximum(best, tile.amax(0), out=best)
        of_rows = tile.view(len(part), count, features)
        nearest.append(_argmax(of_rows))  # (rows, K)
        cosine.append(of_rows.gather(2, nearest[-1].unsqueeze(2)).squeeze(2))
    column = torch.cat(nearest)  # (M, K)
    place = column + features * torch.arange(count, device=column.device)
    real = used.flatten()[place]
    real[0] = True  # a zero row's nearest, of all that are as near, is the first
    mutual = (torch.cat(cosine) == best[place]) & real
    partner = torch.zeros_like(best, dtype=torch.bool)
    partner[place[mutual]] = True  # a column counts once
    matches = (partner & (best > threshold)).view(count, features).sum(1)
    return matches.where(partner.view(count, features).sum(1) != 1, 0)


def _argmax(values: Tensor) -> Tensor:
    """Place of the largest along the last dimension, of equal ones the first."""
    if values.is_cuda:
        return values.argmax(-1)
    return torch.from_numpy(values.numpy().argmax(-1))  # ten times as fast as torch's
