"""Sequence matching at equal speed: SeqNet's matcher (Garg and Milford, RA-L 2021)."""

from dataclasses import dataclass

import torch

from opticornet.matching.sequences.base import FramesAround, SequenceMatcher


@dataclass(frozen=True, kw_only=True)
class Diagonal(SequenceMatcher):
    """Mean distance of the frames at the same position of both windows."""

    def score(self, local: torch.Tensor, around: FramesAround) -> torch.Tensor:
        length = local.shape[2]
        total = local[:, :, 0, 0].clone()
        for position in range(1, length):
            total += local[:, :, position, position]
        return total.div_(length)
