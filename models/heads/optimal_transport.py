"""Soft assignment of patches to clusters by optimal transport, with a dustbin for patches without information.

Izquierdo and Civera, "Optimal Transport Aggregation for Visual Place Recognition", CVPR 2024 (SALAD).
"""

import math

import torch
from torch import Tensor


def transport(scores: Tensor, dustbin: Tensor, iterations: int = 3) -> Tensor:
    """Log optimal-transport plan between K clusters plus a dustbin and N patches, by Sinkhorn's iteration.

    scores (B, K, N), dustbin (B, N) -> (B, K + 1, N), the dustbin last; each column of its exponential sums
    to 1. A cluster is to take one patch's mass, the dustbin that of the other N - K. SALAD learns one dustbin score;
    here each patch has its own.

    Raises:
        ValueError: no more patches than clusters.
    """
    _, clusters, patches = scores.shape
    if patches <= clusters:
        raise ValueError(f"expected more than {clusters} patches, got {patches}: use larger images")
    z = torch.cat([scores, dustbin.unsqueeze(1)], dim=1).float()
    log_total = math.log(clusters + patches)
    rows = z.new_zeros(clusters + 1)
    rows[-1] = math.log(patches - clusters)
    rows = rows - log_total
    v = z.new_zeros(1, patches)
    for _ in range(iterations):
        u = rows - (z + v.unsqueeze(1)).logsumexp(2)  # (B, K + 1)
        v = -log_total - (z + u.unsqueeze(2)).logsumexp(1)  # (B, N)
    return z + u.unsqueeze(2) + v.unsqueeze(1) + log_total
