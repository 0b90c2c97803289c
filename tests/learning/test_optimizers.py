"""Optimizers by name."""

import pytest
import torch

from opticornet.learning.optimizers import OPTIMIZERS
from opticornet.learning.optimizers.base import trainable
from opticornet.utils.registry import entry


@pytest.mark.parametrize(("name", "step"), [("SGD", 0.5), ("ADAM", 0.1), ("ADAMW", 0.1)])
def test_a_first_step_by_hand(name, step):
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = entry(OPTIMIZERS, name)().build([weight], 0.1, 0.0)
    (5 * weight).sum().backward()
    optimizer.step()
    assert weight.item() == pytest.approx(1.0 - step)  # Adam's first step has the size of the learning rate


def test_frozen_weights_are_not_learnt():
    module = torch.nn.Linear(2, 3)
    module.bias.requires_grad_(False)
    assert trainable(module) == [module.weight]
