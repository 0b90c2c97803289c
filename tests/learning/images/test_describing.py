"""Describing a batch in parts: the gradient is that of the undivided batch."""

import pytest
import torch

from opticornet.learning.images.describing import describe
from opticornet.models.images.build import build_image_encoder


def gradients(encoder, images, at_once, amp=False):
    encoder.zero_grad()
    torch.manual_seed(7)
    with torch.autocast("cpu", torch.bfloat16, enabled=amp):
        frozen = encoder.frozen(images)
        described = describe(encoder, frozen, (16, 24), at_once)
    similar = described.descriptors @ described.descriptors.T  # all of the batch sees all of it
    loss = similar.square().sum() + torch.rand(()) * described.descriptors.sum()
    loss.backward()
    return loss.detach(), {
        name: weight.grad.clone() for name, weight in encoder.named_parameters() if weight.grad is not None
    }


@pytest.fixture
def encoder(tiny_image_encoder):
    made = tiny_image_encoder().double().train()
    made.train_blocks(2)
    return made


@pytest.mark.parametrize("at_once", [1, 2, 3, 5, 7, 100])
def test_the_gradient_of_parts_is_that_of_the_whole(encoder, at_once):
    images = torch.rand(7, 3, 16, 24, dtype=torch.float64)
    (loss, whole), (other_loss, parts) = gradients(encoder, images, 0), gradients(encoder, images, at_once)
    torch.testing.assert_close(loss, other_loss, rtol=1e-6, atol=0)
    assert whole.keys() == parts.keys()
    assert {name.partition(".")[0] for name in whole} == {"backbone", "head"}
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("amp", [False, True])
def test_parts_are_described_again_with_the_same_random_numbers(tiny_image_encoder, amp, monkeypatch):
    """With dropout the undivided batch in the same parts is the measure: it draws the same numbers."""
    encoder, images = tiny_image_encoder(dropout=0.4).train(), torch.rand(6, 3, 16, 24)
    encoder.train_blocks(2)
    recomputed = gradients(encoder, images, 2, amp)
    monkeypatch.setattr(
        "opticornet.learning.images.describing.checkpoint", lambda call, *given, use_reentrant: call(*given)
    )
    remembered = gradients(encoder, images, 2, amp)
    assert torch.equal(recomputed[0], remembered[0])
    assert all(torch.equal(gradient, remembered[1][name]) for name, gradient in recomputed[1].items())
    torch.manual_seed(8)
    assert not torch.equal(describe(encoder, encoder.frozen(images), (16, 24), 2).descriptors[0],
                           describe(encoder, encoder.frozen(images), (16, 24), 2).descriptors[0])  # fmt: skip


def test_only_a_part_is_remembered_for_the_way_back(tiny_image_encoder):
    encoder, frozen = tiny_image_encoder().train(), torch.rand(8, 3, 16, 24)
    encoder.train_blocks(3)
    kept: dict[int, int] = {}
    for at_once in (0, 2):

        def remember(tensor, at_once=at_once):
            kept[at_once] = kept.get(at_once, 0) + tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
            describe(encoder, frozen, (16, 24), at_once)
    assert kept[2] < kept[0] / 4


@pytest.mark.parametrize("pool", ["gem", "netvlad", "grid"])
@pytest.mark.parametrize("at_once", [1, 3])
def test_batch_normalisation_at_rest_learns_from_a_part_of_one_image(pool, at_once):
    encoder = build_image_encoder("efficientnet-lite0", weights="random", image_size=(64, 64), pool=pool).train()
    encoder.train_blocks(1)
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    _, whole = gradients(encoder, images, 0)
    _, parts = gradients(encoder, images, at_once)
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[name], gradient, rtol=1e-3, atol=1e-4 * float(gradient.abs().max()))
