"""``weak``: FoL's weak supervision of local features, which draws corresponding places of two images together."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from opticornet.learning.images.terms.base import LabelledImages, LossTerm, LossTermOptions
from opticornet.learning.images.terms.partners import next_of_place
from opticornet.models.images.dinov2 import PATCH
from opticornet.models.images.fol.encoder import DescribedFoL

ATTENDED = 0.1  # attention above which a patch is an anchor
ASSIGNED = 0.1  # mass in the anchor's cluster above which a patch may correspond to it
SIMILAR, DISTINCT = 0.8, 2.0  # cosine of the best such patch, and how many times that of the second best
FOREIGN = -10.0  # in place of the cosine of a patch that may not correspond
ANCHORS = 5  # of an image at most
SCALE = 1e-2
MEMORY_BYTES = 256 * 2**20  # of the cosines between patches held at a time; those of one pair where that is more


class WeakCorrespondences(LossTerm):
    """Of each image and the next one of its place: 1 - the cosine of their local features around corresponding patches,
    weighted by these patches' cosine, mean over the correspondences. From Wang et al., "Focus on Local", AAAI 2025."""

    takes = DescribedFoL

    def forward(self, images: LabelledImages) -> Tensor:
        described = images.described
        assert isinstance(described, DescribedFoL)
        partners = next_of_place(images.places)
        found = correspondences(described.patches, described.assignment, described.guide, partners)
        return correspondence_loss(described.local, found, (described.cells.shape[1], described.cells.shape[2]))


@dataclass(frozen=True)
class Correspondences:
    """Patches of two images that show the same, m in all.

    Attributes:
        images: (m, 2) int64, the two images.
        patches: (m, 2) int64, a patch of each, counted row by row.
        similarity: (m,), their cosine.
    """

    images: Tensor
    patches: Tensor
    similarity: Tensor


@torch.no_grad()
def correspondences(patches: Tensor, assignment: Tensor, guide: Tensor, partners: Tensor) -> Correspondences:
    """The first five patches of each image, in their order, that have one clear correspondence in its partner.

    A patch that is attended to corresponds to the most similar one among those that the aggregator puts into its
    cluster. The very first attended patch of an image is left out, as in the published code.

    Args:
        patches: (B, D, N) unit patch features.
        assignment: (B, K, N), mass of each patch in each cluster.
        guide: (B, N), attention to each patch.
        partners: (B,) int64, the image that each one is compared with; itself: none.
    """
    images = (partners != torch.arange(len(partners), device=partners.device)).nonzero()[:, 0]
    at_once = max(1, MEMORY_BYTES // (patches.shape[2] ** 2 * patches.element_size()))
    parts = list(_correspondences(patches, assignment, guide, images.split(at_once), partners))
    return Correspondences(
        torch.cat([part.images for part in parts]),
        torch.cat([part.patches for part in parts]),
        torch.cat([part.similarity for part in parts]),
    )


def _correspondences(
    patches: Tensor, assignment: Tensor, guide: Tensor, chunks: tuple[Tensor, ...], partners: Tensor
) -> Iterator[Correspondences]:
    for first in chunks:
        second = partners[first]
        cosines = patches[first].transpose(1, 2) @ patches[second]  # (P, N, N)
        cluster = assignment[first].argmax(1)  # (P, N)
        mass = assignment[second].gather(1, cluster.unsqueeze(2).expand_as(cosines))  # of each patch in that cluster
        best, patch = cosines.masked_fill_(mass <= ASSIGNED, FOREIGN).topk(2, dim=2)  # (P, N, 2)
        attended = guide[first] > ATTENDED
        distinct = (best[..., 0] > SIMILAR) & (best[..., 0] / best[..., 1] > DISTINCT)
        accepted = attended & (attended.cumsum(1) > 1) & distinct
        pair, anchor = (accepted & (accepted.cumsum(1) <= ANCHORS)).nonzero(as_tuple=True)
        yield Correspondences(
            torch.stack([first[pair], second[pair]], dim=1),
            torch.stack([anchor, patch[pair, anchor, 0]], dim=1),
            best[pair, anchor, 0],
        )


def correspondence_loss(local: Tensor, found: Correspondences, grid: tuple[int, int]) -> Tensor:
    """Mean over the correspondences, 0 without any.

    Args:
        local: (B, C, H, W) unit local features.
        found: the correspondences between its images.
        grid: (h, w) patches of an image.
    """
    places = centres(grid, device=local.device)[found.patches]  # (m, 2, 2)
    anchor, positive = (surroundings(local, found.images[:, side], places[:, side]) for side in (0, 1))
    distances = 1 - F.cosine_similarity(anchor, positive, dim=1)
    return (SCALE * found.similarity * distances).sum() / max(len(distances), 1)


def surroundings(local: Tensor, images: Tensor, places: Tensor) -> Tensor:
    """Mean of the 3 x 3 local features around each place: (B, C, H, W), (m,), (m, 2) rows and columns -> (m, C)."""
    steps = torch.arange(-1, 2, device=local.device)
    offsets = torch.cartesian_prod(steps, steps)  # (9, 2)
    around = places.unsqueeze(1) + offsets  # (m, 9, 2)
    rows = around[..., 0].clamp(0, local.shape[2] - 1)
    columns = around[..., 1].clamp(0, local.shape[3] - 1)
    return local[images.unsqueeze(1), :, rows, columns].mean(1)


def centres(grid: tuple[int, int], device: torch.device | str = "cpu") -> Tensor:
    """(h * w, 2) int64: row and column of the local map, (4h - 3, 4w - 3), at each patch's centre, halves to even."""
    rows, columns = (
        ((PATCH * torch.arange(side, dtype=torch.float64) + PATCH // 2) / (PATCH * side / (4 * side - 3))).round()
        for side in grid
    )
    return torch.cartesian_prod(rows, columns).long().to(device)


@dataclass(frozen=True, kw_only=True)
class WeakOptions(LossTermOptions):
    """``weak``."""

    weight: ClassVar[float] = 1.0

    def build(self) -> WeakCorrespondences:
        return WeakCorrespondences()
