"""Pooling over positions without weights: maximum, mean, and generalised means (GeM).

GeM: Radenovic et al., "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2019, equation 3.
"""

from torch import Tensor

GEM_POWER = 3
POOLS = ("gem", "gmp", "avg")


def global_pool(features: Tensor, pool: str, eps: float = 1e-6) -> Tensor:
    """(B, C, h, w), not negative -> (B, C); ``pool`` is ``gem`` (power 3), ``gmp`` (maximum) or ``avg`` (mean).

    Raises:
        ValueError: another ``pool``.
    """
    check_pool(pool)
    if pool == "gmp":
        return features.amax((2, 3))
    if pool == "avg":
        return features.mean((2, 3))
    return features.clamp(min=eps).pow(GEM_POWER).mean((2, 3)).pow(1 / GEM_POWER)


def check_pool(pool: str) -> None:
    """Raise :class:`ValueError` for a pooling that :func:`global_pool` does not know."""
    if pool not in POOLS:
        raise ValueError(f"pool must be {', '.join(POOLS[:-1])} or {POOLS[-1]}, got {pool!r}")


def signed_gem(patches: Tensor, power: int = GEM_POWER) -> Tensor:
    """Generalised mean over the patches that keeps signs: (B, N, C) -> (B, C).

    The real odd root of the mean odd power, as AnyLoc (Keetha et al., RA-L 2023) pools DINOv2 patches: their
    entries are signed, so the usual clamp to positive values would discard half of them.
    """
    moment = patches.pow(power).mean(1)
    return moment.sign() * moment.abs().pow(1 / power)
