"""``local``: FoL's local loss, which asks more matches of an image of the place than of one of another place."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from opticornet.learning.images.terms.base import LabelledImages, LossTerm, LossTermOptions
from opticornet.models.images.fol.encoder import DescribedFoL
from opticornet.models.images.fol.local_features import chosen_rows, enlarge

THRESHOLD = 0.7  # cosine above which two local features match
MEMORY_BYTES = 256 * 2**20  # of the cosines between local features held at a time; those of one pair where that is more


class LocalTriplets(LossTerm):
    """Of each image, its farthest image of the place and its nearest of another, by their descriptors: how much more
    similar the local features of the latter are, summed over the images. From Wang et al., "Focus on Local", AAAI 2025.

    Two images are as similar as their matches are on average: mutual nearest neighbours of a cosine above 0.7. Without
    any their similarity is 0 (it has no value in the published code, which so loses the batch).
    """

    takes = DescribedFoL

    def __init__(self) -> None:
        super().__init__()
        from pytorch_metric_learning.miners import BatchHardMiner

        self.miner = BatchHardMiner()

    def forward(self, images: LabelledImages) -> Tensor:
        described = images.described
        assert isinstance(described, DescribedFoL)
        triplets = torch.stack(self.miner(described.descriptors.detach(), images.places), dim=1)
        reliability = described.cells.float()
        used = enlarge(reliability, (described.local.shape[2], described.local.shape[3])).sum((1, 2))
        return triplet_loss(chosen_rows(described.local, reliability, int(used.max())), triplets)


def triplet_loss(rows: Tensor, triplets: Tensor) -> Tensor:
    """Sum over triplets of max(0, similarity to the negative - similarity to the positive), scalar.

    The matches are found a few pairs at a time and without gradients; given these, the loss is a quadratic form of all
    rows, with one entry of a sparse matrix a match, so that its gradient needs no more memory than the rows.

    Args:
        rows: (B, M, C) float32 local features, unit rows padded with zero rows.
        triplets: (T, 3) int64: anchor, positive, negative.
    """
    wanted = torch.cat([triplets[:, :2], triplets[:, ::2]]).sort(dim=1).values  # of two images, whichever comes first
    pairs, of_wanted = wanted.unique(dim=0, return_inverse=True)
    matches = find_matches(rows.detach(), pairs)
    positive, negative = matches.similarity[of_wanted].chunk(2)  # (T,) each
    pushes = (negative > positive).float()
    slope = pushes.new_zeros(len(pairs)).index_add(0, of_wanted, torch.cat([-pushes, pushes]))  # of each similarity
    flat = rows.flatten(0, 1)  # (B * M, C)
    values = (slope / matches.count.clamp(min=1))[matches.pair]  # (m,)
    weights = torch.sparse_coo_tensor(matches.rows, values, (len(flat), len(flat)), check_invariants=False)
    return (flat * torch.sparse.mm(weights, flat)).sum()


@dataclass(frozen=True)
class Matches:
    """Matches between the local features of P pairs of images, m in all.

    Attributes:
        similarity: (P,), mean cosine of a pair's matches; 0 of a pair without any.
        count: (P,) int64, how many it has.
        pair: (m,) int64, the pair that a match is of.
        rows: (2, m) int64, the two rows that match, counted through all images: M * image + row.
    """

    similarity: Tensor
    count: Tensor
    pair: Tensor
    rows: Tensor


@torch.no_grad()
def find_matches(rows: Tensor, pairs: Tensor, memory_bytes: int = MEMORY_BYTES) -> Matches:
    """The matches of images (P, 2) int64 whose local features are ``rows`` (B, M, C), as for :func:`triplet_loss`."""
    size = rows.shape[1]
    at_once = max(1, memory_bytes // (size * size * rows.element_size()))
    found = [_matches_of(rows, chunk) for chunk in pairs.split(at_once)]
    return Matches(
        torch.cat([part.similarity for part in found]),
        torch.cat([part.count for part in found]),
        torch.cat([part.pair + number * at_once for number, part in enumerate(found)]),
        torch.cat([part.rows for part in found], dim=1),
    )


def _matches_of(rows: Tensor, pairs: Tensor) -> Matches:
    size = rows.shape[1]
    first, second = pairs[:, 0], pairs[:, 1]
    cosines = rows[first] @ rows[second].transpose(1, 2)  # (P, M, M)
    best, nearest = cosines.max(2)  # (P, M)
    back = cosines.argmax(1).gather(1, nearest)  # the row that each row's nearest neighbour prefers
    matched = (back == torch.arange(size, device=rows.device)) & (best > THRESHOLD)
    pair, row = matched.nonzero(as_tuple=True)
    count = matched.sum(1)
    return Matches(
        similarity=(best * matched).sum(1) / count.clamp(min=1),
        count=count,
        pair=pair,
        rows=torch.stack([first[pair] * size + row, second[pair] * size + nearest[pair, row]]),
    )


@dataclass(frozen=True, kw_only=True)
class LocalOptions(LossTermOptions):
    """``local``."""

    weight: ClassVar[float] = 1.0

    def build(self) -> LocalTriplets:
        return LocalTriplets()
