"""Batches for terms."""

from collections.abc import Callable

import pytest
import torch

from opticornet.learning.images.terms.base import LabelledImages
from opticornet.models.images.fol.encoder import DescribedFoL


@pytest.fixture
def described() -> Callable[..., DescribedFoL]:
    """described(images, grid, ...): what FoL could make of images, random, with gradients; fields may be given."""

    def make(images: int, grid: tuple[int, int] = (4, 3), **fields: torch.Tensor) -> DescribedFoL:
        draw = torch.Generator().manual_seed(0)
        patches, size = grid[0] * grid[1], (4 * grid[0] - 3, 4 * grid[1] - 3)

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=draw)

        own = {
            "descriptors": torch.nn.functional.normalize(normal(images, 6), dim=1),
            "assignment": normal(images, 3, patches).softmax(1),
            "confidence": normal(images, patches).softmax(1),
            "importance": normal(images, patches).softmax(1),
            "guide": normal(images, patches).abs(),
            "patches": torch.nn.functional.normalize(normal(images, 5, patches), dim=1),
            "cells": torch.rand(images, *grid, generator=draw) > 0.3,
            "local": torch.nn.functional.normalize(normal(images, 4, *size), dim=1),
        } | fields
        for name in ("descriptors", "confidence", "importance", "local"):
            own[name].requires_grad_()
        return DescribedFoL(**own)

    return make


@pytest.fixture
def labelled() -> Callable[..., LabelledImages]:
    """labelled(described, places, seed): a batch of images of 224 x 224 pixels."""

    def make(described: DescribedFoL, places: list[int], seed: int = 0) -> LabelledImages:
        return LabelledImages(described, torch.tensor(places), (224, 224), torch.Generator().manual_seed(seed))

    return make
