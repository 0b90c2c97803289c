"""The triplet loss against the original's gradients and a value worked out by hand."""

import numpy as np
import pytest
import torch

from opticornet.learning.losses.base import Tuples
from opticornet.learning.losses.triplet import TripletLoss


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
