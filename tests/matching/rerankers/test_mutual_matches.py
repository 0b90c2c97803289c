"""Mutual matches of local features against the original's numbers and both argmaxes written out."""

import numpy as np
import pytest
import torch

from opticornet.matching.rerankers.mutual_matches import mutual_matches, tile_shape


@pytest.fixture
def fixture(shared):
    with np.load(shared / "golden" / "fol" / "fol_rerank.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def units(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(shape, generator=generator), dim=-1)


def as_published(query: torch.Tensor, candidates: torch.Tensor, threshold: float) -> list[int]:
    """The definition: nearest both ways of all cosines at once, and no score for a single mutual pair."""
    cosine = query @ candidates.transpose(1, 2)  # (K, M, N)
    best, nearest = cosine.max(2)
    back = cosine.argmax(1).gather(1, nearest)
    mutual = back == torch.arange(len(query))
    return (mutual & (best > threshold)).sum(1).where(mutual.sum(1) != 1, 0).tolist()


def test_scores_match_original(fixture):
    query, reference = fixture["in_q"], fixture["in_db"]
    scores = [
        mutual_matches(torch.from_numpy(query[i]), torch.from_numpy(reference[row]))
        for i, row in enumerate(fixture["in_preds"])
    ]
    assert np.array_equal(torch.stack(scores).numpy(), fixture["out_scores"])
    single = mutual_matches(torch.from_numpy(fixture["in_single_fm1"]), torch.from_numpy(fixture["in_single_fm2"]))
    assert single.tolist() == fixture["out_single"].tolist()


def test_a_single_mutual_pair_scores_nothing(fixture):
    axis = torch.eye(3)[:1]
    assert mutual_matches(axis, axis[None]).tolist() == fixture["out_single_pair_overall"].tolist() == [0]
    assert mutual_matches(torch.eye(3)[:2], torch.eye(3)[None, :2]).tolist() == [2]


@pytest.mark.parametrize("tile_bytes", [1, 4 * 30 * 2, 4 * 30 * 21 * 2, None])
@pytest.mark.parametrize("threshold", [-1.0, 0.3, 0.7])
def test_any_tile_gives_what_all_cosines_at_once_give(tile_bytes, threshold):
    query, candidates = units(0, 21, 4), units(1, 6, 30, 4)
    found = mutual_matches(query, candidates, threshold, tile_bytes=tile_bytes)
    assert found.tolist() == as_published(query, candidates, threshold)
    assert found.dtype == torch.int64


@pytest.mark.parametrize("query_rows", range(5))
@pytest.mark.parametrize("kept", [True, False])
def test_zero_rows_count_among_mutual_pairs_as_in_the_published_code(query_rows, kept):
    """Few features of few dimensions: rows whose cosines are all negative prefer a zero row. Zero rows but the first
    of an image never matter, so they may be left out."""
    for seed in range(40):
        query, candidates = units(seed, 7, 2), units(seed + 100, 5, 6, 2)
        query[query_rows:] = 0
        for number, candidate in enumerate(candidates):
            candidate[number:] = 0
        short = (query, candidates) if kept else (query[: query_rows + 1], candidates[:, :5])
        assert mutual_matches(*short, 0.3).tolist() == as_published(query, candidates, 0.3), seed


def test_equal_features_count_once():
    same = units(3, 1, 8)
    query, candidate = torch.cat([same, same, units(4, 3, 8)]), torch.cat([same, units(5, 3, 8), same])
    assert mutual_matches(query, candidate[None], -1.0).tolist() == as_published(query, candidate[None], -1.0)
    assert mutual_matches(query, candidate[None], 0.99).tolist() == [1]


@pytest.mark.parametrize("channels", [2, 8])
@pytest.mark.parametrize("tile_bytes", [1, None])
def test_zero_rows_and_equal_ones_may_be_anywhere(channels, tile_bytes):
    generator = torch.Generator().manual_seed(0)
    for seed in range(60):
        scene = units(seed, 6, channels)
        drawn = scene[torch.randint(6, (6, 7), generator=generator)] * (torch.rand(6, 7, 1, generator=generator) < 0.8)
        query, candidates = drawn[0], drawn[1:]
        found = mutual_matches(query, candidates, 0.3, tile_bytes=tile_bytes)
        assert found.tolist() == as_published(query, candidates, 0.3), seed


@pytest.mark.parametrize(("rows", "features"), [(1, 1), (3600, 3600), (500, 500), (100, 100), (7, 3600), (3600, 7)])
@pytest.mark.parametrize("tile_bytes", [1, 1 << 16, 2 << 20])
def test_a_tile_takes_no_more_than_it_may(rows, features, tile_bytes):
    block, candidates = tile_shape(rows, features, tile_bytes)
    assert 1 <= block <= rows
    assert candidates >= 1
    assert 4 * block * candidates * features <= max(tile_bytes, 4 * features)
