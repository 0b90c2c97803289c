"""Descriptors centred and scaled over a whole traverse."""

from pathlib import Path

import numpy as np

from opticornet.utils.array_files import map_npy
from opticornet.utils.rows import RowWriter

BLOCK_BYTES = 64 << 20  # of descriptors in memory


def standardise(path: Path, target: Path, usable: np.ndarray | None = None) -> None:
    """Copy a ``.npy`` with its rows as (row - mean) / deviation over all rows, each then of unit length.

    Rows that are not ``usable`` (N,) take no part and become zeros, as does a dimension that never varies. Mean and
    deviation are float64; memory does not grow with the rows.
    """
    rows = map_npy(path)
    weights = np.ones(len(rows)) if usable is None else usable.astype(np.float64)
    block = max(1, BLOCK_BYTES // (rows.shape[1] * 8))
    starts = range(0, len(rows), block)
    total = weights.sum()
    mean = sum(weights[i : i + block] @ np.asarray(rows[i : i + block], np.float64) for i in starts) / total
    variance = sum(weights[i : i + block] @ np.square(rows[i : i + block] - mean) for i in starts) / total
    deviation = np.sqrt(variance)
    scale = np.divide(1, deviation, out=np.zeros_like(mean), where=deviation > 1e-9)
    writer = RowWriter(target, rows.shape[1:], rows.dtype)
    try:
        for i in starts:
            standard = (rows[i : i + block] - mean) * scale * weights[i : i + block, None]
            length = np.linalg.norm(standard, axis=1, keepdims=True)
            writer.append(standard / np.maximum(length, 1e-12))
        writer.sync()
    finally:
        writer.close()
