"""The aggregator: patches go to clusters or are discarded, as optimal transport and the backbone's attention decide."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from opticornet.models.heads.optimal_transport import transport

ATTENTION_FLOOR = 0.01


@dataclass(frozen=True)
class Aggregated:
    """What the aggregator makes of an image; K clusters, N patches.

    Attributes:
        descriptor: (B, token_dim + cluster_dim * K), unit rows.
        assignment: (B, K, N), mass of each patch in each cluster; the rest of its mass is discarded.
        confidence: (B, N), a distribution over the patches: how much of each one is kept.
        importance: (B, N), a distribution over the patches: how much attention each one gets.
        guide: (B, N), the attention where it is not negligible, else 0.
    """

    descriptor: Tensor
    assignment: Tensor
    confidence: Tensor
    importance: Tensor
    guide: Tensor


class GuidedAggregator(nn.Module):
    """SALAD's aggregation with the backbone's attention deciding what goes to the dustbin.

    Without training its weights are as PyTorch initialises such layers, as the authors'.
    """

    def __init__(
        self,
        dim: int,
        clusters: int = 64,
        cluster_dim: int = 128,
        token_dim: int = 256,
        hidden: int = 512,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.token_features = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, token_dim))
        self.cluster_features = _patch_mlp(dim, hidden, cluster_dim, dropout)
        self.score = _patch_mlp(dim, hidden, clusters, dropout)
        self.out_dims = token_dim + cluster_dim * clusters

    def forward(self, features: Tensor, cls: Tensor, attention: Tensor) -> Aggregated:
        """Patch features (B, D, h, w), CLS token (B, D), its attention to the patches (B, h * w).

        Raises:
            ValueError: no more patches than clusters.
        """
        guide = torch.where(attention >= ATTENTION_FLOOR, attention, 0)
        plan = transport(self.score(features).flatten(2), 1 - guide).exp()  # (B, K + 1, N)
        assignment = plan[:, :-1]
        patches = self.cluster_features(features).flatten(2).float()  # (B, C, N)
        clusters = F.normalize(patches @ assignment.transpose(1, 2), dim=1)  # (B, C, K)
        token = F.normalize(self.token_features(cls).float(), dim=1)
        return Aggregated(
            descriptor=F.normalize(torch.cat([token, clusters.flatten(1)], dim=1), dim=1),
            assignment=assignment,
            confidence=cap_top(assignment.mean(1)).softmax(1),
            importance=cap_top(attention).softmax(1),
            guide=guide,
        )


def cap_top(values: Tensor, count: int = 3, rank: float = 0.05) -> Tensor:
    """(B, N) with each row's ``count`` largest values lowered to the one that int(rank * N) others exceed."""
    descending, order = values.sort(dim=1, descending=True)
    cap = descending[:, int(rank * values.shape[1]), None]
    return values.scatter(1, order[:, :count], cap.expand(-1, count))


def _patch_mlp(dim: int, hidden: int, out: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(dim, hidden, 1), nn.Dropout(dropout), nn.ReLU(), nn.Conv2d(hidden, out, 1))
