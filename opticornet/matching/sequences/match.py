"""Ranks places by matching windows of frames: all references, or candidates only.

The distances of all frames of a tile are one matrix product. A window pair's own distances are then a view of that
matrix, (L, W) for L query frames and W reference frames, and a matcher turns views into scores. Nothing is held but
a tile and the best K of each query.
"""

from collections.abc import Iterator

import numpy as np
import torch

from opticornet.matching.distances import euclidean
from opticornet.matching.memory import MemoryTooSmall
from opticornet.matching.ranking import Ranking, TopK, concatenate, sort_candidates
from opticornet.matching.sequences.base import FramesAround, SequenceMatcher
from opticornet.matching.sequences.windows import SequenceSet, Strip, read_strip
from opticornet.utils.mapped import release

MEMORY_BYTES = 1 << 30
_TILE_QUERIES, _TILE_REFERENCES = 512, 4096  # windows; more would not make the product faster
_CANDIDATE_QUERIES = 16  # neighbours share candidates; with more, too many products are between strangers
_BLOCK = 1 << 18  # scores computed at once on a CPU: they stay in its cache


def match(
    matcher: SequenceMatcher,
    reference: SequenceSet,
    query: SequenceSet,
    k: int,
    *,
    memory_bytes: int = MEMORY_BYTES,
    device: str | torch.device = "cpu",
) -> Ranking:
    """The ``k`` reference windows that match each query window best.

    Args:
        matcher: e.g. ``Diagonal()``; see ``SEQUENCE_MATCHERS``.
        reference, query: windows of the same length over frames of the same dimension.
        k: references per query, 1 to ``len(reference)``.
        memory_bytes: bound on what is held besides the frames, the result and its (M, k) int64 keys.
        device: where the distances are computed.

    Returns:
        Indices are window numbers of ``reference``; distances are the matcher's scores, smallest first.

    Raises:
        ValueError: k out of range, or lengths differ.
        MemoryTooSmall: ``memory_bytes`` cannot hold a tile of one window pair.
    """
    if not 1 <= k <= len(reference):
        raise ValueError(f"k is {k}, but there are {len(reference)} reference windows")
    margin = _margin(matcher, reference, query)
    query_starts, query_of = np.unique(query.starts, return_inverse=True)  # shifted windows share a start
    by_start = np.argsort(reference.starts, kind="stable")
    rows, columns = _tile_shape(query, query_starts, reference, reference.starts[by_start], margin, memory_bytes)
    best = TopK(len(query_starts), k, device)
    for column in range(0, len(by_start), columns):
        windows = by_start[column : column + columns]
        strip = read_strip(reference, reference.starts[windows], margin=margin, device=device)
        around = _frames_around_positions(reference, windows, strip, margin)
        numbers = torch.from_numpy(windows).to(device)
        for row in range(0, len(query_starts), rows):
            query_strip = read_strip(query, query_starts[row : row + rows], device=device)
            local = _local_distances(matcher, query_strip, strip, query.length, margin)
            for block in _blocks(query_strip.positions, local):
                positions = query_strip.positions[block]
                low = int(positions.min())
                scores = matcher.score(local[low : int(positions.max()) + 1], around)
                scores = _take(_take(scores, positions - low, 0), strip.positions, 1)
                best.update(slice(row + block.start, row + block.stop), scores, numbers)
        release(reference.frames)
        del strip, around, local  # before the next frames are read
    ranking = best.ranking()
    return Ranking(ranking.indices[query_of], ranking.distances[query_of])


def rerank(
    matcher: SequenceMatcher,
    reference: SequenceSet,
    query: SequenceSet,
    candidates: np.ndarray,
    *,
    memory_bytes: int = MEMORY_BYTES,
    device: str | torch.device = "cpu",
) -> Ranking:
    """Candidates of each query window in the order in which they match; arguments otherwise as :func:`match`.

    Args:
        candidates: (M, K) int64 window numbers of ``reference``; -1 for none, which stays last.

    Returns:
        (M, K) ranking of the same candidates; scores as :func:`match` gives them, infinite for none.
    """
    if candidates.ndim != 2 or len(candidates) != len(query) or candidates.max(initial=-1) >= len(reference):
        raise ValueError(
            f"candidates must be ({len(query)}, K) below {len(reference)}, "
            f"found {candidates.shape} up to {candidates.max(initial=-1)}"
        )
    margin = _margin(matcher, reference, query)
    step = _candidate_queries(query, candidates.shape[1], margin, memory_bytes)
    parts = []
    for start in range(0, len(query), step):
        wanted = candidates[start : start + step]  # (c, K)
        windows, place = np.unique(np.maximum(wanted, 0), return_inverse=True)
        place = place.reshape(wanted.shape)
        query_strip = read_strip(query, query.starts[start : start + step], device=device)
        strip = read_strip(reference, reference.starts[windows], margin=margin, device=device)
        local = _local_distances(matcher, query_strip, strip, query.length, margin)
        pairs = torch.from_numpy(query_strip.positions[:, None]), torch.from_numpy(strip.positions[place])
        before, after = (torch.from_numpy(side).to(device) for side in reference.frames_around(windows[place]))
        around = FramesAround(before, after, reference.place)
        scores = matcher.score(local[pairs[0].to(device), pairs[1].to(device)], around)  # (c, K)
        numbers = torch.from_numpy(wanted).to(device)
        parts.append(sort_candidates(scores.masked_fill(numbers < 0, torch.inf), numbers))
    return concatenate(parts)


