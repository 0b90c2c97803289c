"""NetVLAD: local features as residuals to learnt centroids.

Arandjelovic et al., "NetVLAD: CNN Architecture for Weakly Supervised Place Recognition", CVPR 2016.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class NetVLADLayer(nn.Module):
    """Residuals of local features to learnt centroids, summed under a soft assignment: (B, D, h, w) -> (B, K * D).

    Features are brought to unit length first, then each cluster's residual sum, then the whole vector (cluster by
    cluster). Equation 4 of the paper; the assignment has no bias, as in its public PyTorch versions.
    """

    def __init__(self, clusters: int = 64, dim: int = 512) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, clusters, 1, bias=False)
        self.centroids = nn.Parameter(torch.rand(clusters, dim))

    def forward(self, features: Tensor) -> Tensor:
        features = functional.normalize(features, dim=1)
        assignment = self.conv(features).flatten(2).softmax(1)  # (B, K, N)
        # sum_n a_kn (x_n - c_k) without the (B, K, D, N) residuals
        sums = assignment @ features.flatten(2).transpose(1, 2)  # (B, K, D)
        residuals = sums - assignment.sum(2, keepdim=True) * self.centroids
        return functional.normalize(functional.normalize(residuals, dim=2).flatten(1), dim=1)

    def initialise(self, centroids: Tensor, descriptors: Tensor) -> float:
        """Set the layer from k-means ``centroids`` (K, D) and unit sample ``descriptors`` (M, D).

        The sharpness alpha is such that a typical sample is assigned 100 times more to its nearest centroid than to
        the second.

        Returns:
            alpha.
        """
        directions = functional.normalize(centroids, dim=1)
        nearest_two = (directions @ descriptors.T).topk(2, dim=0).values  # (2, M)
        alpha = math.log(100) / (nearest_two[0] - nearest_two[1]).mean().item()
        with torch.no_grad():
            self.centroids.copy_(centroids)
            self.conv.weight.copy_((alpha * directions)[:, :, None, None])
        return alpha
