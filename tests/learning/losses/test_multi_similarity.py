"""The multi-similarity loss against its formula."""

import torch

from opticornet.learning.losses.multi_similarity import MultiSimilarityLoss


def test_multi_similarity_by_formula(random_tuples):
    tuples = random_tuples(4, 3)
    expected = []
    for i in range(4):
        positive = tuples.anchors[i] @ tuples.positives[i]
        negative = tuples.negatives[i][tuples.mask[i]] @ tuples.anchors[i]
        pull = torch.log(1 + torch.exp(-2 * (positive - 0.5))) / 2
        push = torch.log(1 + torch.exp(50 * (negative - 0.5)).sum()) / 50
        expected.append(pull + push)
    torch.testing.assert_close(MultiSimilarityLoss()(tuples).loss, torch.stack(expected).mean())
