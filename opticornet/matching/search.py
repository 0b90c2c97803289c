"""The nearest references of a descriptor: exact, or through any faiss index."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext

import faiss
import numpy as np
import torch

from opticornet.matching.distances import NEAR, euclidean, squared_norms
from opticornet.matching.ranking import Ranking, TopK, sort_candidates

EXACT = "Flat"
_TILE_QUERIES, _TILE_REFERENCES = 1024, 8192  # a tile of distances is 32 MiB


def search(
    reference: np.ndarray,
    query: np.ndarray,
    k: int,
    *,
    index: str = EXACT,
    device: str | torch.device = "cpu",
    seed: int = 0,
    probes: int | None = None,
) -> Ranking:
    """The ``k`` references nearest to each query, by Euclidean distance.

    Exact search (``index="Flat"``) is faiss' on a CPU and :func:`search_tiles` on a CUDA device. To bound memory by
    a block of queries at a time, keep an :class:`Index` and concatenate its answers.

    Args:
        reference: (N, O) float32.
        query: (M, O) float32.
        k: 1 to N.
        index: a faiss ``index_factory`` string, e.g. "IVF1024,Flat" or "HNSW32"; trained on the reference.
        device: where exact search runs; every other index runs on the CPU.
        seed: of an index's clustering.
        probes: lists of an inverted file that are visited per query, faiss' nprobe; None: :func:`default_probes`.

    Raises:
        ValueError: k or probes out of range, or an index string that faiss does not know, that does not fit O, or that
            needs more references than there are to be trained.
    """
    return Index(reference, index, device=device, seed=seed, probes=probes).search(query, k)


class Index:
    """References ready to be searched by one block of queries after another. Arguments as :func:`search`.

    Attributes:
        settings: what decides how thoroughly an approximate index searches, by faiss' names: ``nlist`` and ``nprobe``
            of an inverted file, ``efSearch`` of a graph; empty where there is no such setting.
    """

    def __init__(
        self,
        reference: np.ndarray,
        index: str = EXACT,
        *,
        device: str | torch.device = "cpu",
        seed: int = 0,
        probes: int | None = None,
    ):
        rows = np.ascontiguousarray(reference, dtype=np.float32)
        self._reference: np.ndarray | torch.Tensor = rows
        self._device = torch.device(device)
        self._index = None if index == EXACT else _build(rows, index, seed, probes)
        self.settings = {} if self._index is None else _settings(self._index)
        if self._device.type == "cuda" and self._index is None:  # uploaded once, not for every block of queries
            self._reference = torch.as_tensor(self._reference, device=self._device)

    def search(self, query: np.ndarray, k: int) -> Ranking:
        """The ``k`` references nearest to each row of ``query`` (M, O) float32."""
        if not 1 <= k <= len(self._reference):
            raise ValueError(f"k is {k}, but there are {len(self._reference)} references")
        query = np.ascontiguousarray(query, dtype=np.float32)
        if self._index is not None:
            squared, indices = self._index.search(query, k)
            return _ranking(squared, indices)
        if isinstance(self._reference, np.ndarray):
            return _search_faiss(self._reference, query, k)
        return search_tiles([self._reference], query, k, device=self._device)


def search_tiles(
    reference_chunks: Iterable[np.ndarray | torch.Tensor],
    query: np.ndarray,
    k: int,
    *,
    device: str | torch.device = "cpu",
) -> Ranking:
    """Exact search of references that arrive in consecutive chunks and need never be held together.

    Args:
        reference_chunks: (n, O) float32 arrays; together at least ``k`` rows.
        query: (M, O) float32.
        k: references per query.
        device: where the distances are computed.

    Returns:
        The ranking over all chunks; a row's index counts from the first chunk's first row.
    """
    query_rows = torch.as_tensor(query, dtype=torch.float32, device=device)
    query_squared = squared_norms(query_rows)
    best = TopK(len(query_rows), k, device)
    seen = 0
    for chunk in reference_chunks:
        for tile in torch.as_tensor(chunk, dtype=torch.float32, device=device).split(_TILE_REFERENCES):
            tile_squared = squared_norms(tile)
            indices = torch.arange(seen, seen + len(tile), device=device)
            seen += len(tile)
            for start in range(0, len(query_rows), _TILE_QUERIES):
                rows = slice(start, start + _TILE_QUERIES)
                best.update(rows, euclidean(query_rows[rows], tile, query_squared[rows], tile_squared), indices)
    if seen < k:
        raise ValueError(f"k is {k}, but there are {seen} references")
    return best.ranking()


def _search_faiss(reference: np.ndarray, query: np.ndarray, k: int) -> Ranking:
    """Brute force without a copy of the reference. Queries that have near duplicates among the references, where
    faiss' squared distances lose their digits, are searched again in tiles that do not."""
    squared, indices = faiss.knn(query, reference, k)
    ranking = _ranking(squared, indices)
    near = squared[:, 0] < NEAR * 2 * np.einsum("ij,ij->i", query, query)
    if near.any():
        again = search_tiles([reference], query[near], k)
        ranking.indices[near], ranking.distances[near] = again.indices, again.distances
    return ranking


