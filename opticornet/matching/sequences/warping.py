"""Sequence matching along any monotone path: dynamic time warping (Sakoe and Chiba, 1978)."""

from dataclasses import dataclass

import torch

from opticornet.matching.sequences.base import FramesAround, SequenceMatcher
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class Warping(SequenceMatcher):
    """Smallest weighted mean distance along a path from both first frames to both last frames.

    The symmetric form without slope constraint: a step forward in both windows counts its frame pair twice, a step in
    one of them once, the first pair twice; so every path weighs 2 L, by which the sum is divided. A path along the
    diagonal gives ``Diagonal``'s score.

    Attributes:
        band: largest difference of positions that may be paired (Sakoe-Chiba band), or None for any.
    """

    band: int | None = option(
        "--band", None, "largest difference of the positions in both windows that may be paired; default: any"
    )

    def __post_init__(self):
        if self.band is not None and self.band < 0:
            raise ValueError(f"the band must not be negative, found {self.band}")

    def score(self, local: torch.Tensor, around: FramesAround) -> torch.Tensor:
        length = local.shape[2]
        band = length if self.band is None else self.band
        above: dict[int, torch.Tensor] = {}  # cost of the best path to each reference position, one query frame ago
        for query in range(length):
            row: dict[int, torch.Tensor] = {}
            for reference in range(max(0, query - band), min(length, query + band + 1)):
                distance = local[:, :, query, reference]
                last = reference - 1
                steps = (
                    (above, last, 2),
                    (above, reference, 1),
                    (row, last, 1),
                )  # both, query only, reference only
                paths = [costs[end] + weight * distance for costs, end, weight in steps if end in costs]
                best = paths[0] if paths else 2 * distance
                for path in paths[1:]:
                    best = torch.minimum(best, path)
                row[reference] = best
            above = row
        return above[length - 1] / (2 * length)