def _local_distances(
    matcher: SequenceMatcher, query: Strip, reference: Strip, length: int, margin: int
) -> torch.Tensor:
    """(A, B, L, L + 2 * margin) view: prepared distances from every position A of the query strip on to those from
    every position B of the reference strip on."""
    frames = query.frames if query.scale is None else query.frames * query.scale[:, None]
    distances = euclidean(frames, reference.frames, query.squared, reference.squared, reference.scale)
    return matcher.prepare(distances, reference.real).unfold(0, length, 1).unfold(1, length + 2 * margin, 1)


def _frames_around_positions(reference: SequenceSet, windows: np.ndarray, strip: Strip, margin: int) -> FramesAround:
    """Frames around every position of a strip; none where no window begins."""
    positions = len(strip.frames) - reference.length - 2 * margin + 1

    def spread(frames: np.ndarray) -> torch.Tensor:
        side = np.zeros(positions, dtype=np.int64)
        side[strip.positions] = frames
        return torch.from_numpy(side).to(strip.frames.device)

    before, after = reference.frames_around(windows)
    return FramesAround(spread(before), spread(after), reference.place)


def _blocks(positions: np.ndarray, local: torch.Tensor) -> Iterator[slice]:
    """Cuts the windows at ``positions`` into blocks; a CPU's are small enough for its cache."""
    size = len(positions) if local.is_cuda else max(1, _BLOCK // local.shape[1])
    for start in range(0, len(positions), size):
        yield slice(start, min(start + size, len(positions)))


def _take(scores: torch.Tensor, positions: np.ndarray, dim: int) -> torch.Tensor:
    """Rows or columns of ``scores`` at ``positions``; nothing is copied where that is all of them in order."""
    if np.array_equal(positions, np.arange(scores.shape[dim])):
        return scores
    return scores.index_select(dim, torch.from_numpy(positions).to(scores.device))


def _margin(matcher: SequenceMatcher, reference: SequenceSet, query: SequenceSet) -> int:
    """The matcher's margin, once both sets are known to fit each other."""
    if reference.length != query.length or reference.frames.shape[1] != query.frames.shape[1]:
        raise ValueError(
            f"reference windows of {reference.length} frames in {reference.frames.shape[1]} dimensions cannot be "
            f"matched with query windows of {query.length} in {query.frames.shape[1]}"
        )
    if reference.place != query.place:
        raise ValueError(f"reference windows are of their frame {reference.place}, query windows of {query.place}")
    return matcher.margin(query.length, query.place)


def _tile_bytes(query_frames: int, reference_frames: int, dims: int, length: int) -> int:
    """What a tile holds: frames as read, the query's also scaled; distances, prepared, with two intermediate results;
    scores of a block with what a matcher needs for them (a path's costs at most), and their keys."""
    pairs = query_frames * reference_frames
    return 4 * dims * (2 * query_frames + reference_frames) + 16 * pairs + min(pairs, _BLOCK) * (12 * length + 48)


def _tile_shape(
    query: SequenceSet,
    query_starts: np.ndarray,
    reference: SequenceSet,
    reference_starts: np.ndarray,
    margin: int,
    memory_bytes: int,
) -> tuple[int, int]:
    """Query and reference windows of a tile that fits into ``memory_bytes``; both starts ascend."""
    rows, columns = min(_TILE_QUERIES, len(query_starts)), min(_TILE_REFERENCES, len(reference_starts))
    dims, length = query.frames.shape[1], query.length
    while True:
        needed = _tile_bytes(
            _frames_in_tile(query_starts, rows, length),
            _frames_in_tile(reference_starts, columns, length + 2 * margin),
            dims,
            length,
        )
        if needed <= memory_bytes:
            return rows, columns
        if rows == columns == 1:
            raise MemoryTooSmall("one pair of windows needs", needed)
        rows, columns = (rows, (columns + 1) // 2) if columns >= rows else ((rows + 1) // 2, columns)


def _frames_in_tile(starts: np.ndarray, windows: int, span: int) -> int:
    """Most frames that ``windows`` consecutive windows of ``span`` frames cover; ``starts`` ascend."""
    advance = np.minimum(np.diff(starts, append=starts[-1]), span)
    return int(np.add.reduceat(advance, np.arange(0, len(advance), windows)).max()) + span


def _candidate_queries(query: SequenceSet, k: int, margin: int, memory_bytes: int) -> int:
    """Queries whose candidates, should they share no frame, fit into ``memory_bytes`` together."""
    queries = _CANDIDATE_QUERIES
    while True:
        reference_frames = queries * k * (query.length + 2 * margin)
        needed = _tile_bytes(queries * query.length, reference_frames, query.frames.shape[1], query.length)
        if needed <= memory_bytes:
            return queries
        if queries == 1:
            raise MemoryTooSmall(f"{k} candidates need", needed)
        queries //= 2
