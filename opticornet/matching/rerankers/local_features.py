"""Re-ranking by local features: candidates ordered by the mutual nearest neighbours they share with a query.

As in SelaVPR (Lu et al., ICLR 2024) and FoL (Wang et al., AAAI 2025), whose numbers it reproduces but for the
order of ties.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from opticornet.matching.ranking import Ranking
from opticornet.matching.rerankers.base import Compared, Reranker, RerankMaterial, RerankSide
from opticornet.utils.errors import UserError
from opticornet.utils.mapped import RowMatrix

MEMORY_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Reranked:
    """Candidates by decreasing score, (Q, K) each; ties keep the order they came in."""

    indices: np.ndarray  # int64, rows of the reference; absent ones (-1) last
    scores: np.ndarray  # int64, numbers of matches; -1 where absent


def mutual_matches(query: Tensor, candidates: Tensor, threshold: float = 0.7) -> Tensor:
    """Number of mutual nearest pairs with a cosine above `threshold`.

    query (M, C) and candidates (K, N, C) have unit rows, padded with zero rows -> (K,) int64. As in the
    published code, a candidate with a single mutual pair, of whatever cosine, scores 0.
    """
    cosine = query @ candidates.transpose(1, 2)  # (K, M, N)
    best, nearest = cosine.max(2)  # (K, M)
    back = cosine.argmax(1).gather(1, nearest)  # the query row that each row's nearest neighbour prefers
    mutual = back == torch.arange(len(query), device=query.device)
    matches = (mutual & (best > threshold)).sum(1)
    return matches.where(mutual.sum(1) != 1, 0)


def rerank(
    query_local: RowMatrix,
    reference_local: RowMatrix,
    candidates: np.ndarray,
    *,
    query_rows: np.ndarray | None = None,
    threshold: float = 0.7,
    device: str | torch.device = "cpu",
    memory_bytes: int = MEMORY_BYTES,
) -> Reranked:
    """Order each query's candidates by mutual matches of local features.

    query_local (F, M, C) and reference_local (R, N, C): float16 or float32, unit rows padded with zero rows; may be
    memory maps, of which only the rows at hand are read. The queries are the frames query_rows (Q,) of query_local,
    all of them by default. candidates (Q, K): rows of the reference, best first, -1 where a search found none. The
    cosines held at a time take `memory_bytes`, or those of one candidate where that is more. Raises ValueError where
    the shapes do not fit.
    """
    query_rows = np.arange(len(query_local)) if query_rows is None else query_rows
    if len(query_rows) != len(candidates) or query_local.shape[2] != reference_local.shape[2]:
        raise ValueError(
            f"queries {query_rows.shape} of {query_local.shape}, references {reference_local.shape} and "
            f"candidates {candidates.shape} do not fit: want (Q,) of (F, M, C), (R, N, C) and (Q, K)"
        )
    tile = max(1, memory_bytes // (4 * query_local.shape[1] * reference_local.shape[1]))
    scores = np.full(candidates.shape, -1, dtype=np.int64)
    for query, row in enumerate(candidates):
        local = _tensor(query_local[query_rows[query]], device)
        present = np.flatnonzero(row >= 0)
        for start in range(0, len(present), tile):
            part = present[start : start + tile]
            matches = mutual_matches(local, _tensor(reference_local[row[part]], device), threshold)
            scores[query, part] = matches.cpu().numpy()
    order = np.argsort(-scores, axis=1, kind="stable")
    return Reranked(np.take_along_axis(candidates, order, 1), np.take_along_axis(scores, order, 1))


def _tensor(rows: np.ndarray, device: str | torch.device) -> Tensor:
    return torch.from_numpy(np.array(rows, dtype=np.float32)).to(device)


@dataclass(frozen=True, kw_only=True)
class LocalFeatures(Reranker):
    """``local``: local features of the windows' own frames; the distance is the number of matches, negated."""

    @property
    def compares(self) -> Compared:
        return "local features"

    def window_length(self, length: int) -> int:
        return 1

    def check(self, reference: RerankSide, query: RerankSide) -> None:
        dims = [_local_features(side).shape[2] for side in (reference, query)]
        if dims[0] != dims[1]:
            raise UserError(f"`rerank` local: local features of {dims[0]} and {dims[1]} dimensions")

    def rerank(self, material: RerankMaterial, candidates: Ranking, queries: slice) -> Ranking:
        reference, query = material.reference, material.query
        rows = np.where(candidates.indices < 0, -1, reference.rows[candidates.indices])
        found = rerank(
            _local_features(query),
            _local_features(reference),
            rows,
            query_rows=query.rows[queries],
            device=material.device,
            memory_bytes=material.memory_bytes,
        )
        windows = np.where(found.indices < 0, -1, np.searchsorted(reference.rows, found.indices))
        return Ranking(windows, np.where(windows < 0, np.inf, -found.scores).astype(np.float32))


def _local_features(side: RerankSide) -> RowMatrix:
    if side.local_features is None:
        raise UserError(
            f"`rerank` local: {side.name} has no local features beside it; extract it with `local` and an image "
            "encoder that has them, such as fol"
        )
    return side.local_features
