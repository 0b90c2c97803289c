"""The parts of an encoder of images, frozen."""

import pytest
import torch

from opticornet.models.sequences.parts import Parts, modules_of, weights_of
from tests.learning.tiny_blocks import TinyBlocks


@pytest.fixture
def encoder() -> TinyBlocks:
    torch.manual_seed(0)
    return TinyBlocks()


def learning(encoder: TinyBlocks) -> set[str]:
    return {name for name, weights in encoder.named_parameters() if weights.requires_grad}


def test_the_first_blocks_are_those_of_each_stack_with_what_comes_before_them(encoder):
    parts = encoder.parts.first_blocks(1)
    assert [*map(id, modules_of(parts))] == [
        *map(id, (encoder.tokenizer, encoder.spatial.blocks[0], encoder.temporal.blocks[0]))
    ]
    count = sum(weights.numel() for weights in weights_of(parts))
    blocks = (encoder.tokenizer, encoder.spatial.blocks[0], encoder.temporal.blocks[0])
    expected = encoder.positions.numel() + sum(p.numel() for block in blocks for p in block.parameters())
    assert count == expected


def test_a_shorter_stack_is_frozen_whole_and_more_than_the_longest_has_is_refused(encoder):
    assert len(modules_of(encoder.parts.first_blocks(2))) == 1 + 2 + 1
    with pytest.raises(ValueError, match="it has 2 blocks in a row at most"):
        encoder.parts.first_blocks(3)
    with pytest.raises(ValueError, match="it has no blocks"):
        Parts().first_blocks(1)


def test_frozen_parts_get_no_gradient_and_do_not_change_with_the_mode(encoder):
    everything = learning(encoder)
    encoder.freeze(encoder.parts.first_blocks(1))
    frozen = everything - learning(encoder)
    assert {name.split(".linear")[0] for name in frozen} == {
        "positions", "tokenizer.weight", "tokenizer.bias", "spatial.blocks.0", "temporal.blocks.0",
    }  # fmt: skip
    for mode in (True, False, True):
        encoder.train(mode)
        assert encoder.training == encoder.spatial.blocks[1].dropout.training == mode
        assert not encoder.spatial.blocks[0].training
        assert not encoder.temporal.blocks[0].dropout.training
    encoder(torch.randn(2, 3, 3, 8, 12)).sum().backward()
    assert {name for name, weights in encoder.named_parameters() if weights.grad is not None} == learning(encoder)


def test_more_may_be_frozen_later(encoder):
    encoder.freeze(encoder.parts.first_blocks(1))
    encoder.freeze(encoder.parts.of_frames)
    encoder.train()
    assert not encoder.spatial.training
    assert not encoder.spatial.blocks[1].dropout.training
    assert not encoder.temporal.blocks[0].training
    assert learning(encoder) == {"centres", "temporal.norm.weight", "temporal.norm.bias"}
