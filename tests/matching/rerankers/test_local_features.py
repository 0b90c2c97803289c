"""Re-ranking by mutual matches against the original's numbers and a plain double loop."""

import numpy as np
import pytest
import torch

from opticornet.matching.ranking import sort_candidates
from opticornet.matching.rerankers.local_features import mutual_matches, rerank


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


def test_scores_match_original(fixture):
    query, reference = fixture["in_q"], fixture["in_db"]
    scores = [
        mutual_matches(torch.from_numpy(query[i]), torch.from_numpy(reference[row]))
        for i, row in enumerate(fixture["in_preds"])
    ]
    assert np.array_equal(torch.stack(scores).numpy(), fixture["out_scores"])
    single = mutual_matches(torch.from_numpy(fixture["in_single_fm1"]), torch.from_numpy(fixture["in_single_fm2"]))
    assert single.tolist() == fixture["out_single"].tolist()


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


def test_a_single_mutual_pair_scores_nothing(fixture):
    axis = torch.eye(3)[:1]
    assert mutual_matches(axis, axis[None]).tolist() == fixture["out_single_pair_overall"].tolist() == [0]
    assert mutual_matches(torch.eye(3)[:2], torch.eye(3)[None, :2]).tolist() == [2]


@pytest.mark.parametrize("threshold", [0.3, 0.7])
@pytest.mark.parametrize("memory_bytes", [1, 4 * 20 * 25 * 3, 2**30])
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
    result = rerank(query, reference, np.array([[0, 1, 2, 3]]))
    assert result.indices[0, 0] == 2
    assert result.scores[0, 0] == 30


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        rerank(units(1, 2, 5, 4), units(2, 3, 5, 6), np.zeros((2, 1), dtype=np.int64))
    with pytest.raises(ValueError, match="do not fit"):
        rerank(units(1, 2, 5, 4), units(2, 3, 5, 4), np.zeros((3, 1), dtype=np.int64))


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
