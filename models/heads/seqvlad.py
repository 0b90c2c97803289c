"""SeqVLAD: the tokens of all frames of a window as residuals to learnt centroids.

Mereu et al., "Learning Sequential Descriptors for Sequence-based Visual Place Recognition", RA-L 2022; as STA has it,
which brings each token to unit length.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from opticornet.models.heads.vlad import assignment_weights, cluster_centres, residual_sums


class SeqVLAD(nn.Module):
    """Tokens of windows to unit rows: (B, L, N, D) -> (B, K * D), cluster by cluster."""

    def __init__(self, clusters: int = 64, dim: int = 384) -> None:
        super().__init__()
        self.conv = nn.Conv1d(dim, clusters, 1, bias=False)
        self.centroids = nn.Parameter(torch.rand(clusters, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = functional.normalize(tokens.flatten(1, 2), dim=2)  # (B, L N, D)
        assignment = (tokens @ self.conv.weight[:, :, 0].T).softmax(2).transpose(1, 2)  # (B, K, L N)
        residuals = functional.normalize(residual_sums(tokens, assignment, self.centroids), dim=2)  # (B, K, D)
        return functional.normalize(residuals.flatten(1), dim=1)

    def initialise(self, centroids: Tensor, descriptors: Tensor) -> float:
        """Set the layer from k-means ``centroids`` (K, D) and unit sample ``descriptors`` (M, D), as NetVLAD's.

        Returns:
            alpha, the sharpness of the assignment.
        """
        alpha, weights = assignment_weights(centroids, descriptors)
        with torch.no_grad():
            self.centroids.copy_(centroids)
            self.conv.weight.copy_(weights[:, :, None])
        return alpha

    def start_from(self, tokens: Tensor, seed: int) -> float:
        """:meth:`initialise` from a sample of tokens (M, D) of training frames, by k-means.

        Returns:
            alpha.

        Raises:
            ValueError: fewer tokens than clusters, or the clusters are all the same.
        """
        unit = functional.normalize(tokens, dim=1).float()
        return self.initialise(cluster_centres(unit, len(self.centroids), seed), unit)
