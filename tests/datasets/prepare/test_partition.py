import numpy as np
import pytest

from opticornet.datasets.prepare.partition import partition, partition_drives
from opticornet.utils.errors import UserError


def line(count, step=1.0):
    return step * np.arange(count, dtype=float)[:, None]


def test_contiguous_stretches_of_the_wanted_lengths():
    orders = set()
    for seed in range(20):
        rows = partition(line(100), line(50, 2.0), (0.5, 0.2, 0.3), 0.0, np.random.default_rng(seed))
        assert {name: len(pair[0]) for name, pair in rows.items()} == {"train": 50, "val": 20, "test": 30}
        for reference, query in rows.values():
            assert (np.diff(reference) == 1).all()
            assert (np.diff(query) == 1).all()
            assert abs(2 * query[0] - reference[0]) <= 1  # the same places
        orders.add(tuple(sorted(rows, key=lambda name: rows[name][0][0])))
    assert len(orders) == 6
    again = partition(line(100), line(50, 2.0), (0.5, 0.2, 0.3), 0.0, np.random.default_rng(19))
    assert all((again[name][0] == rows[name][0]).all() for name in rows)


def test_splits_keep_apart_by_the_gap():
    reference, query = line(200), line(150, 1.3)
    rows = partition(reference, query, (0.6, 0.2, 0.2), 7.0, np.random.default_rng(3))
    places = {name: np.concatenate([reference[r], query[q]]) for name, (r, q) in rows.items()}
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        assert np.abs(places[one] - places[other].T).min() >= 7.0
    assert len(rows["test"][0]) == 40  # the gap is taken from the others
    assert len(rows["train"][0]) > 100


def test_a_route_that_crosses_itself_is_cut_there_too():
    """There and back again on the same road: what the way back tests, the way there may not train on."""
    there_and_back = np.concatenate([line(50), line(50)[::-1]])
    rows = partition(there_and_back, there_and_back, (0.8, 0.0, 0.2), 3.0, np.random.default_rng(0))
    assert list(rows) == ["train", "test"]
    train, test = there_and_back[rows["train"][0]], there_and_back[rows["test"][0]]
    assert np.abs(train - test.T).min() >= 3.0
    assert len(train) > 20


def test_what_fractions_leave_over_is_in_no_split():
    rows = partition(line(100), line(100), (0.2, 0.1, 0.1), 0.0, np.random.default_rng(1))
    used = np.concatenate([pair[0] for pair in rows.values()])
    assert len(np.unique(used)) == len(used) == 40
    assert np.ptp(used) == 39


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.8, 0.2, 0.2), (-0.1, 0.5, 0.5), (0, 0, 0)])
def test_impossible_fractions(fractions):
    with pytest.raises(UserError, match=r"`fractions` .* in all at most 1"):
        partition(line(10), line(10), fractions, 0.0, np.random.default_rng(0))


def test_nothing_left():
    with pytest.raises(UserError, match=r"train split is left with 0 reference and 0 query frames; .* smaller `gap`"):
        partition(line(10), line(10), (0.4, 0.3, 0.3), 50.0, np.random.default_rng(0))


def test_several_query_drives_share_one_cut_of_the_reference():
    reference = np.arange(100.0)[:, None]
    queries = {"sun": np.arange(0, 100, 2.0)[:, None], "rain": np.arange(99.0, -1, -1)[:, None] + 0.25}
    splits = partition_drives({"map": reference}, queries, (0.5, 0.2, 0.3), 3, np.random.default_rng(0))
    assert {split: list(of_queries) for split, (_, of_queries) in splits.items()} == {
        "train": ["sun", "rain"],
        "val": ["sun", "rain"],
        "test-sun": ["sun"],
        "test-rain": ["rain"],
    }
    assert np.array_equal(splits["test-sun"][0]["map"], splits["test-rain"][0]["map"])
    for of_references, of_queries in splits.values():
        for name, rows in of_queries.items():
            apart = np.abs(queries[name][rows] - reference[of_references["map"]].T).min(axis=1)
            assert apart.max() <= 1
    alone = partition_drives({"map": reference}, {"sun": queries["sun"]}, (0.5, 0.2, 0.3), 3, np.random.default_rng(0))
    assert list(alone) == ["train", "val", "test"]


def test_several_reference_drives_are_cut_where_the_first_is():
    """Fall drives the other way and knows half of the route; no drive of val or test comes near one of train."""
    places = {"summer": np.arange(100.0)[:, None], "fall": np.arange(49.0, -1, -1)[:, None]}
    query = {"sun": np.arange(100.0)[:, None]}
    splits = partition_drives(places, query, (0.5, 0.2, 0.3), 3, np.random.default_rng(0))
    one_drive = partition_drives({"summer": places["summer"]}, query, (0.5, 0.2, 0.3), 3, np.random.default_rng(0))
    found = {}
    for split, (of_references, of_queries) in splits.items():
        assert np.array_equal(of_references["summer"], one_drive[split][0]["summer"])
        own = {name: places[name][rows] for name, rows in of_references.items()}
        found[split] = np.concatenate([*own.values(), query["sun"][of_queries["sun"]]])
        if "fall" in own:
            assert np.abs(own["fall"] - own["summer"].T).min(axis=1).max() <= 1
    assert sum("fall" in of_references for of_references, _ in splits.values()) >= 1
    assert any("fall" not in of_references for of_references, _ in splits.values())
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        assert np.abs(found[one] - found[other].T).min() >= 3


def test_a_query_drive_elsewhere_is_named():
    reference = np.arange(100.0)[:, None]
    queries = {"whole": reference, "piece": reference[:3]}
    with pytest.raises(UserError, match="the test-piece split is left without frames of piece"):
        partition_drives({"map": reference}, queries, (0.0, 0.0, 0.5), 0, np.random.default_rng(3))
