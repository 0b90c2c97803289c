"""Learning rates by hand."""

import pytest

from opticornet.learning.schedules.per_epoch import ConstantSchedule, CosineSchedule, StepSchedule


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
