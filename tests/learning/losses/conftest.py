"""Tuples for every loss."""

from collections.abc import Callable

import pytest
import torch

from opticornet.learning.losses.base import Comparisons, Tuples


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


@pytest.fixture
def random_comparisons() -> Callable[..., Comparisons]:
    """Makes comparisons of random unit rows: how many anchors and references."""
    return _random_comparisons


def _random_comparisons(batch: int, count: int, dims: int = 6) -> Comparisons:
    generator = torch.Generator().manual_seed(batch + count)

    def unit(rows: int) -> torch.Tensor:
        made = torch.randn(rows, dims, generator=generator)
        return torch.nn.functional.normalize(made, dim=-1).requires_grad_()

    kind = torch.randint(3, (batch, count), generator=generator)  # positive, negative, neither
    if count >= 2:
        kind[:, 0], kind[:, 1] = 0, 1
    return Comparisons(unit(batch), unit(count), kind == 0, kind == 1)
