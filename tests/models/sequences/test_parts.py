"""The parts of an encoder of images, frozen."""

import pytest
import torch

from opticornet.models.sequences.parts import Parts, modules_of, weights_of
from opticornet.models.sequences.sta.encoder import STA


@pytest.fixture
def encoder(tiny_sta) -> STA:
    return tiny_sta()


def learning(encoder: STA) -> set[str]:
    return {name for name, weights in encoder.named_parameters() if weights.requires_grad}


def test_the_first_blocks_are_those_of_each_stack_with_what_comes_before_them(encoder):
    parts = encoder.parts.first_blocks(1)
    spatial, temporal = encoder.encoder.spatial, encoder.encoder.temporal
    modules = (spatial.tokenizer, spatial.classifier.blocks[0], temporal.blocks[0])
    assert [*map(id, modules_of(parts))] == [*map(id, modules)]
    positions = spatial.classifier.positional_emb.numel() + temporal.positional_emb.numel()
    expected = positions + sum(weights.numel() for module in modules for weights in module.parameters())
    assert sum(weights.numel() for weights in weights_of(parts)) == expected


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
    assert {name for name in frozen if ".blocks." not in name} == {
        "encoder.spatial.tokenizer.conv_layers.0.0.weight",
        "encoder.spatial.tokenizer.conv_layers.1.0.weight",
        "encoder.spatial.classifier.positional_emb",
        "encoder.temporal.positional_emb",
    }
    assert not any(".blocks.1." in name for name in frozen)
    for mode in (True, False, True):
        encoder.train(mode)
        first, second = encoder.encoder.spatial.classifier.blocks
        assert encoder.training == second.self_attn.training == mode
        assert not first.self_attn.training
        assert not encoder.encoder.temporal.blocks[0].training
    encoder(torch.randn(2, 3, 3, 16, 24)).sum().backward()
    without = {name for name in learning(encoder) if "attention_pool" in name}  # which is not used
    found = {name for name, weights in encoder.named_parameters() if weights.grad is not None}
    assert found == learning(encoder) - without


def test_more_may_be_frozen_later(encoder):
    encoder.freeze(encoder.parts.first_blocks(1))
    encoder.freeze(encoder.parts.of_frames)
    encoder.train()
    assert not encoder.encoder.spatial.classifier.blocks[1].self_attn.training
    assert not encoder.encoder.temporal.blocks[0].training
    assert {name for name in learning(encoder) if "attention_pool" not in name} == {
        "encoder.temporal.norm.weight", "encoder.temporal.norm.bias", "aggregator.conv.weight", "aggregator.centroids",
    }  # fmt: skip
