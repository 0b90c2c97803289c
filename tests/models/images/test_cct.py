"""Compact convolutional transformers against the numbers of the original."""

import pytest
import torch

from opticornet.models.images import cct
from opticornet.models.images.cct import CCT, Attention, Block, Tokenizer, Transformer, resized_positions, sinusoids

CLOSE = {"rtol": 1e-4, "atol": 2e-6}


def small(positions="learned") -> CCT:
    return CCT(Tokenizer(24), Transformer(24, [Attention(24, 3) for _ in range(3)], (4, 4), positions=positions)).eval()


def test_tokens_are_those_of_the_original(golden, state_of):
    fixture, net = golden("sta/sta_cct_small"), small()
    net.load_state_dict(state_of(fixture))
    with torch.no_grad():
        torch.testing.assert_close(net.tokenizer(fixture["in_x"]), fixture["out_tokenizer"], **CLOSE)
        tokens = net(fixture["in_x"])
        torch.testing.assert_close(tokens, fixture["out_tokens"], **CLOSE)
        torch.testing.assert_close(net.classifier.pooled(tokens), fixture["out_seqpool"], **CLOSE)


def test_plain_attention_is_that_of_the_original(golden, state_of):
    fixture, attention = golden("sta/sta_attn_spatial_plain"), Attention(12, 3).eval()
    attention.load_state_dict(state_of(fixture))
    tokens = fixture["in_x"].requires_grad_()
    attended = attention(tokens, (5, 6))
    torch.testing.assert_close(attended, fixture["out_y"], **CLOSE)
    (attended * fixture["in_G"]).sum().backward()
    torch.testing.assert_close(tokens.grad, fixture["grad_x"], rtol=1e-3, atol=1e-5)


def test_sinusoids_are_those_of_the_original(golden):
    torch.testing.assert_close(sinusoids(16, 24), golden("sta/sta_cct_sine_pos")["out_pe"], **CLOSE)


def test_sinusoids_are_positions_that_are_not_learned():
    net = small("sinusoids")
    assert torch.equal(net.classifier.positional_emb, sinusoids(16, 24))
    assert not net.classifier.positional_emb.requires_grad


@pytest.mark.parametrize(
    ("kernel", "stages", "size", "grid"),
    [(7, 2, (384, 384), (24, 24)), (7, 1, (64, 32), (16, 8)), (3, 2, (64, 32), (16, 8)), (9, 1, (18, 12), (3, 2))],
)
def test_a_tokenizer_gives_the_grid_that_it_says(kernel, stages, size, grid):
    tokenizer = Tokenizer(8, kernel, stages)
    assert tokenizer.grid(*size) == grid
    assert tokenizer(torch.zeros(2, 3, *size)).shape == (2, grid[0] * grid[1], 8)


def test_images_that_give_no_whole_grid_are_refused():
    with pytest.raises(ValueError, match="images of 380 x 384 pixels give no whole grid: wanted multiples of 16"):
        Tokenizer(8)(torch.zeros(1, 3, 380, 384))
    with pytest.raises(ValueError, match="a kernel of 4: wanted an odd one"):
        Tokenizer(8, 4)


def test_positions_of_the_trained_grid_stay_the_same():
    positions = torch.randn(1, 12, 5, generator=torch.Generator().manual_seed(0))
    assert resized_positions(positions, (3, 4), (3, 4)) is positions
    assert resized_positions(positions, (3, 4), (4, 3)).shape == (1, 12, 5)
    constant = resized_positions(torch.ones(1, 12, 5), (3, 4), (7, 9))
    torch.testing.assert_close(constant, torch.ones(1, 63, 5))


def test_a_branch_is_left_out_per_frame_and_the_others_make_up_for_it():
    torch.manual_seed(0)
    block = Block(4, Attention(4, 2), 8, 0.5)
    dropped = block._dropped(torch.ones(50, 40, 3, 4))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(dropped.amin((2, 3)), dropped.amax((2, 3)))  # all of a frame or nothing
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(block.eval()._dropped(torch.ones(2, 3, 4)), torch.ones(2, 3, 4))


def test_the_first_blocks_keep_the_stochastic_depth_of_fourteen():
    drops = [block.drop for block in small().classifier.blocks]
    assert drops == pytest.approx([0, 0.1 / 13, 0.2 / 13])


def test_checkpointing_changes_no_gradient(monkeypatch):
    torch.manual_seed(0)
    net, images = small(), torch.randn(2, 3, 64, 64)
    calls, checkpoint = [], cct.checkpoint

    def counting(*args, **settings):
        calls.append(args[0])
        return checkpoint(*args, **settings)

    monkeypatch.setattr(cct, "checkpoint", counting)
    gradients = []
    for net.classifier.checkpointing in (False, True):
        net.zero_grad()
        net(images).square().sum().backward()
        gradients.append([each.grad.clone() for each in net.parameters() if each.grad is not None])
    assert calls == list(net.classifier.blocks)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)
