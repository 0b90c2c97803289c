"""NetVLAD: local features as residuals to learnt centroids.

Arandjelovic et al., "NetVLAD: CNN Architecture for Weakly Supervised Place Recognition", CVPR 2016.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

KMEANS_ITERATIONS = 100
SAMPLED_FEATURES = 100  # of an image, for k-means


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
        residuals = residual_sums(features.flatten(2).transpose(1, 2), assignment, self.centroids)
        return functional.normalize(functional.normalize(residuals, dim=2).flatten(1), dim=1)

    def initialise(self, centroids: Tensor, descriptors: Tensor) -> float:
        """Set the layer from k-means ``centroids`` (K, D) and unit sample ``descriptors`` (M, D).

        Returns:
            alpha, as :func:`assignment_weights`.
        """
        alpha, weights = assignment_weights(centroids, descriptors)
        with torch.no_grad():
            self.centroids.copy_(centroids)
            self.conv.weight.copy_(weights[:, :, None, None])
        return alpha


def residual_sums(features: Tensor, assignment: Tensor, centroids: Tensor) -> Tensor:
    """sum_n a_kn (x_n - c_k) of features (B, N, D) assigned by (B, K, N): (B, K, D), without N residuals of each."""
    return assignment @ features - assignment.sum(2, keepdim=True) * centroids


def assignment_weights(centroids: Tensor, descriptors: Tensor) -> tuple[float, Tensor]:
    """The sharpness alpha of an assignment, and its weights (K, D), from ``centroids`` and unit ``descriptors`` (M, D).

    Alpha is such that a typical descriptor is assigned 100 times more to its nearest centroid than to the second.

    Raises:
        ValueError: centroids do not differ.
    """
    directions = functional.normalize(centroids, dim=1)
    nearest_two = (directions @ descriptors.T).topk(2, dim=0).values  # (2, M)
    gap = (nearest_two[0] - nearest_two[1]).mean().item()
    if not gap > 1e-6:  # rounding
        raise ValueError("all clusters are the same")
    alpha = math.log(100) / gap
    return alpha, alpha * directions


def sampled(features: Tensor, generator: torch.Generator) -> Tensor:
    """:data:`SAMPLED_FEATURES` of each image's features, fewer where it has fewer: (B, N, D) to (M, D)."""
    order = torch.rand(features.shape[:2], generator=generator).argsort(1)[:, :SAMPLED_FEATURES, None]
    return features.gather(1, order.to(features.device).expand(-1, -1, features.shape[2])).flatten(0, 1)


def cluster_centres(features: Tensor, clusters: int, seed: int) -> Tensor:
    """Centres (K, D) of k-means on unit ``features`` (M, D), on their device.

    Raises:
        ValueError: fewer features than clusters.
    """
    import faiss

    if len(features) < clusters:
        raise ValueError(f"{len(features)} local features cannot be put into {clusters} clusters")
    kmeans = faiss.Kmeans(features.shape[1], clusters, niter=KMEANS_ITERATIONS, seed=seed, min_points_per_centroid=1)
    kmeans.train(np.ascontiguousarray(features.float().cpu().numpy()))
    return torch.from_numpy(kmeans.centroids).to(features.device)
