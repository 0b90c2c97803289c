"""Weak correspondences against the original's numbers and small cases."""

import pytest
import torch

from opticornet.learning.images.terms import weak
from opticornet.learning.images.terms.partners import next_of_place
from opticornet.learning.images.terms.weak import (
    WeakOptions,
    centres,
    correspondence_loss,
    correspondences,
    surroundings,
)


@pytest.mark.parametrize("memory_bytes", [1, 3 * 4 * 529 * 529, 2**30])
def test_correspondences_are_the_originals_whatever_the_memory(memory_bytes, golden, monkeypatch):
    monkeypatch.setattr(weak, "MEMORY_BYTES", memory_bytes)
    arrays = golden("fol/fol_weak")
    partners = next_of_place(arrays["in_labels"])
    found = correspondences(arrays["in_f"], arrays["in_p"], arrays["in_att"], partners)
    wanted = arrays["out_triplets"]
    assert torch.equal(torch.cat([found.images, found.patches], dim=1).float(), wanted[:, :4])
    torch.testing.assert_close(found.similarity, wanted[:, 4])


def test_loss_and_gradient_are_the_originals(golden, described, labelled):
    arrays = golden("fol/fol_weak")
    batch = described(
        8,
        (23, 23),
        patches=arrays["in_f"],
        assignment=arrays["in_p"],
        guide=arrays["in_att"],
        local=arrays["in_local"].permute(0, 3, 1, 2).contiguous(),
    )
    loss = WeakOptions().build()(labelled(batch, arrays["in_labels"].tolist()))
    loss.backward()
    torch.testing.assert_close(loss, arrays["out_loss"])
    gradient = batch.local.grad.permute(0, 2, 3, 1).flatten()
    assert torch.equal(gradient.nonzero()[:, 0], arrays["grad_local_nz_index"])
    torch.testing.assert_close(
        gradient[arrays["grad_local_nz_index"]], arrays["grad_local_nz_value"], rtol=1e-3, atol=2e-6
    )


def test_centres_are_the_originals_and_those_of_any_grid(golden):
    assert torch.equal(centres((23, 23)), golden("fol/fol_weak")["out_centre"])
    by_hand = [
        (round((14 * row + 7) / (14 * 9 / 33)), round((14 * column + 7) / (14 * 16 / 61)))
        for row in range(9)
        for column in range(16)
    ]
    assert centres((9, 16)).tolist() == [list(place) for place in by_hand]


def test_surroundings_are_the_mean_of_nine():
    local = torch.arange(2 * 5 * 5.0).view(2, 1, 5, 5)
    found = surroundings(local, torch.tensor([0, 1, 1]), torch.tensor([[1, 1], [3, 2], [0, 0]]))
    assert found[:2, 0].tolist() == [6, 42]  # the centres of a ramp
    corner = local[1, 0, [0, 0, 0, 0, 0, 0, 1, 1, 1], [0, 0, 1, 0, 0, 1, 0, 0, 1]]  # the border repeated
    torch.testing.assert_close(found[2], corner.mean(0, keepdim=True))


def one_pair(**changes: torch.Tensor) -> weak.Correspondences:
    """Two images of four patches, the first of which has one clear correspondence for its third patch."""
    first = torch.tensor([[1.0, 0], [1, 0], [1, 0], [0, 1]]).T
    second = torch.tensor([[0.96, 0.28], [0.1, 0.99], [-1.0, 0], [0, 1]]).T
    given = {
        "patches": torch.stack([first, second]),
        "assignment": torch.stack([torch.tensor([[0.6] * 4, [0.4] * 4]), torch.tensor([[0.5, 0.5, 0, 0], [0.0] * 4])]),
        "guide": torch.tensor([[0.5, 0.05, 0.5, 0.05], [0.0] * 4]),
        "partners": torch.tensor([1, 0]),
    } | changes
    return correspondences(**given)


def test_a_clear_correspondence_is_found():
    found = one_pair()
    assert (found.images.tolist(), found.patches.tolist()) == ([[0, 1]], [[2, 0]])
    assert found.similarity.tolist() == pytest.approx([0.96])


@pytest.mark.parametrize(
    "changes",
    [
        {"guide": torch.tensor([[0.05, 0.05, 0.5, 0.05], [0.0] * 4])},  # the first attended patch is left out
        {"partners": torch.tensor([0, 1])},  # each alone
        {"assignment": torch.tensor([[[0.4] * 4, [0.6] * 4], [[0.5, 0.5, 0, 0], [0.0] * 4]])},  # none in its cluster
        {"assignment": torch.tensor([[[0.6] * 4, [0.4] * 4], [[0.5, 0, 0, 0], [0.0] * 4]])},  # none but itself
        {"assignment": torch.tensor([[[0.6] * 4, [0.4] * 4], [[0.5, 0, 0.5, 0], [0.0] * 4]])},  # the other is opposite
        {"assignment": torch.tensor([[[0.6] * 4, [0.4] * 4], [[0, 0.5, 0, 0.5], [0.0] * 4]])},  # none is similar
    ],
)  # fmt: skip
def test_unclear_ones_are_not(changes, described):
    found = one_pair(**changes)
    assert found.patches.shape == (0, 2)
    batch = described(2, (2, 2))
    loss = correspondence_loss(batch.local, found, (2, 2))
    loss.backward()
    assert loss.item() == 0
    assert not batch.local.grad.any()


def test_at_most_five_of_an_image():
    patches = torch.eye(8).expand(2, 8, 8)
    assignment = torch.ones(2, 1, 8)
    patches = patches + 0.1  # every other patch is a bit similar
    patches = torch.nn.functional.normalize(patches, dim=1)
    found = correspondences(patches, assignment, torch.ones(2, 8), torch.tensor([1, 0]))
    assert found.patches.tolist() == [[patch, patch] for patch in range(1, 6)] * 2
