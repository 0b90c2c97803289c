"""Re-ranking by local features: candidates ordered by the mutual nearest neighbours they share with a query.

As in SelaVPR (Lu et al., ICLR 2024) and FoL (Wang et al., AAAI 2025), whose numbers it reproduces but for the
order of ties: these stay in the order of the search. Windows of frames are compared frame by frame, along their
diagonal, and their matches summed.
"""

from dataclasses import dataclass

import numpy as np
import torch

from opticornet.matching.memory import MemoryTooSmall
from opticornet.matching.ranking import Ranking
from opticornet.matching.rerankers.base import Compared, Reranker, RerankMaterial, RerankSide
from opticornet.matching.rerankers.frame_pairs import match_pairs
from opticornet.matching.rerankers.mutual_matches import THRESHOLD
from opticornet.utils.errors import UserError
from opticornet.utils.mapped import RowMatrix
from opticornet.utils.options import option

MEMORY_BYTES = 512 * 2**20
_SHARE = 8  # of the memory that lists of pairs may take at most
_BYTES_OF_PAIR = 64  # while a list of pairs is made unique


@dataclass(frozen=True)
class Reranked:
    """Candidates by decreasing score, (Q, K) each; ties keep the order they came in."""

    indices: np.ndarray  # int64, references; absent ones (-1) last
    scores: np.ndarray  # int64, numbers of matches; -1 where absent


def rerank(
    query_local: RowMatrix,
    reference_local: RowMatrix,
    candidates: np.ndarray,
    *,
    query_rows: np.ndarray | None = None,
    reference_rows: np.ndarray | None = None,
    threshold: float = THRESHOLD,
    device: str | torch.device = "cpu",
    memory_bytes: int = MEMORY_BYTES,
    names: tuple[str, str] = ("the queries", "the references"),
) -> Reranked:
    """Order each query's candidates by mutual matches of local features.

    Args:
        query_local: (F, M, C) float16 or float32, unit rows padded with zero rows; may be a memory map, of which only
            the frames at hand are read.
        reference_local: (R, N, C) likewise.
        candidates: (Q, K) int64 references, best first, -1 where a search found none.
        query_rows: (Q,) frame of each query, or (Q, L) frames of its window as they are compared; None: query i is
            frame i.
        reference_rows: (W,) or (W, L) likewise of the references; None: reference i is frame i.
        threshold: cosine above which a mutual pair is a match.
        device: where to compute.
        memory_bytes: bound on what is held at a time besides candidates, rows and result.
        names: of the two sides, for messages.

    Raises:
        ValueError: the shapes do not fit.
        MemoryTooSmall: ``memory_bytes`` does not hold one pair of frames.
        UserError: NaN or infinity in features that are read.
    """
    queries = _windows(query_local, query_rows)
    references = _windows(reference_local, reference_rows)
    fits = len(queries) == len(candidates) and queries.shape[1] == references.shape[1]
    if not fits or query_local.shape[2] != reference_local.shape[2]:
        raise ValueError(
            f"queries {queries.shape} of {query_local.shape}, references {references.shape} of {reference_local.shape} "
            f"and candidates {candidates.shape} do not fit: want (Q, L) of (F, M, C), (W, L) of (R, N, C) and (Q, K)"
        )
    for_lists = memory_bytes // _SHARE
    step = max(1, for_lists // (_BYTES_OF_PAIR * max(1, candidates.shape[1]) * queries.shape[1]))
    scores = np.full(candidates.shape, -1, np.int64)
    for first in range(0, len(queries), step):
        block = slice(first, first + step)
        row, place = np.nonzero(candidates[block] >= 0)
        shown = references[candidates[block][row, place]]  # (P, L)
        wanted = (queries[block][row] * len(reference_local) + shown).ravel()
        numbers, number_of = np.unique(wanted, return_inverse=True)  # neighbouring windows share pairs of frames
        pairs = np.stack(np.divmod(numbers, len(reference_local)), axis=1)
        try:
            matches = match_pairs(
                query_local,
                reference_local,
                pairs,
                threshold=threshold,
                memory_bytes=memory_bytes - for_lists,
                device=torch.device(device),
                names=names,
            )
        except MemoryTooSmall as error:
            raise MemoryTooSmall(error.what, error.needed * _SHARE // (_SHARE - 1) + 1) from None
        scores[block][row, place] = matches[number_of].reshape(shown.shape).sum(axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")
    return Reranked(np.take_along_axis(candidates, order, 1), np.take_along_axis(scores, order, 1))


def _windows(local: RowMatrix, rows: np.ndarray | None) -> np.ndarray:
    """(W, L) frames of windows."""
    rows = np.arange(len(local)) if rows is None else np.asarray(rows)
    return rows.reshape(len(rows), -1)


@dataclass(frozen=True, kw_only=True)
class LocalFeatures(Reranker):
    """``local``: local features of the windows' frames; the distance is the number of matches, negated."""

    rerank_length: int = option("--rerankSeqL", 0, "frames per window that are compared; 0: --seqL")
    local_features: int = option(
        "--localFeatures", 0, "per frame that are compared, the most reliable of those extracted; 0: all", minimum=0
    )
    local_store: str = option(
        "--localStore", "", "folder of the local features; default: where extract wrote them", path=()
    )

    @property
    def compares(self) -> Compared:
        return "local features"

    def window_length(self, length: int) -> int:
        return self.rerank_length or length

    def check(self, reference: RerankSide, query: RerankSide) -> None:
        dims = [_local_features(side).shape[2] for side in (reference, query)]
        if dims[0] != dims[1]:
            raise UserError(f"`rerank` local: local features of {dims[0]} and {dims[1]} dimensions")

    def rerank(self, material: RerankMaterial, candidates: Ranking, queries: slice) -> Ranking:
        reference, query = material.reference, material.query
        found = rerank(
            _local_features(query),
            _local_features(reference),
            candidates.indices,
            query_rows=query.frames[queries],
            reference_rows=reference.frames,
            device=material.device,
            memory_bytes=material.memory_bytes,
            names=(query.name, reference.name),
        )
        distances = np.where(found.indices < 0, np.inf, -found.scores).astype(np.float32)
        return Ranking(found.indices, distances)


def _local_features(side: RerankSide) -> RowMatrix:
    if side.local_features is None:
        raise UserError(
            f"`rerank` local: {side.name} has no local features beside it; extract it with `local` and an image "
            "encoder that has them, such as fol"
        )
    return side.local_features
