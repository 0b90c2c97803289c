"""Re-ranking by mutual matches against the original's numbers and a plain double loop, frames alone and windows."""

import numpy as np
import pytest
import torch

from opticornet.matching.ranking import sort_candidates
from opticornet.matching.rerankers.local_features import rerank
from opticornet.utils.errors import UserError


def units(seed: int, *shape: int) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def count_by_loop(query: np.ndarray, reference: np.ndarray, threshold: float) -> int:
    cosine = query @ reference.T
    pairs = [
        (a, b)
        for a in range(len(query))
        for b in range(len(reference))
        if cosine[a].argmax() == b and cosine[:, b].argmax() == a
    ]
    return 0 if len(pairs) == 1 else sum(cosine[pair] > threshold for pair in pairs)


@pytest.fixture
def fixture(shared):
    with np.load(shared / "golden" / "fol" / "fol_rerank.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def test_reranking_matches_original_up_to_ties(fixture):
    result = rerank(fixture["in_q"], fixture["in_db"], fixture["in_preds"])
    original = fixture["out_scores"]
    assert np.array_equal(result.scores, -np.sort(-original, axis=1))
    for candidates, scores, preds, given in zip(
        result.indices, result.scores, fixture["in_preds"], original, strict=True
    ):
        by_score = sorted(zip(-given, range(len(preds)), preds, strict=True))  # ties by global rank
        assert candidates.tolist() == [row for *_, row in by_score]
        assert scores.tolist() == [-score for score, *_ in by_score]
    assert result.scores.dtype == result.indices.dtype == np.int64


@pytest.mark.parametrize("threshold", [0.3, 0.7])
@pytest.mark.parametrize("memory_bytes", [20_000, 60_000, 2**30])
def test_tiles_and_half_precision_equal_the_double_loop(threshold, memory_bytes, tmp_path):
    np.save(tmp_path / "reference.npy", units(1, 8, 25, 6).astype(np.float16))
    reference = np.load(tmp_path / "reference.npy", mmap_mode="r")
    query = units(2, 2, 20, 6)
    candidates = np.array([[7, 0, 3, 1, 5], [2, 6, 4, 0, 1]])
    result = rerank(query, reference, candidates, threshold=threshold, memory_bytes=memory_bytes)
    for i in range(2):
        expected = [count_by_loop(query[i], reference[row].astype(np.float32), threshold) for row in result.indices[i]]
        assert result.scores[i].tolist() == expected
        assert sorted(result.indices[i]) == sorted(candidates[i])
    assert (np.diff(result.scores, axis=1) <= 0).all()
    assert len(np.unique(result.scores)) > 1


def test_the_same_place_comes_first():
    reference = units(3, 4, 30, 8)
    query = reference[2:3, ::-1] + 0.02 * units(4, 1, 30, 8)
    query /= np.linalg.norm(query, axis=2, keepdims=True)
    result = rerank(query, reference, np.array([[0, 1, 2, 3]]))
    assert result.indices[0, 0] == 2
    assert result.scores[0, 0] == 30


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        rerank(units(1, 2, 5, 4), units(2, 3, 5, 6), np.zeros((2, 1), dtype=np.int64))
    with pytest.raises(ValueError, match="do not fit"):
        rerank(units(1, 2, 5, 4), units(2, 3, 5, 4), np.zeros((3, 1), dtype=np.int64))


@pytest.mark.parametrize("length", [3, 0.9, 1.003])
def test_features_that_are_no_unit_rows_are_refused(length):
    local = units(2, 3, 5, 4)
    local[1, 3] *= length
    with pytest.raises(UserError, match=f"the references have a length of {length:.3f} in frame 1 of"):
        rerank(local[:1], local, np.array([[0, 1, 2]]))


def test_absent_candidates_stay_last():
    local = units(6, 4, 10, 8)
    result = rerank(local[:1], local, np.array([[-1, 3, 0, -1]]))
    assert result.indices.tolist() == [[0, 3, -1, -1]]
    assert result.scores[0, 0] == 10
    assert result.scores[0, 2:].tolist() == [-1, -1]


def test_partial_searches_merge_as_the_original(shared):
    """Candidates of two parts of the reference, equal distances ordered by index."""
    with np.load(shared / "golden" / "fol" / "fol_topk_merge.npz", allow_pickle=False) as file:
        distances = np.concatenate([file["in_d1"], file["in_d2"]], axis=1)
        indices = np.concatenate([file["in_p1"], file["in_p2"]], axis=1)
        merged = sort_candidates(torch.from_numpy(distances), torch.from_numpy(indices)).first(4)
        assert np.array_equal(merged.distances, file["out_d"])
        assert np.array_equal(merged.indices, file["out_p"])


def test_half_precision_orders_the_golden_candidates_as_single_precision(fixture):
    single = rerank(fixture["in_q"], fixture["in_db"], fixture["in_preds"])
    half = rerank(fixture["in_q"].astype(np.float16), fixture["in_db"].astype(np.float16), fixture["in_preds"])
    assert np.array_equal(half.indices, single.indices)
    assert np.array_equal(half.scores, single.scores)


def window_scores(query, reference, candidates, query_rows, reference_rows):
    """Sums along the diagonal, pair by pair; -1 for no candidate."""
    scores = np.full(candidates.shape, -1)
    for (i, k), candidate in np.ndenumerate(candidates):
        if candidate >= 0:
            pairs = zip(query_rows[i], reference_rows[candidate], strict=True)
            scores[i, k] = sum(count_by_loop(query[a], reference[b], 0.3) for a, b in pairs)
    return scores


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("memory_bytes", [8_000, 2**30])
def test_windows_are_scored_by_the_sum_along_their_diagonal(backwards, memory_bytes):
    query, reference = units(7, 6, 12, 5), units(8, 9, 14, 5)
    query_rows = np.arange(4)[:, None] + np.arange(3)
    reference_rows = np.arange(7)[:, None] + np.arange(3)
    query_rows = query_rows[:, ::-1] if backwards else query_rows
    candidates = np.array([[0, 3, 5, -1], [6, 1, 2, 4], [1, 2, 3, 4], [5, -1, -1, 0]])
    result = rerank(query, reference, candidates, query_rows=query_rows, reference_rows=reference_rows,
                    threshold=0.3, memory_bytes=memory_bytes)  # fmt: skip
    scores = window_scores(query, reference, candidates, query_rows, reference_rows)
    order = np.argsort(-scores, axis=1, kind="stable")
    assert np.array_equal(result.scores, np.take_along_axis(scores, order, 1))
    assert np.array_equal(result.indices, np.take_along_axis(candidates, order, 1))


def test_a_pair_of_frames_that_neighbouring_windows_share_is_matched_once(monkeypatch):
    from opticornet.matching.rerankers import local_features

    asked = []
    match_pairs = local_features.match_pairs
    monkeypatch.setattr(
        local_features,
        "match_pairs",
        lambda q, r, pairs, **more: asked.append(pairs) or match_pairs(q, r, pairs, **more),
    )
    local, rows = units(9, 12, 4, 3), np.arange(10)[:, None] + np.arange(3)
    rerank(local, local, np.arange(10)[:, None], query_rows=rows, reference_rows=rows)
    assert [len(pairs) for pairs in asked] == [12]  # one per frame, not three per window


def test_an_unusable_frame_of_a_window_counts_nothing():
    local = units(10, 6, 8, 16)
    damaged = local.copy()
    damaged[2] = 0
    rows = np.arange(4)[:, None] + np.arange(3)
    result = rerank(damaged, local, np.arange(4)[:, None], query_rows=rows, reference_rows=rows)
    assert result.scores.ravel().tolist() == [16, 16, 16, 24]