def _ranking(squared: np.ndarray, indices: np.ndarray) -> Ranking:
    """faiss' answer as a ranking: distances no longer squared, ties by index."""
    distances = np.sqrt(np.where(indices < 0, np.inf, np.maximum(squared, 0)), dtype=np.float32)
    return sort_candidates(torch.from_numpy(distances), torch.from_numpy(indices))


def check_index(description: str, dims: int) -> None:
    """Raise the ValueError of :func:`search` where an index string is unknown or does not fit vectors of ``dims``."""
    try:
        faiss.index_factory(dims, description)
    except RuntimeError as error:
        raise ValueError(
            f"index {description!r} cannot be built for {dims} dimensions: {_reason(error)}; faiss writes them as "
            "IVF64,Flat, PQ16 or HNSW32"
        ) from error


def default_probes(lists: int) -> int:
    """Lists of an inverted file to visit per query: a sixteenth of them, at least one (faiss visits one)."""
    return max(1, lists // 16)


def _build(reference: np.ndarray, description: str, seed: int, probes: int | None) -> faiss.Index:
    """A trained and filled faiss index."""
    try:
        index = faiss.index_factory(reference.shape[1], description)
        _prepare_inverted_file(index, seed, probes)
        graph = re.search("HNSW|NSG", description)  # comes out differently when several threads build it
        with search_threads(1) if graph else nullcontext():
            index.train(reference)
            index.add(reference)
    except RuntimeError as error:
        raise ValueError(
            f"index {description!r} cannot be built from {len(reference)} references of "
            f"{reference.shape[1]} dimensions: {_reason(error)}"
        ) from error
    return index


def _reason(error: RuntimeError) -> str:
    """faiss' message without the place in its source."""
    return re.sub(r"(?s)^Error in .*?:\d+: (Error: '.*?' failed: ?)?", "", str(error)).strip()


def _prepare_inverted_file(index: faiss.Index, seed: int, probes: int | None) -> None:
    """Seed the clustering of an inverted file and set how many of its lists are visited per query."""
    inverted_file = faiss.try_extract_index_ivf(index)
    if inverted_file is None:
        return
    if probes is not None and not 1 <= probes <= inverted_file.nlist:
        raise ValueError(f"probes is {probes}, but there are {inverted_file.nlist} lists")
    inverted_file.cp.seed = seed
    inverted_file.nprobe = default_probes(inverted_file.nlist) if probes is None else probes


def _settings(index: faiss.Index) -> dict[str, int]:
    """See :attr:`Index.settings`."""
    inverted_file = faiss.try_extract_index_ivf(index)
    if inverted_file is not None:
        return {"nlist": inverted_file.nlist, "nprobe": inverted_file.nprobe}
    graph = getattr(index, "hnsw", None)
    return {} if graph is None else {"efSearch": graph.efSearch}


@contextmanager
def search_threads(threads: int) -> Iterator[None]:
    """faiss computes with so many CPU threads inside the block, and with as many as before after it."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
