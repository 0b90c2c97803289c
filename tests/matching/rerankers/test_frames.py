"""Re-ranking by matched frames, with and without the distance that was searched, by hand."""

import numpy as np
import pytest
import torch

from opticornet.matching.ranking import Ranking
from opticornet.matching.rerankers.base import RerankMaterial, RerankSide
from opticornet.matching.rerankers.frames import RawFrames
from opticornet.matching.rerankers.mixing import distances_of, mixed
from opticornet.matching.sequences.diagonal import Diagonal
from opticornet.matching.sequences.windows import SequenceSet
from opticornet.utils.errors import UserError

SEARCHED = Ranking(np.array([[4, 7, 2, -1]]), np.array([[0.1, 0.2, 0.6, np.inf]], np.float32))
COMPARED = Ranking(np.array([[2, 7, 4, -1]]), np.array([[0.3, 0.4, 0.9, np.inf]], np.float32))


@pytest.mark.parametrize(
    ("weight", "indices", "distances"),
    [
        (0, [2, 7, 4, -1], [0.3, 0.4, 0.9, np.inf]),
        (0.25, [7, 2, 4, -1], [0.35, 0.375, 0.7, np.inf]),  # 3/4 of .4 .3 .9 and 1/4 of .2 .6 .1
        (0.5, [7, 2, 4, -1], [0.3, 0.45, 0.5, np.inf]),
        (1, [4, 7, 2, -1], [0.1, 0.2, 0.6, np.inf]),
    ],
)
def test_the_weighted_mean_of_both_distances(weight, indices, distances):
    ranking = mixed(SEARCHED, COMPARED, weight)
    assert ranking.indices.tolist() == [indices]
    np.testing.assert_allclose(ranking.distances, [distances], rtol=1e-6)
    assert ranking.distances.dtype == np.float32


def test_distances_of_references_in_another_order():
    two = Ranking(np.array([[5, 1], [-1, 3]]), np.array([[0.5, 0.1], [np.inf, 0.3]], np.float32))
    np.testing.assert_allclose(distances_of(two, np.array([[1, 5], [3, -1]])), [[0.1, 0.5], [0.3, np.inf]], rtol=1e-6)


def material() -> RerankMaterial:
    """One query, frame (1, 0), among frames at 0, 90 and 180 degrees."""
    sides = []
    for name, frames in (("map", [[1, 0], [0, 1], [-1, 0]]), ("drive", [[1, 0]])):
        rows = np.arange(len(frames))
        windows = SequenceSet(np.array(frames, np.float32), rows, 1, normalise=True)
        sides.append(RerankSide(name, rows, windows))
    return RerankMaterial(sides[0], sides[1], Diagonal(), 1 << 20, torch.device("cpu"))


def test_candidates_are_matched_and_their_searched_distance_weighs_in():
    candidates = Ranking(np.array([[2, 1, 0]]), np.array([[0.1, 0.2, 1.9]], np.float32))
    alone = RawFrames(rerank_weight="0").rerank(material(), candidates, slice(None))
    assert alone.indices.tolist() == [[0, 1, 2]]
    np.testing.assert_allclose(alone.distances, [[0, 2**0.5, 2]], atol=1e-6)
    half = RawFrames(rerank_weight="0.5").rerank(material(), candidates, slice(None))
    assert half.indices.tolist() == [[1, 0, 2]]
    np.testing.assert_allclose(half.distances, [[0.1 + 0.5**0.5, 0.95, 1.05]], atol=1e-6)
    first = RawFrames(rerank_weight="1").rerank(material(), candidates, slice(None))
    assert first.indices.tolist() == candidates.indices.tolist()


def test_what_the_distances_are_made_of():
    assert RawFrames(rerank_weight="0").distances_of == ("compared",)
    assert RawFrames(rerank_weight="0.3").distances_of == ("searched", "compared")
    assert RawFrames(rerank_weight="1").distances_of == ("searched",)
    assert RawFrames(rerank_weight="0.3").searched_weight == 0.3
    assert RawFrames(rerank_weight="auto").chooses_weight
    with pytest.raises(ValueError, match="has not been chosen yet"):
        _ = RawFrames(rerank_weight="auto").searched_weight


@pytest.mark.parametrize("weight", ["1.5", "-0.1", "much", "nan"])
def test_other_weights_are_refused(weight):
    with pytest.raises(UserError, match=f"`rerank_weight` {weight}: wanted auto, or a number from 0 to 1"):
        RawFrames(rerank_weight=weight)
