"""What FoL reads of DINOv2, with any number of blocks that learn."""

import pytest
import torch

from opticornet.models.images.dinov2 import DinoV2
from opticornet.models.images.fol.backbone import AttentiveDinoV2


@pytest.fixture
def backbone(fill) -> AttentiveDinoV2:
    return AttentiveDinoV2(fill(DinoV2(16, 3, 2, trained_size=56), 4))


@torch.no_grad()
def test_attention_is_that_of_the_last_block_worked_out_by_hand(backbone, normal):
    images = normal(3, 2, 3, 42, 56)
    features, cls, attention = backbone(images)
    model = backbone.model
    tokens = model.run_blocks(model.tokens(images), 0, 2)
    last = model.blocks[2]
    q, k, _ = last.attn.qkv(last.norm1(tokens)).chunk(3, dim=2)
    expected = torch.zeros(2, 13)
    for head in (slice(0, 8), slice(8, 16)):
        expected += (q[:, 0, None, head] @ k[:, :, head].transpose(1, 2) / 8**0.5).softmax(-1)[:, 0]
    torch.testing.assert_close(attention, expected[:, 1:])
    tokens = model(images)
    torch.testing.assert_close(cls, tokens[:, 0])
    torch.testing.assert_close(features.flatten(2).transpose(1, 2), tokens[:, 1:])
    assert features.shape == (2, 16, 3, 4)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_any_number_of_blocks_learns_and_the_rest_does_not(backbone, normal, count):
    images = normal(3, 2, 3, 42, 56)
    untrained = backbone(images)
    backbone.train_blocks(count)
    with torch.no_grad():
        frozen = backbone.frozen(images)
    assert frozen.shape == (2, 13, 16 if count else 17)
    outputs = backbone.read(frozen, (42, 56))
    for found, wanted in zip(outputs, untrained, strict=True):
        torch.testing.assert_close(found, wanted)
    learning = {name for name, weight in backbone.model.named_parameters() if weight.requires_grad}
    named = {f"blocks.{number}." for number in range(3 - count, 3)} | ({"norm."} if count else set())
    assert learning == {name for name, _ in backbone.model.named_parameters() if name.startswith(tuple(named))}
    assert all(output.requires_grad == bool(count) for output in outputs)
    if count:
        sum(output.square().sum() for output in outputs).backward()
        for name, weight in backbone.model.named_parameters():
            assert (weight.grad is not None) == (name in learning), name


def test_more_blocks_than_there_are_are_refused(backbone):
    with pytest.raises(ValueError, match="it has 3 blocks"):
        backbone.train_blocks(4)
