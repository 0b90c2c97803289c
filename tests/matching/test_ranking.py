"""Order keys and the running top K."""

import numpy as np
import torch

from opticornet.matching.ranking import (
    Ranking,
    TopK,
    concatenate,
    decode_keys,
    of_all_ways,
    order_keys,
    sort_candidates,
)


def test_keys_sort_by_distance_then_by_index_and_decode_to_both():
    distances = torch.tensor([[0.5, -1.0, 0.0, -0.0, torch.inf, -2.5, 0.5]])
    indices = torch.tensor([7, 1, 9, 3, -1, 4, 2])
    ranking = decode_keys(order_keys(distances, indices).sort(dim=1).values)
    assert ranking.indices.tolist() == [[4, 1, 3, 9, 2, 7, -1]]
    assert ranking.distances.tolist() == [[-2.5, -1, 0, 0, 0.5, 0.5, np.inf]]
    assert (ranking.indices.dtype, ranking.distances.dtype) == (np.int64, np.float32)


def test_top_k_over_tiles_is_the_stable_sort_of_all():
    generator = np.random.default_rng(0)
    distances = generator.integers(0, 20, (50, 300)).astype(np.float32)  # many ties
    best = TopK(50, 40)
    columns = generator.permutation(300)
    for part in np.split(columns, [7, 100, 101, 250]):
        for rows in (slice(0, 20), slice(20, 50)):
            best.update(rows, torch.from_numpy(distances[rows, part]), torch.from_numpy(part))
    order = np.argsort(distances, axis=1, kind="stable")[:, :40]
    assert np.array_equal(best.ranking().indices, order)
    assert np.array_equal(best.ranking().distances, np.take_along_axis(distances, order, axis=1))


def test_candidates_without_a_reference_stay_last():
    distances = torch.tensor([[torch.inf, 2.0, 1.0], [3.0, torch.inf, 3.0]])
    ranking = sort_candidates(distances, torch.tensor([[-1, 5, 6], [8, -1, 0]]))
    assert ranking.indices.tolist() == [[6, 5, -1], [0, 8, -1]]


def test_concatenate_and_first():
    one = Ranking(np.array([[1, 2]]), np.array([[0.1, 0.2]], dtype=np.float32))
    two = Ranking(np.array([[3, 4]]), np.array([[0.3, 0.4]], dtype=np.float32))
    both = concatenate([one, two])
    assert both.indices.tolist() == [[1, 2], [3, 4]]
    assert len(both) == 2
    assert both.first(1).indices.tolist() == [[1], [3]]


def test_rankings_of_several_ways_are_one_by_distance_then_index_then_way():
    first = Ranking(np.array([[4, 7], [2, 3]]), np.array([[0.2, 0.6], [0.1, 0.5]], np.float32))
    second = Ranking(np.array([[7, 4], [3, -1]]), np.array([[0.1, 0.3], [0.25, np.inf]], np.float32))
    both = of_all_ways([first, second], (1, 2))
    assert both.indices.tolist() == [[4, 7, 4, 7], [2, 3, 3, -1]]
    assert both.ways.tolist() == [[0, 1, 1, 0], [0, 0, 1, 1]]
    assert both.distances.tolist() == np.float32([[0.2, 0.2, 0.6, 0.6], [0.1, 0.5, 0.5, np.inf]]).tolist()
    assert both.first(1).ways.tolist() == [[0], [0]]
    assert both.ways_from(2)[0].tolist() == [2, 3, 3, 2]
    assert of_all_ways([first], (1,)) is first
    assert first.ways_from(2).tolist() == [[2, 2], [2, 2]]
    assert concatenate([both, both]).ways.tolist() == [*both.ways.tolist()] * 2
