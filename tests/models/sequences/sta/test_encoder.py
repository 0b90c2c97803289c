"""SeqVLAD and STA at full size against the numbers of the original."""

from copy import copy

import pytest
import torch

from opticornet.models.sequences.sta.encoder import STA, Branches, SeqVLADEncoder
from opticornet.models.sequences.sta.sizes import Sizes

CLOSE, SIZE = {"rtol": 1e-4, "atol": 2e-6}, (384, 384)
FULL = {
    "seqvlad": lambda: SeqVLADEncoder(Sizes(), SIZE),
    "st_norel": lambda: STA(Sizes(), SIZE),
    "st_relTS": lambda: STA(Sizes(spatial_relative=(5, 24, 24), temporal_relative=(5, 6, 6)), SIZE),
}


@pytest.mark.parametrize("name", FULL)
def test_names_shapes_and_what_is_trained_are_those_of_the_original(name, golden, layout):
    fixture, encoder = golden(f"sta/sta_full_{name}"), FULL[name]()
    keys = list(map(str, fixture["keys"]))
    assert layout(encoder) == dict(zip(keys, map(str, fixture["shapes"]), strict=True))
    assert sum(parameter.numel() for parameter in encoder.parameters()) == int(fixture["n_params"])
    encoder.freeze_blocks(0)
    trained = {key: parameter.requires_grad for key, parameter in encoder.named_parameters()}
    assert trained == dict(zip(keys, map(bool, fixture["trainable"]), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_descriptors_and_tokens_are_those_of_the_original(name, golden, formula_state, normal):
    fixture, encoder = golden(f"sta/sta_full_{name}"), FULL[name]().eval()
    encoder.load_state_dict(formula_state(fixture, 1000))
    some = (slice(None), fixture["token_idx"].long()[:, None], fixture["chan_idx"].long())
    with torch.inference_mode():
        frames = encoder.describe_frames(normal(14, 10, 3, *SIZE)).unflatten(0, (2, 5))  # (2, 5, S, N, D)
        torch.testing.assert_close(encoder.join(frames), fixture["out_y"], **CLOSE)
        stacks = {"spatial": frames[:, :, 0]}
        if name != "seqvlad":
            stacks = {part: only(encoder, part).tokens(frames) for part in ("spatial", "temporal")}
            for part, tokens in stacks.items():
                alone = encoder.aggregator(tokens)[:, ::8]
                torch.testing.assert_close(alone, fixture[f"out_only_{part}"], **CLOSE)
        for part, tokens in stacks.items():
            torch.testing.assert_close(tokens.flatten(0, 1)[some], fixture[f"out_{part}_sub"], rtol=1e-4, atol=1e-5)


def only(encoder: STA, part: str) -> STA:
    """The encoder with one of its stacks."""
    one = copy(encoder)
    one._modules = dict(one._modules)
    one.part = part
    one.encoder = Branches(encoder.encoder.spatial, None if part == "spatial" else encoder.encoder.temporal)
    return one
