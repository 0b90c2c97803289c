"""Batches of anchors beside references: which references they hold, and what they say of each."""

import numpy as np
import pytest
import torch

from opticornet.datasets.traverse import Split, Traverse
from opticornet.evaluation.scene import Scene
from opticornet.learning.losses.soft_contrastive import SoftContrastiveLoss
from opticornet.learning.sequences.comparisons import ComparisonBatches
from opticornet.learning.sequences.places import TrainingPlaces
from opticornet.models.sequences.seqnet import SeqNet


def scene() -> Scene:
    """40 places a metre apart, seen twice, the last 5 queries 100 m off; positives within 1 m, negatives beyond 4."""
    rng = np.random.default_rng(0)
    positions, bounds = np.arange(40.0)[:, None], np.tile([0, 40], (40, 1))
    reference, query = (
        Traverse(name, rng.standard_normal((40, 4)).astype(np.float32), positions.copy(), "metres", bounds)
        for name in ("reference", "query")
    )
    query.positions[35:] += 100
    return Scene.of("line", Split("train", reference, query, 1.0, 4.0), 3, 0, torch.device("cpu"))


def source(references: int = 12, seed: int = 0, batch_size: int = 8) -> ComparisonBatches:
    torch.manual_seed(0)
    encoder = SeqNet(4, 2, 3)
    generator = torch.Generator().manual_seed(seed)
    places = TrainingPlaces.of(scene(), encoder)
    return ComparisonBatches(encoder, SoftContrastiveLoss(0.05), places, batch_size, references, generator)


def test_an_epoch_has_each_query_with_a_place_once():
    one = source()
    anchors = torch.cat([batch.anchors for batch in one.batches(0)])
    assert sorted(anchors.tolist()) == list(range(35))
    assert one.known_batches() == 5


def test_an_epoch_may_have_some_of_them():
    one = source()
    one.per_epoch = 12
    epochs = [torch.cat([batch.anchors for batch in one.batches(0)]).tolist() for _ in range(2)]
    assert [len(set(epoch)) for epoch in epochs] == [12, 12]
    assert set(epochs[0]) != set(epochs[1])
    assert one.known_batches() == 2


@pytest.mark.parametrize("references", [1, 12, 30, 0])
def test_a_batch_holds_every_positive_of_its_anchors_and_others_up_to_the_number_asked_for(references):
    for batch in source(references, batch_size=3).batches(0):
        found, wanted = set(batch.references.tolist()), set()
        for anchor in batch.anchors.tolist():
            wanted |= {row for row in (anchor - 1, anchor, anchor + 1) if 0 <= row < 40}
        assert wanted <= found
        assert len(found) == max(len(wanted), references or 40)


@pytest.mark.parametrize("references", [1, 12, 30, 0])
def test_no_batch_holds_more_windows_than_are_said_before(references):
    one = source(references, batch_size=3)
    anchors, most = one.most_windows()
    assert anchors == 3
    assert most >= max(len(batch.references) for batch in one.batches(0))
    assert most == {1: 9, 12: 12, 30: 30, 0: 40}[references]  # three positives for each of three anchors at the most


def test_references_are_right_within_the_radius_wrong_beyond_the_other_and_neither_between():
    for batch in source(0).batches(0):
        apart = (batch.anchors[:, None] - batch.references[None]).abs()
        assert torch.equal(batch.positive, apart <= 1)
        assert torch.equal(batch.negative, apart > 4)


def test_the_loss_is_that_of_the_windows():
    one = source(0)
    batch = next(iter(one.batches(0)))
    terms = one.loss(batch)
    query, reference = (
        one.encoded.encoder(side.gather(rows))
        for side, rows in ((one.places.query, batch.anchors), (one.places.reference, batch.references))
    )
    logits = (query @ reference.T / 0.05).masked_fill(~(batch.positive | batch.negative), -torch.inf)
    expected = logits.logsumexp(1) - logits.masked_fill(~batch.positive, -torch.inf).logsumexp(1)
    torch.testing.assert_close(terms.loss, expected.mean())
    assert terms.samples == 8
    assert set(terms.values) == {"active", "positive_distance", "negative_distance"}


def test_an_epoch_goes_on_where_it_was_left():
    whole, first, second = source(), source(), source(seed=9)
    expected = [batch for _ in range(2) for batch in whole.batches(0)]
    epoch = first.batches(0)
    begun = [next(epoch) for _ in range(3)]
    second.restore(first.state())
    second.generator.set_state(first.generator.get_state())
    rest = [*second.batches(3), *second.batches(0)]
    for one, other in zip(expected, begun + rest, strict=True):
        for name, rows in vars(one).items():
            assert torch.equal(rows, getattr(other, name)), name
