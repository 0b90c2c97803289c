"""SeqVLAD and STA at full size against the numbers of the original."""

from copy import copy

import pytest
import torch

from opticornet.inference.published import load_published
from opticornet.models.sequences.sta.encoder import STA, Branches, SeqVLADEncoder
from opticornet.models.sequences.sta.sizes import Sizes

STACKS = ("classifier", "temporal")
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
    encoder.freeze(encoder.parts.before)
    last = ("norm.weight", "norm.bias", "attention_pool.weight", "attention_pool.bias")  # the original freezes them too
    trained = {
        key: parameter.requires_grad and not key.endswith(tuple(f"{stack}.{name}" for stack in STACKS for name in last))
        for key, parameter in encoder.named_parameters()
    }
    assert trained == dict(zip(keys, map(bool, fixture["trainable"]), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_descriptors_and_tokens_are_those_of_the_original(name, golden, formula_state, normal):
    fixture = golden(f"sta/sta_full_{name}")
    encoder = load_published("seqvlad" if name == "seqvlad" else "sta", formula_state(fixture, 1000))
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


def small(part: str = "both", relative: str = "temporal", **sizes) -> STA:
    """A small encoder of 32 x 48 pixels, a grid of 8 x 12, for windows of 5 frames, in evaluation mode."""
    torch.manual_seed(0)
    given = {"dims": 12, "layers": 2, "temporal_layers": 1, "heads": 2, "clusters": 3, "kernel": 3, "grid": (8, 12)}
    extents = {"spatial_relative": (5, 8, 12), "temporal_relative": (5, 6, 6)}
    used = {"none": (), "spatial": ("spatial",), "temporal": ("temporal",), "both": ("spatial", "temporal")}[relative]
    extents = {name: extent for name, extent in extents.items() if name.split("_")[0] in used}
    return STA(Sizes(**given | extents | sizes), (32, 48), part).eval()


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.randn(9, 3, 32, 48, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("part", ["both", "spatial", "temporal"])
@pytest.mark.parametrize("relative", ["none", "temporal", "spatial", "both"])
@pytest.mark.parametrize("length", [2, 5, 7])
@torch.no_grad()
def test_a_traverse_is_encoded_as_its_windows(part, relative, length, frames):
    encoder, starts = small(part, relative), torch.arange(10 - length)
    found = encoder.encode_traverse(frames, starts, length)
    expected = encoder(frames[starts[:, None] + torch.arange(length)])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(starts)))


@torch.no_grad()
def test_what_is_spatial_is_worked_out_once_per_frame(frames):
    encoder, seen = small(), []
    for module in (encoder.encoder.spatial.tokenizer, encoder.encoder.spatial.classifier, encoder.encoder.temporal):
        module.register_forward_hook(lambda module, inputs, _: seen.append((module, len(inputs[0]))))
    encoder.encode_traverse(frames, torch.arange(5), 5)
    tokenizer, spatial, temporal = (
        encoder.encoder.spatial.tokenizer,
        encoder.encoder.spatial.classifier,
        encoder.encoder.temporal,
    )
    assert seen == [(tokenizer, 9), (spatial, 9), (temporal, 5)]  # 9 frames, in 5 windows of 5


@pytest.mark.parametrize("relative", ["none", "temporal", "both"])
@torch.no_grad()
def test_a_part_is_one_of_the_stacks_of_both(relative, frames):
    both, windows = small(relative=relative), frames[None, :5]
    tokens = [small(part, relative) for part in ("spatial", "temporal")]
    for one in tokens:
        one.load_state_dict({key: both.state_dict()[key] for key in one.state_dict()})
    summed = sum(one.tokens(one.describe_frames(windows[0])[None]) for one in tokens)
    torch.testing.assert_close(both(windows), both.aggregator(summed), rtol=0, atol=1e-6)
    assert (tokens[0](windows) - tokens[1](windows)).abs().max() > 1e-3


@torch.no_grad()
def test_the_order_of_frames_matters_to_relative_positions_alone(frames):
    windows = frames[None, :5]
    for relative, differs in (("none", False), ("temporal", True)):
        encoder = small(relative=relative)
        for parameter in encoder.encoder.temporal.blocks[0].self_attn.parameters():
            torch.nn.init.normal_(parameter)
        change = (encoder(windows) - encoder(windows.flip(1))).abs().max().item()
        assert (change > 1e-4) == differs


@torch.no_grad()
def test_weights_serve_other_image_sizes_and_lengths(frames):
    """Where nothing has to be interpolated, the path is the same to the bit; elsewhere it is interpolated."""
    encoder = small(relative="both")
    larger = STA(
        Sizes(12, 2, 1, 2, 3, (8, 12), 3, 2, spatial_relative=(5, 8, 12), temporal_relative=(5, 6, 6)), (40, 44)
    ).eval()
    larger.load_state_dict(encoder.state_dict())
    same = STA(
        Sizes(12, 2, 1, 2, 3, (8, 12), 3, 2, spatial_relative=(5, 8, 12), temporal_relative=(5, 6, 6)), (32, 48)
    ).eval()
    same.load_state_dict(encoder.state_dict())
    assert torch.equal(same(frames[None, :5]), encoder(frames[None, :5]))
    for length in (2, 20):
        out = larger(torch.randn(1, length, 3, 40, 44, generator=torch.Generator().manual_seed(0)))
        assert out.isfinite().all()
        assert out.norm().item() == pytest.approx(1)


def test_every_weight_that_is_used_learns(frames):
    encoder = small(relative="both").train()
    encoder(frames[None, :5]).square().mul(torch.arange(36)).sum().backward()
    idle = {key for key, parameter in encoder.named_parameters() if parameter.grad is None}
    stacks = ("encoder.spatial.classifier", "encoder.temporal")
    assert idle == {
        f"{s}.{n}" for s in stacks for n in ("positional_emb", "attention_pool.weight", "attention_pool.bias")
    }


@pytest.mark.parametrize("make", [small, lambda: small("temporal"), lambda: small(relative="both")])
def test_clusters_start_from_tokens_of_training_frames(make, frames):
    encoders = [make().train() for _ in range(2)]
    for encoder in encoders:
        encoder.start_from_images(iter(frames.split(4)), torch.Generator().manual_seed(0))
        assert encoder.training
    heads = [encoder.aggregator for encoder in encoders]
    assert torch.equal(heads[0].centroids, heads[1].centroids)
    assert torch.equal(heads[0].conv.weight, heads[1].conv.weight)
    unit = torch.nn.functional.normalize(heads[0].centroids, dim=1)
    alphas = heads[0].conv.weight[:, :, 0].norm(dim=1)
    torch.testing.assert_close(alphas, alphas[:1].expand(3))
    torch.testing.assert_close(heads[0].conv.weight[:, :, 0], alphas[:, None] * unit, rtol=1e-4, atol=1e-4)


def test_images_of_another_size_are_refused(frames):
    with pytest.raises(ValueError, match=r"wanted \(B, L, 3, 32, 48\)"):
        small()(frames[None, :, :, :16])
