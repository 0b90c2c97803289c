"""Generalised means over positions (GeM), whose power may be learnt.

Radenovic et al., "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2019, equation 3.
"""

from torch import Tensor

GEM_POWER = 3
EPSILON = 1e-6


def gem(features: Tensor, power: Tensor | float = GEM_POWER) -> Tensor:
    """Of features that are not negative: (B, C, N) -> (B, C); entries below 1e-6 are raised to it."""
    return features.clamp(min=EPSILON).pow(power).mean(2).pow(1 / power)


def signed_gem(features: Tensor, power: Tensor | float = GEM_POWER) -> Tensor:
    """Generalised mean that keeps signs: (B, C, N) -> (B, C).

    The signed root of the mean signed power, as AnyLoc (Keetha et al., RA-L 2023) pools DINOv2 patches with power 3:
    their entries are signed, so that the usual clamp to positive values would discard half of them.
    """
    moment = (features.sign() * features.abs().clamp(min=EPSILON).pow(power)).mean(2)
    return moment.sign() * moment.abs().clamp(min=EPSILON**3).pow(1 / power)
