"""Mining: equal to a plain loop over queries."""

import numpy as np
import pytest
import torch

from opticornet.datasets.positives import Positives
from opticornet.learning.sequences.mining import MinedTuples, Miner, Searched

ALL = Searched.all(50)


def unit(rows, generator):
    return torch.nn.functional.normalize(torch.randn(rows, 6, generator=generator), dim=1)


def plain(queries, vectors, references, positions, places, positive, negative, margin, n_neg, squared, allowed=None):
    """SeqNet's rule, one query at a time."""
    found = []
    for i, vector in zip(queries.tolist(), vectors, strict=True):
        d = (vector - references).norm(dim=1)
        d = d**2 if squared else d
        apart = np.linalg.norm(places - positions[i], axis=1)
        near = np.flatnonzero(apart <= positive)
        if not len(near):
            continue
        best = near[d[near].argmin()]
        far = [j for j in np.argsort(d.numpy()) if apart[j] > negative and (allowed is None or j in allowed(i))]
        hard = [int(j) for j in far[:n_neg] if d[j] < d[best] + margin]
        if hard:
            found.append((i, int(best), hard))
    return found


@pytest.fixture
def scene():
    generator = torch.Generator().manual_seed(3)
    positions, places = np.arange(40.0)[:, None], np.arange(50.0)[:, None] + 4.25
    return generator, unit(40, generator), unit(50, generator), positions, places


def miner(positions, places, **kind):
    near, excluded = (Positives.within(positions, places, radius) for radius in (1.0, 5.0))
    return Miner(near, excluded, n_neg=4, margin=0.2, **kind)


def listed(tuples):
    rows = zip(tuples.anchors, tuples.positives, tuples.negatives, tuples.mask, strict=True)
    return [(int(a), int(p), n[m].tolist()) for a, p, n, m in rows]


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("tile", [7, 1000])
def test_tuples_equal_the_plain_loop(scene, squared, tile):
    generator, vectors, references, positions, places = scene
    queries = torch.randperm(40, generator=generator)
    mined = miner(positions, places, squared=squared, tile=tile).mine(queries, vectors[queries], references, ALL)
    expected = plain(queries, vectors[queries], references, positions, places, 1, 5, 0.2, 4, squared)
    assert listed(mined) == expected
    assert 0 < len(mined) < 40  # some queries have no positive


def test_a_sample_looks_at_drawn_and_remembered_references_only(scene):
    _, vectors, references, positions, places = scene
    queries, remembered = torch.arange(40), torch.full((40, 4), -1)
    remembered[:, 0] = 49
    before = remembered.clone()
    drawn = set(torch.randperm(50, generator=torch.Generator().manual_seed(9))[:12].tolist())
    one = miner(positions, places, squared=False, n_sample=12)
    searched = one.searched(queries, 50, torch.Generator().manual_seed(9), remembered)
    mined = one.mine(queries, vectors, references[searched.rows], searched, remembered)
    assert listed(mined) == plain(
        queries, vectors, references, positions, places, 1, 5, 0.2, 4, False,
        allowed=lambda i: drawn | set(before[i].tolist()),
    )  # fmt: skip
    for anchor, _, negatives in listed(mined):
        assert set(remembered[anchor].tolist()) - {-1} == set(negatives)


def test_of_a_sample_only_what_can_matter_to_its_queries_is_searched(scene):
    *_, positions, places = scene
    queries, remembered = torch.tensor([3, 20]), torch.full((40, 4), -1)
    remembered[20, 1], remembered[7, 0] = 45, 44
    one = miner(positions, places, squared=False, n_sample=5)
    drawn = torch.randperm(50, generator=torch.Generator().manual_seed(2))[:5]
    searched = one.searched(queries, 50, torch.Generator().manual_seed(2), remembered)
    near = {int(row) for query in (3, 20) for row in one.positives[query]}
    assert near
    assert searched.rows.tolist() == sorted({*drawn.tolist(), *near, 45})
    assert set(searched.rows[searched.drawn].tolist()) == set(drawn.tolist())


@pytest.mark.parametrize("sample", [0, 50, 80])
def test_without_a_smaller_sample_all_are_searched_and_nothing_is_drawn(scene, sample):
    *_, positions, places = scene
    generator = torch.Generator().manual_seed(2)
    before = generator.get_state()
    searched = miner(positions, places, squared=False, n_sample=sample).searched(torch.arange(9), 50, generator)
    assert torch.equal(searched.rows, torch.arange(50))
    assert searched.drawn.all()
    assert torch.equal(generator.get_state(), before)


def test_where_a_sample_has_too_few_negatives_there_are_fewer_and_none_is_near(scene):
    _, vectors, references, positions, places = scene
    near, excluded = (Positives.within(positions, places, radius) for radius in (1.0, 30.0))
    one = Miner(near, excluded, n_neg=4, margin=torch.inf, squared=False, n_sample=6)
    searched = one.searched(torch.arange(40), 50, torch.Generator().manual_seed(1))
    mined = one.mine(torch.arange(40), vectors, references[searched.rows], searched)
    allowed = set(searched.rows[searched.drawn].tolist())
    counts = set()
    for anchor, _, negatives in listed(mined):
        beyond = {row for row in allowed if abs(row + 4.25 - anchor) > 30}
        assert set(negatives) <= beyond
        assert len(negatives) == len(set(negatives)) == min(4, len(beyond))
        counts.add(len(negatives))
    assert len(counts) > 1


def test_nothing_to_mine_is_empty_not_an_error(scene):
    _, vectors, references, positions, places = scene
    far = miner(positions + 1000, places, squared=False)
    mined = far.mine(torch.arange(40), vectors, references, ALL)
    assert len(mined) == 0
    assert len(far.mine(torch.arange(0), vectors[:0], references, ALL)) == 0
    assert mined.negatives.shape == (0, 4)


def test_joining_and_slicing_tuples(scene):
    _, vectors, references, positions, places = scene
    mined = miner(positions, places, squared=False).mine(torch.arange(40), vectors, references, ALL)
    again = MinedTuples.join([mined[:5], mined[5:]], 4)
    assert listed(again) == listed(mined)
