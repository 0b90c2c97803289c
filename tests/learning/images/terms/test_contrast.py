"""The contrast of foreground and background against the original's numbers."""

import torch

from opticornet.learning.images.terms.contrast import ContrastOptions, contrast


def test_loss_and_gradient_are_the_originals(golden):
    arrays = golden("fol/fol_losses")
    features = arrays["in_sep_feat"].permute(0, 3, 1, 2).requires_grad_()
    foreground = arrays["in_sep_mask"].requires_grad_()
    loss = contrast(features, foreground, arrays["sep_partner"])
    torch.testing.assert_close(loss, arrays["out_sep"])
    loss.backward()
    torch.testing.assert_close(foreground.grad, arrays["grad_sep_mask"], rtol=1e-3, atol=2e-6)
    assert features.grad is None


def test_foreground_is_enlarged_confidence_and_importance(described, labelled):
    """On a grid of 2 x 1 patches the map has 5 x 1 positions, between the patches in equal steps."""
    batch = described(2, (2, 1))
    mix = batch.confidence + batch.importance  # (2, 2)
    steps = torch.linspace(0, 1, 5)
    foreground = mix[:, :1] * (1 - steps) + mix[:, 1:] * steps  # (2, 5)
    expected = contrast(batch.local, foreground.unsqueeze(2), torch.tensor([1, 0]))
    torch.testing.assert_close(ContrastOptions().build()(labelled(batch, [3, 3])), expected)


def test_partners_are_drawn_by_the_generator(described, labelled):
    term, batch = ContrastOptions().build(), described(6)
    first, again, other = (term(labelled(batch, [0] * 6, seed)).item() for seed in (1, 1, 2))
    assert first == again != other


def test_images_alone_are_left_out(described, labelled):
    term, batch = ContrastOptions().build(), described(3)
    pair = described(2, **{name: getattr(batch, name)[:2].detach() for name in vars(batch)})
    torch.testing.assert_close(term(labelled(batch, [0, 0, 1])), term(labelled(pair, [0, 0])))


def test_no_two_images_of_a_place_give_zero(described, labelled):
    batch = described(2)
    loss = ContrastOptions().build()(labelled(batch, [0, 1]))
    loss.backward()
    assert loss.item() == 0
    assert not batch.confidence.grad.any()


def test_only_what_is_called_foreground_learns(described, labelled):
    batch = described(2)
    ContrastOptions().build()(labelled(batch, [0, 0])).backward()
    assert batch.confidence.grad.any()
    assert torch.equal(batch.confidence.grad, batch.importance.grad)
    assert batch.local.grad is None
