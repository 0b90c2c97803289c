"""Parts of an encoder that are frozen, or worked out twice, as options say."""

import pytest
import torch

from opticornet.models.images.base import Preprocess
from opticornet.models.sequences.base import ImageSequenceEncoder
from opticornet.options.train import TrainOptions
from opticornet.steps.training.frozen import prepare_parts
from opticornet.utils.errors import UserError
from tests.learning.tiny_blocks import TinyBlocks


class Plain(ImageSequenceEncoder):
    """Without any parts."""

    def __init__(self) -> None:
        super().__init__(Preprocess(None), 3)

    def join(self, described: torch.Tensor) -> torch.Tensor:
        return described.mean((1, 3, 4))


def prepared(**options) -> TinyBlocks:
    torch.manual_seed(0)
    encoder = TinyBlocks()
    prepare_parts(encoder, TrainOptions.of(**options))
    return encoder


def gradients(encoder: TinyBlocks) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)  # of dropout
    encoder.train()
    vectors = encoder(torch.randn(2, 3, 3, 8, 12, generator=torch.Generator().manual_seed(2)))
    (vectors * torch.arange(12.0).view(2, 6)).sum().backward()
    return {name: weights.grad for name, weights in encoder.named_parameters() if weights.grad is not None}


def test_checkpointed_blocks_run_twice_and_give_the_same_gradients():
    plain, twice = prepared(), prepared(checkpointing=True)
    expected, found = gradients(plain), gradients(twice)
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=1e-6)
    assert [block.runs for block in plain.spatial.blocks] == [1, 1]
    assert [block.runs for block in twice.spatial.blocks] == [2, 2]
    with torch.no_grad():
        twice.eval()(torch.randn(2, 3, 3, 8, 12))
    assert [block.runs for block in twice.spatial.blocks] == [3, 3]


def test_frozen_blocks_are_not_worked_out_twice():
    encoder = prepared(checkpointing=True, freeze_blocks=1)
    gradients(encoder)
    assert [block.runs for block in encoder.spatial.blocks] == [1, 2]


@pytest.mark.parametrize(
    ("options", "trained"), [({}, 10_000), ({"freeze_blocks": 2}, 5), ({"freeze_spatial": True}, 5)]
)
def test_what_is_frozen_has_no_gradient(options, trained):
    encoder = prepared(**options)
    assert gradients(encoder).keys() == {name for name, weights in encoder.named_parameters() if weights.requires_grad}
    every = [name for name, _ in encoder.named_parameters()]
    assert len(gradients(encoder)) == min(trained, len(every))


@pytest.mark.parametrize(
    ("encoder", "options", "message"),
    [
        (TinyBlocks, {"freeze_blocks": 3}, "`freeze_blocks` 3: dsdnet cannot freeze so many, it has 2 blocks in a row"),
        (Plain, {"freeze_blocks": 1}, "`freeze_blocks` 1: dsdnet cannot freeze so many, it has no blocks"),
        (Plain, {"freeze_spatial": True}, "`freeze_spatial`: dsdnet has no part that describes single frames"),
        (Plain, {"checkpointing": True}, "`checkpointing`: dsdnet has no blocks to work out once more"),
    ],
)
def test_parts_that_an_encoder_does_not_have_are_refused(encoder, options, message):
    with pytest.raises(UserError) as raised:
        prepare_parts(encoder(), TrainOptions.of(**options))
    assert message in str(raised.value)
