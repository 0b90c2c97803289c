"""Learning rates by hand."""

import pytest

from opticornet.learning.schedules import cosine_rate, step_rate


def test_steps_fall_by_a_factor():
    assert [step_rate(1.0, 0.5, 2, epoch) for epoch in range(5)] == [1.0, 1.0, 0.5, 0.5, 0.25]


def test_a_cosine_falls_from_the_rate_to_zero():
    assert [cosine_rate(2.0, 4, epoch) for epoch in (0, 2, 4)] == pytest.approx([2.0, 1.0, 0.0])
    assert cosine_rate(2.0, 4, 1) == pytest.approx(1 + 0.5**0.5)
