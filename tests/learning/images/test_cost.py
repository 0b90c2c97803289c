"""What a step takes, by hand."""

import pytest
import torch

from opticornet.learning.images.cost import ImageCost, cost_notes

PIXELS = 16 * 24
BLOCK = 2 * PIXELS * 3 * 3 * 9  # operations of a block of the tiny encoder: 3 to 3 channels, 3 x 3
HEAD = 2 * (PIXELS // 16) * 6 * 3 * 16  # 3 to 6 channels, 4 x 4 in steps of 4


@pytest.fixture
def cost(tiny_image_encoder) -> ImageCost:
    encoder = tiny_image_encoder()
    encoder.train_blocks(1)
    return ImageCost.of(encoder, (3, 16, 24))


def test_operations_are_counted_before_and_in_the_part_that_learns(cost):
    assert (cost.frozen.operations, cost.described.operations) == (2 * BLOCK, BLOCK + HEAD)
    assert cost.operations(10, 0, frozen_kept=False) == 10 * (2 * BLOCK + 3 * (BLOCK + HEAD))
    assert cost.operations(10, 4, frozen_kept=False) == 10 * (2 * BLOCK + 4 * (BLOCK + HEAD))  # forward once more
    assert cost.operations(10, 10, frozen_kept=True) == 10 * 3 * (BLOCK + HEAD)


def test_memory_is_of_a_part_and_of_all_that_comes_out(cost):
    weights, learning = 3 * (3 * 3 * 9 + 3) + 6 * 3 * 16 + 6, 3 * 3 * 9 + 3 + 6 * 3 * 16 + 6
    assert cost.weight_bytes == 4 * weights + 12 * learning
    assert cost.frozen.gradient_bytes == 0
    assert cost.described.gradient_bytes >= 4 * 3 * PIXELS  # the block's input
    assert cost.described_bytes == 4 * 6
    assert cost.memory(10, 4) - cost.memory(10, 3) == cost.described.gradient_bytes
    assert cost.memory(10, 0) == cost.memory(10, 10) == cost.memory(10, 99)


def test_a_note_counts_the_teacher_and_warns_where_memory_is_short(cost, monkeypatch):
    given = {"steps": 7, "frozen_kept": False, "amp": False, "device": torch.device("cpu")}
    (alone,), (taught,) = cost_notes(cost, 10, 4, **given), cost_notes(cost, 10, 4, **given, teacher=cost)
    assert "a step of 10 images takes" in alone
    assert "the 7 of an epoch" in alone
    assert f"{(3 * BLOCK + HEAD) / 1e9:.3g} GFLOP in the teacher" in taught
    monkeypatch.setattr("opticornet.learning.images.cost.memory_of", lambda device: 1000)
    assert "choose a smaller `images_at_once` or `train_size`" in cost_notes(cost, 10, 4, **given)[1]
