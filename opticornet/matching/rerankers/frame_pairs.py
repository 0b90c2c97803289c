"""Mutual matches of pairs of frames whose local features are on the disk, within a bound on memory.

Query frames are held, as many as the bound allows; each reference frame is then read and converted once for all of
them, in the order of its rows.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from opticornet.matching.memory import MemoryTooSmall
from opticornet.matching.rerankers.mutual_matches import (
    mutual_matches,
    tile_shape,
    usual_tile_bytes,
)
from opticornet.utils.device import single_threaded_workers
from opticornet.utils.errors import UserError
from opticornet.utils.mapped import RowMatrix, release

_ALIGNED = 16  # rows: of other numbers, products are slower by half
_SHARE = 8  # of the memory that cosines may take at most
UNIT_WITHIN = 2e-3  # lengths of features: float16 rounds them by less


@dataclass(frozen=True)
class MemoryPlan:
    """What is held at a time.

    Attributes:
        queries: query frames.
        references: reference frames of each worker, whose cosines with rows of one query frame make a tile.
        workers: threads, each of which takes references of its own.
        tile_bytes: of a tile.
    """

    queries: int
    references: int
    workers: int
    tile_bytes: int

    @classmethod
    def within(
        cls, memory_bytes: int, query: RowMatrix, reference: RowMatrix, workers: int, device: torch.device
    ) -> "MemoryPlan":
        """As much as fits into ``memory_bytes``, of at most so many workers.

        Raises:
            MemoryTooSmall: not even one pair of frames does.
        """
        one_query = _bytes_of_frame(query, 4)
        reading_query = _bytes_of_frame(query, query.dtype.itemsize + 5)  # as stored, converted, and their lengths
        smallest = 4 * reference.shape[1]
        tile = max(smallest, min(usual_tile_bytes(device), memory_bytes // _SHARE))
        while True:
            references, worker = _worker(query, reference, tile)
            for count in range(workers, 0, -1):
                left = memory_bytes - count * worker - reading_query
                if left >= one_query:
                    return cls(left // one_query, references, count, tile)
            if tile == smallest:
                raise MemoryTooSmall("one pair of frames needs", worker + reading_query + one_query)
            tile = max(smallest, tile // 2)


def _worker(query: RowMatrix, reference: RowMatrix, tile_bytes: int) -> tuple[int, int]:
    """Reference frames of a worker, and the bytes that these and a tile of their cosines take."""
    rows, features = query.shape[1], reference.shape[1]
    block, references = tile_shape(rows, features, tile_bytes)
    copies = 4 if references == 1 else 12  # converted; without unused rows; those that a query asks for
    reading = _bytes_of_frame(reference, reference.dtype.itemsize + 1 + copies)
    return references, references * (reading + 32 * rows + 16 * features + 4 * block * features)


def _bytes_of_frame(local: RowMatrix, of_number: int) -> int:
    return of_number * local.shape[1] * local.shape[2]


def match_pairs(
    query_local: RowMatrix,
    reference_local: RowMatrix,
    pairs: np.ndarray,
    *,
    threshold: float,
    memory_bytes: int,
    device: torch.device,
    names: tuple[str, str] = ("the queries", "the references"),
) -> np.ndarray:
    """Mutual matches of each pair of frames.

    Args:
        query_local: (F, M, C) float16 or float32, unit rows padded with zero rows; may be a memory map, of which only
            the frames at hand are read.
        reference_local: (R, N, C) likewise.
        pairs: (P, 2) int64 query frame and reference frame, none twice.
        threshold: of a match's cosine.
        memory_bytes: bound on what is held besides pairs and result.
        device: where to compute.
        names: of the two sides, for messages.

    Returns:
        (P,) int64.

    Raises:
        MemoryTooSmall: ``memory_bytes`` does not hold one pair of frames.
        UserError: NaN or infinity in features, or rows that are neither of unit length nor zero.
    """
    workers = 1 if device.type == "cuda" else torch.get_num_threads()
    plan = MemoryPlan.within(memory_bytes, query_local, reference_local, workers, device)
    frames, query_of = np.unique(pairs[:, 0], return_inverse=True)
    matches = np.zeros(len(pairs), np.int64)
    with single_threaded_workers(plan.workers) as work:
        for first in range(0, len(frames), plan.queries):
            block = frames[first : first + plan.queries]
            held = {frame: _read(query_local, np.array([frame]), device, names[0])[0][0] for frame in block.tolist()}
            mine = np.flatnonzero((query_of >= first) & (query_of < first + len(block)))
            some = [mine[places] for places in _by_references(pairs[mine, 1], plan.references)]
            match = partial(_match_held, held, reference_local, names[1], threshold, plan.tile_bytes, device)
            for places, found in zip(some, work(match, [pairs[places] for places in some]), strict=True):
                matches[places] = found
    return matches


def _match_held(
    held: Mapping[int, Tensor],
    reference_local: RowMatrix,
    name: str,
    threshold: float,
    tile_bytes: int,
    device: torch.device,
    pairs: np.ndarray,
) -> np.ndarray:
    """:func:`match_pairs` of pairs of ``held`` query frames and a few reference frames, which are read once."""
    references, row_of = np.unique(pairs[:, 1], return_inverse=True)
    matches = np.zeros(len(pairs), np.int64)
    with torch.inference_mode():  # which each thread has of its own
        features, used = _read(reference_local, references, device, name)
        for frame in np.unique(pairs[:, 0]).tolist():
            places = np.flatnonzero(pairs[:, 0] == frame)
            rows = torch.from_numpy(row_of[places]).to(device)
            own = (features, used) if len(rows) == len(features) else (features[rows], used[rows])
            found = mutual_matches(held[frame], own[0], threshold, used=own[1], tile_bytes=tile_bytes)
            matches[places] = found.cpu().numpy()
    return matches


def _by_references(references: np.ndarray, step: int) -> list[np.ndarray]:
    """Places of the ``step`` lowest references, which rise, then those of the next."""
    order = np.argsort(references, kind="stable")
    begins = np.flatnonzero(np.diff(references[order], prepend=-1))[::step]
    return np.split(order, begins[1:])


def _read(local: RowMatrix, frames: np.ndarray, device: torch.device, name: str) -> tuple[Tensor, Tensor]:
    """Features of frames, (K, n, C) float32 up to the last row that any of them uses and a few of those behind, one at
    least where there are such; and which rows are not zero, (K, n) bool."""
    stored = torch.from_numpy(np.ascontiguousarray(local[frames]))
    release(local)
    features = stored.to(device).float()
    lengths = torch.linalg.vector_norm(features, dim=2)
    used = lengths != 0
    if (bad := ((lengths - 1).abs() > UNIT_WITHIN) & used | lengths.isnan()).any():
        frame, row = bad.nonzero()[0].tolist()
        length = float(lengths[frame, row])
        have = f"a length of {length:.3f}" if math.isfinite(length) else "NaN or infinity"
        raise UserError(
            f"local features of {name} have {have} in frame {frames[frame]} of the split; wanted unit rows, or zeros; "
            "extract them again"
        )
    rows = used.any(0).nonzero()
    kept = _ALIGNED * ((int(rows[-1]) + 1 if len(rows) else 0) // _ALIGNED + 1)
    return features[:, :kept], used[:, :kept]
