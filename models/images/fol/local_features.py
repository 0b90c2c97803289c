"""Which patches have local features, and the rows of a dense map that are theirs."""

import torch
import torch.nn.functional as F
from torch import Tensor

CELLS = 225  # patches whose surroundings give local features
CELL_ROWS = 16  # a patch covers at most 4 x 4 positions of the dense map


def top_cells(confidence: Tensor, grid: tuple[int, int], cells: int = CELLS) -> Tensor:
    """Boolean map (B, h, w) of the ``cells`` most confident of (B, h * w) patches; of all where there are no more."""
    chosen = confidence.topk(min(cells, confidence.shape[1]), dim=1).indices
    return torch.zeros_like(confidence, dtype=torch.bool).scatter(1, chosen, True).unflatten(1, grid)


def enlarge(cells: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest-neighbour enlargement of (B, h, w) to (B, H, W)."""
    return F.interpolate(cells.unsqueeze(1), size=size, mode="nearest")[:, 0]


def select_local(local_map: Tensor, reliability: Tensor, rows: int) -> Tensor:
    """:func:`chosen_rows`, each of unit length."""
    return F.normalize(chosen_rows(local_map, reliability, rows), dim=2)


def chosen_rows(local_map: Tensor, reliability: Tensor, rows: int) -> Tensor:
    """Local features of chosen patches, the most reliable first: (B, C, H, W) to float32 (B, rows, C), unused rows 0.

    ``reliability`` (B, h, w) is that of a patch, 0 where it is not chosen; equally reliable rows are in raster order.
    """
    height, width = local_map.shape[-2:]
    descending, order = enlarge(reliability, (height, width)).flatten(1).sort(dim=1, descending=True, stable=True)
    used, order = descending[:, :rows] > 0, order[:, :rows]  # (B, rows), fewer where the map is smaller
    vectors = local_map.flatten(2).transpose(1, 2).float()  # (B, H * W, C)
    vectors = vectors.gather(1, order.unsqueeze(2).expand(-1, -1, vectors.shape[2])) * used.unsqueeze(2)
    return F.pad(vectors, (0, 0, 0, rows - used.shape[1]))
