"""Parts of an encoder that are frozen, or worked out twice, as options say."""

from collections import Counter

import pytest
import torch
from torch import Tensor

from opticornet.models.images.base import Preprocess
from opticornet.models.images.cct import Block
from opticornet.models.sequences.base import ImageSequenceEncoder
from opticornet.models.sequences.sta.encoder import STA
from opticornet.options.train import TrainOptions
from opticornet.steps.training.frozen import prepare_parts
from opticornet.utils.errors import UserError


class Plain(ImageSequenceEncoder):
    """Without any parts."""

    def __init__(self) -> None:
        super().__init__(Preprocess(None), 3)

    def join(self, described: Tensor) -> Tensor:
        return described.mean((1, 3, 4))


@pytest.fixture
def prepared(tiny_sta):
    """Makes an encoder that is prepared as options say."""

    def make(**options) -> STA:
        encoder = tiny_sta()
        prepare_parts(encoder, TrainOptions.of(pooling="sta", **options))
        return encoder

    return make


def gradients(encoder: STA) -> dict[str, Tensor]:
    torch.manual_seed(1)  # of what is random in training
    encoder.train()
    vectors = encoder(torch.randn(2, 3, 3, 16, 24, generator=torch.Generator().manual_seed(2)))
    (vectors * torch.arange(72.0).view(2, 36)).sum().backward()
    return {name: weights.grad for name, weights in encoder.named_parameters() if weights.grad is not None}


def test_checkpointed_blocks_run_twice_and_give_the_same_gradients(prepared, monkeypatch):
    plain, twice = prepared(), prepared(checkpointing=True)
    runs, forward = Counter(), Block.forward

    def counted(block: Block, *inputs: object) -> Tensor:
        runs[block] += 1
        return forward(block, *inputs)

    monkeypatch.setattr(Block, "forward", counted)
    expected, found = gradients(plain), gradients(twice)
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=1e-6)
    for encoder, times in ((plain, 1), (twice, 2)):
        assert [runs[module] for module in encoder.modules() if isinstance(module, Block)] == [times] * 3


def stack(name: str, *parts: str) -> set[str]:
    return {f"encoder.{name}.{part}" for part in parts}


CLUSTERS = {"aggregator.conv.weight", "aggregator.centroids"}
NORMS = stack("temporal", "norm.weight", "norm.bias") | stack("spatial.classifier", "norm.weight", "norm.bias")


def test_what_is_frozen_has_no_gradient(prepared):
    assert gradients(prepared(freeze_blocks=2)).keys() == CLUSTERS | NORMS
    one = gradients(prepared(freeze_blocks=1)).keys()
    assert {name for name in one if "classifier.blocks.1." not in name} == CLUSTERS | NORMS
    spatial = gradients(prepared(freeze_spatial=True)).keys()
    assert {name for name in spatial if "temporal" not in name} == CLUSTERS
    assert {"encoder.temporal.positional_emb", "encoder.temporal.blocks.0.linear1.weight"} < spatial
    both = gradients(prepared(freeze_spatial=True, freeze_blocks=1)).keys()
    assert both == CLUSTERS | stack("temporal", "norm.weight", "norm.bias")


def test_by_default_all_is_trained(prepared):
    encoder = prepared()
    unused = {name for name, _ in encoder.named_parameters() if "attention_pool" in name}
    assert gradients(encoder).keys() == dict(encoder.named_parameters()).keys() - unused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"freeze_blocks": 1}, "`freeze_blocks` 1: sta cannot freeze so many, it has no blocks"),
        ({"freeze_spatial": True}, "`freeze_spatial`: sta has no part that describes single frames"),
        ({"checkpointing": True}, "`checkpointing`: sta has no blocks to work out once more"),
    ],
)
def test_parts_that_an_encoder_does_not_have_are_refused(options, message):
    with pytest.raises(UserError) as raised:
        prepare_parts(Plain(), TrainOptions.of(pooling="sta", **options))
    assert message in str(raised.value)


def test_more_blocks_than_there_are_cannot_be_frozen(prepared):
    with pytest.raises(UserError, match="`freeze_blocks` 3: sta cannot freeze so many, it has 2 blocks in a row"):
        prepared(freeze_blocks=3)
