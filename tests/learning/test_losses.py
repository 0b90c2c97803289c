"""Losses against values worked out by hand, a plain loop, and the original's gradients."""

import itertools
import math

import numpy as np
import pytest
import torch

from opticornet.learning.losses import LOSSES, MultiSimilarityLoss, QuadrupletLoss, TripletLoss, Tuples


def random_tuples(batch: int, n_neg: int, dims: int = 6) -> Tuples:
    generator = torch.Generator().manual_seed(batch + n_neg)

    def unit(*shape: int) -> torch.Tensor:
        rows = torch.randn(*shape, dims, generator=generator)
        return torch.nn.functional.normalize(rows, dim=-1).requires_grad_()

    apart = torch.rand(batch, n_neg, n_neg, generator=generator) < 0.7
    mask = torch.rand(batch, n_neg, generator=generator) < 0.8
    apart = (apart & apart.transpose(1, 2)) & ~torch.eye(n_neg, dtype=torch.bool)
    return Tuples(unit(batch), unit(batch), unit(batch, n_neg), mask, apart)


def test_triplet_of_the_original(shared):
    golden = np.load(shared / "golden" / "seqnet" / "triplet_loss.npz", allow_pickle=False)
    anchors, positives, ragged = (torch.from_numpy(golden[name]).requires_grad_() for name in ("q", "p", "n"))
    counts = torch.from_numpy(golden["negCounts"])
    mask = torch.arange(int(counts.max())) < counts[:, None]  # (B, M)
    negatives = torch.zeros(*mask.shape, ragged.shape[1]).masked_scatter(mask[:, :, None], ragged)
    apart = torch.zeros(*mask.shape, mask.shape[1], dtype=torch.bool)
    terms = TripletLoss(float(golden["margin"]))(Tuples(anchors, positives, negatives, mask, apart))
    terms.loss.backward()
    assert terms.loss.item() == pytest.approx(float(golden["loss"]), abs=1e-5)
    for name, tensor in (("q", anchors), ("p", positives), ("n", ragged)):
        torch.testing.assert_close(tensor.grad, torch.from_numpy(golden[f"grad_{name}"]), rtol=0, atol=1e-5)


def test_triplet_by_hand():
    # d(a, p) = 0, d(a, n) = sqrt(2), margin sqrt(4) = 2
    tuples = Tuples(
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([[[0.0, 1.0]]]),
        torch.tensor([[True]]),
        torch.tensor([[[False]]]),
    )
    terms = TripletLoss(4.0)(tuples)
    assert terms.loss.item() == pytest.approx(2 - 2**0.5, abs=1e-5)
    assert terms.active == 1
    assert terms.negative_distance.item() == pytest.approx(2**0.5)


def test_quadruplet_by_hand():
    # squared distances: a-p 2, a-n1 4, a-n2 2, n1-n2 2
    tuples = Tuples(
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([[0.0, 1.0]]),
        torch.tensor([[[-1.0, 0.0], [0.0, -1.0]]]),
        torch.tensor([[True, True]]),
        torch.tensor([[[False, True], [True, False]]]),
    )
    terms = QuadrupletLoss(1.0, 0.5)(tuples)
    # first terms: [2 - 4 + 1]+ = 0 and [2 - 2 + 1]+ = 1, mean 0.5; second: [2 - 2 + 0.5]+ = 0.5
    assert terms.loss.item() == pytest.approx(1.0)
    assert terms.active.item() == pytest.approx(2 / 3)


def test_quadruplet_equals_the_plain_loop():
    tuples, m1, m2 = random_tuples(5, 4), 1.0, 0.4
    first, second = [], []
    for i in range(5):
        anchor, negatives = tuples.anchors[i], tuples.negatives[i]
        positive = (anchor - tuples.positives[i]).square().sum()
        counted = [j for j in range(4) if tuples.mask[i, j]]
        first += [torch.relu(positive - (anchor - negatives[j]).square().sum() + m1) for j in counted]
        second += [
            torch.relu(positive - (negatives[j] - negatives[k]).square().sum() + m2)
            for j, k in itertools.combinations(counted, 2)
            if tuples.apart[i, j, k]
        ]
    expected = torch.stack(first).mean() + torch.stack(second).mean()
    torch.testing.assert_close(QuadrupletLoss(m1, m2)(tuples).loss, expected)


def test_quadruplet_ignores_negatives_of_one_place():
    tuples = random_tuples(3, 2)
    same = Tuples(**(vars(tuples) | {"apart": torch.zeros_like(tuples.apart), "mask": torch.ones_like(tuples.mask)}))
    # without a pair of different places the second margin cannot matter
    assert QuadrupletLoss(2.0, 0.1)(same).loss == QuadrupletLoss(2.0, 1.9)(same).loss


def test_quadruplet_wants_the_first_margin_larger():
    with pytest.raises(ValueError, match="must exceed"):
        QuadrupletLoss(0.1, 0.1)


def test_multi_similarity_by_formula():
    tuples = random_tuples(4, 3)
    expected = []
    for i in range(4):
        positive = tuples.anchors[i] @ tuples.positives[i]
        negative = tuples.negatives[i][tuples.mask[i]] @ tuples.anchors[i]
        pull = torch.log(1 + torch.exp(-2 * (positive - 0.5))) / 2
        push = torch.log(1 + torch.exp(50 * (negative - 0.5)).sum()) / 50
        expected.append(pull + push)
    torch.testing.assert_close(MultiSimilarityLoss()(tuples).loss, torch.stack(expected).mean())


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("batch", "n_neg"), [(0, 3), (3, 0)])
def test_nothing_mined_is_a_zero_or_finite_loss_with_a_gradient(name, batch, n_neg):
    tuples = random_tuples(batch, n_neg)
    terms = LOSSES[name](0.1, 0.05)(tuples)
    terms.loss.backward()
    for tensor in (tuples.anchors, tuples.positives, tuples.negatives):
        if name != "multi-similarity" or batch == 0:
            assert terms.loss == 0
            assert tensor.grad is not None
            assert not tensor.grad.any()
    assert all(math.isfinite(value) for value in terms.means().values())


@pytest.mark.parametrize("name", LOSSES)
def test_masked_negatives_do_not_matter(name):
    tuples = random_tuples(4, 5)
    spoiled = tuples.negatives.detach().clone()
    spoiled[~tuples.mask] = 1e3
    loss = LOSSES[name](1.0, 0.5)
    torch.testing.assert_close(loss(tuples).loss, loss(Tuples(**(vars(tuples) | {"negatives": spoiled}))).loss)


@pytest.mark.parametrize("name", LOSSES)
def test_statistics_by_name(name):
    means = LOSSES[name](0.1, 0.05)(random_tuples(4, 5)).means()
    assert set(means) == {"loss", "active", "positive_distance", "negative_distance"}
    assert all(isinstance(value, float) for value in means.values())
    assert 0 <= means["active"] <= 1


@pytest.mark.parametrize("name", ["quadruplet", "triplet"])
def test_identical_vectors_have_a_finite_gradient(name):
    row = torch.tensor([[1.0, 0.0]]).requires_grad_()
    yes = torch.tensor([[True]])
    LOSSES[name](0.1, 0.05)(Tuples(row, row, row[:, None], yes, ~yes[:, None])).loss.backward()
    assert row.grad.isfinite().all()
