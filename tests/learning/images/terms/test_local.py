"""The local loss against the original's numbers and a loop over pairs."""

import pytest
import torch
from torch.nn import functional

from opticornet.learning.images.terms import local
from opticornet.learning.images.terms.local import LocalOptions, find_matches, triplet_loss
from opticornet.models.images.fol.local_features import select_local


def units(seed: int, *shape: int) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def similarity_by_loop(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """With its gradient."""
    cosines = first @ second.T
    kept = [
        cosines[a, b]
        for a in range(len(first))
        for b in range(len(second))
        if cosines[a].argmax() == b and cosines[:, b].argmax() == a and cosines[a, b] > 0.7
    ]
    return torch.stack(kept).mean() if kept else cosines.sum() * 0


@pytest.mark.parametrize("memory_bytes", [1, 5 * 4 * 40 * 40, 2**30])
def test_similarities_are_the_originals_whatever_the_memory(memory_bytes, golden):
    arrays = golden("fol/fol_losses")
    pairs = torch.cartesian_prod(torch.arange(12), torch.arange(12))
    found = find_matches(arrays["in_local"], pairs, memory_bytes)
    torch.testing.assert_close(found.similarity.view(12, 12), arrays["out_local_sim"], rtol=1e-5, atol=1e-6)
    assert torch.equal(found.pair.bincount(minlength=144), found.count)


def test_no_more_cosines_are_held_than_fit_into_memory(monkeypatch):
    held, original = [], local._matches_of
    monkeypatch.setattr(local, "_matches_of", lambda rows, pairs: held.append(len(pairs)) or original(rows, pairs))
    find_matches(units(0, 3, 10, 4), torch.zeros(7, 2, dtype=torch.int64), memory_bytes=4 * 10 * 10 * 3 + 399)
    assert held == [3, 3, 1]


def test_loss_and_gradient_are_the_originals(golden):
    arrays = golden("fol/fol_losses")
    rows = arrays["in_local"].requires_grad_()
    loss = triplet_loss(rows, torch.stack([arrays[f"out_bh_{name}"] for name in "apn"], dim=1))
    loss.backward()
    torch.testing.assert_close(loss, arrays["out_local_loss"], rtol=1e-4, atol=2e-6)
    torch.testing.assert_close(rows.grad, arrays["grad_local"], rtol=1e-3, atol=2e-6)


def test_triplets_are_the_originals(golden):
    arrays = golden("fol/fol_losses")
    found = LocalOptions().build().miner(arrays["in_desc"], arrays["in_labels"])
    for indices, name in zip(found, "apn", strict=True):
        assert torch.equal(indices, arrays[f"out_bh_{name}"])


def test_gradient_is_that_of_all_cosines():
    rows = units(1, 6, 12, 3).requires_grad_()
    triplets = torch.tensor([[0, 1, 2], [1, 0, 3], [2, 3, 0], [3, 2, 5], [4, 5, 1], [5, 4, 4]])
    loss = triplet_loss(rows, triplets)
    (gradient,) = torch.autograd.grad(loss, rows)
    terms = [
        (similarity_by_loop(rows[a], rows[n]) - similarity_by_loop(rows[a], rows[p])).clamp(min=0)
        for a, p, n in triplets.tolist()
    ]
    expected = torch.stack(terms).sum()
    assert 0 < sum(term > 0 for term in terms) < 6
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, rows)[0])


def test_the_term_takes_the_chosen_local_features_and_hard_triplets(described, labelled):
    """Descriptors on a circle at these angles; of the first image the second is the farthest of the place."""
    angles = torch.tensor([0.0, 85.0, 40.0, 100.0, 170.0]).deg2rad()
    batch = described(5, descriptors=torch.stack([angles.cos(), angles.sin()], dim=1))
    batch.cells.zero_()[:, :2] = True
    rows = select_local(batch.local, batch.cells.float(), 7 * 9)
    triplets = torch.tensor([[0, 1, 3], [1, 0, 3], [2, 1, 3], [3, 4, 1], [4, 3, 1]])
    expected = triplet_loss(rows, triplets)
    assert expected > 0
    loss = LocalOptions().build()(labelled(batch, [0, 0, 0, 1, 1]))
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert batch.local.grad.any()
    assert batch.descriptors.grad is None


def test_images_without_a_match_have_a_similarity_of_zero():
    """Where the published code has none: 0 to both gives no loss, and 0 to the positive the negative's similarity."""
    here, there = torch.eye(4)[:2], torch.eye(4)[2:]
    rows = torch.stack([here, there, here]).requires_grad_()
    loss = triplet_loss(rows, torch.tensor([[0, 1, 1]]))
    loss.backward()
    assert loss.item() == 0
    assert not rows.grad.any()
    loss = triplet_loss(rows, torch.tensor([[0, 1, 2]]))
    loss.backward()
    assert loss.item() == 1
    torch.testing.assert_close(rows.grad, torch.stack([here, torch.zeros_like(here), here]) / 2)


def test_a_single_match_counts_as_any_other():
    """The published code takes the mean of the rows' own cosines there."""
    first = torch.tensor([[1.0, 0, 0], [0, 0, 0]])
    second = torch.tensor([[0.8, 0.6, 0], [0, 0, 0]])
    found = find_matches(torch.stack([first, second]), torch.tensor([[0, 1]]))
    assert found.similarity.tolist() == pytest.approx([0.8])
    assert (found.count.tolist(), found.rows.tolist()) == ([1], [[0], [2]])


@pytest.mark.parametrize("places", [[0, 0, 0], [0, 1, 2]])
def test_without_triplets_there_is_nothing_to_learn(places, described, labelled):
    batch = described(3)
    loss = LocalOptions().build()(labelled(batch, places))
    loss.backward()
    assert loss.item() == 0
    assert not batch.local.grad.any()


def test_local_features_without_a_value_are_not_hidden():
    rows = units(1, 3, 4, 3)
    rows[1, 2, 0] = torch.nan
    assert triplet_loss(rows, torch.tensor([[0, 1, 2]])).isnan()
