"""Learning rates by hand."""

import pytest
import torch

from opticornet.learning.schedules.per_epoch import ConstantSchedule, CosineSchedule, StepSchedule
from opticornet.learning.schedules.per_step import LinearSchedule


def test_steps_fall_by_a_factor():
    assert [StepSchedule(lr_step=2, lr_gamma=0.5).rate(1.0, epoch, 9) for epoch in range(5)] == [
        1.0,
        1.0,
        0.5,
        0.5,
        0.25,
    ]


def test_a_constant_rate_does_not_change():
    assert [ConstantSchedule().rate(0.3, epoch, 4) for epoch in range(4)] == [0.3] * 4


def test_a_cosine_falls_from_the_rate_to_zero():
    assert [CosineSchedule().rate(2.0, epoch, 4) for epoch in (0, 2, 4)] == pytest.approx([2.0, 1.0, 0.0])
    assert CosineSchedule().rate(2.0, 1, 4) == pytest.approx(1 + 0.5**0.5)


def test_a_linear_rate_falls_with_the_optimizer_s_steps_whatever_the_epoch():
    linear = LinearSchedule(lr_steps=4, lr_end=0.2)
    assert [linear.rate(10.0, epoch, 9, steps) for epoch, steps in ((0, 0), (0, 1), (3, 2), (1, 4), (8, 50))] == (
        pytest.approx([10.0, 8.0, 6.0, 2.0, 2.0])
    )


def test_the_linear_rate_by_default_is_torch_s_as_fol_was_trained():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=6e-5)
    theirs = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=10_000)
    found = []
    for steps in range(3):
        assert LinearSchedule().rate(6e-5, 0, 8, steps) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    assert found == sorted(found, reverse=True)
