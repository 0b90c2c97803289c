"""Tuples for every loss."""

from collections.abc import Callable

import pytest
import torch

from opticornet.learning.losses.base import Tuples


@pytest.fixture
def random_tuples() -> Callable[..., Tuples]:
    """Makes tuples of random unit rows: how many, and how many negatives each."""
    return _random_tuples


def _random_tuples(batch: int, n_neg: int, dims: int = 6) -> Tuples:
    generator = torch.Generator().manual_seed(batch + n_neg)

    def unit(*shape: int) -> torch.Tensor:
        rows = torch.randn(*shape, dims, generator=generator)
        return torch.nn.functional.normalize(rows, dim=-1).requires_grad_()

    apart = torch.rand(batch, n_neg, n_neg, generator=generator) < 0.7
    mask = torch.rand(batch, n_neg, generator=generator) < 0.8
    apart = (apart & apart.transpose(1, 2)) & ~torch.eye(n_neg, dtype=torch.bool)
    return Tuples(unit(batch), unit(batch), unit(batch, n_neg), mask, apart)
