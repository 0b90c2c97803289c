from dataclasses import replace

import numpy as np
import pytest

from opticornet.datasets.catalogue import load_dataset
from opticornet.datasets.synthetic import MANY_PLACES, SyntheticParameters, simulate
from opticornet.datasets.windows import window_starts


@pytest.fixture(scope="module")
def dataset():
    return simulate()


def traverses(dataset):
    return [traverse for split in dataset.splits.values() for traverse in (split.reference, split.query)]


def test_same_seed_same_bits_other_seed_other_world(dataset):
    again, other = simulate(), simulate(seed=1)
    for one, same, different in zip(traverses(dataset), traverses(again), traverses(other), strict=True):
        np.testing.assert_array_equal(one.descriptors, same.descriptors)
        np.testing.assert_array_equal(one.positions, same.positions)
        assert len(one) != len(different) or not np.array_equal(one.descriptors, different.descriptors)


def test_sizes_units_and_unit_length(dataset):
    assert list(dataset.splits) == ["train", "val", "test"]
    for traverse in traverses(dataset):
        assert traverse.units == "metres"
        assert traverse.descriptors.dtype == np.float32
        assert traverse.dims == 128
        np.testing.assert_allclose(np.linalg.norm(traverse.descriptors, axis=1), 1, atol=1e-6)
    counts = {name: len(split.reference) for name, split in dataset.splits.items()}
    assert 600 <= counts["train"] <= 1000
    assert 200 <= counts["val"] <= 300
    assert 400 <= counts["test"] <= 500


def test_splits_share_no_place(dataset):
    places = {name: np.concatenate([s.reference.positions, s.query.positions]) for name, s in dataset.splits.items()}
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        distances = np.linalg.norm(places[one][:, None] - places[other][None], axis=2)
        assert distances.min() > SyntheticParameters().positive_radius_m


def test_every_query_has_a_positive_and_every_training_query_a_negative(dataset):
    for split in dataset.splits.values():
        distances = np.linalg.norm(split.query.positions[:, None] - split.reference.positions[None], axis=2)
        assert (distances.min(axis=1) <= split.positive_radius).all()
        if split.negative_radius:
            assert (distances.max(axis=1) > split.negative_radius).all()


def test_drives_have_speeds_of_their_own_and_stop(dataset):
    split = dataset.splits["train"]
    assert len(split.reference) != len(split.query)
    for traverse in (split.reference, split.query):
        steps = np.linalg.norm(np.diff(traverse.positions, axis=0), axis=1)
        assert (steps == 0).any()
        moving = steps[steps > 0]
        assert moving.std() > 0.1 * moving.mean()


def test_neighbours_look_alike_and_so_do_some_far_places():
    quiet = replace(
        SyntheticParameters(), viewpoint_strength=0, season_strength=0, change_strength=0, offset_strength=0
    )
    split = simulate(parameters=quiet).splits["test"]
    similarity = split.reference.descriptors @ split.reference.descriptors.T
    distance = np.linalg.norm(split.reference.positions[:, None] - split.reference.positions[None], axis=2)
    next_to = np.diag(similarity, 1).mean()
    far = similarity[distance > 100]
    assert next_to > 0.9
    assert abs(np.median(far)) < 0.1
    assert far.max() > 0.7
    alone = replace(quiet, alias_strength=0)
    split = simulate(parameters=alone).splits["test"]
    assert (split.reference.descriptors @ split.reference.descriptors.T)[distance > 100].max() < far.max() - 0.1


def recall_at_1(distances: np.ndarray, correct: np.ndarray) -> float:
    return correct[np.arange(len(distances)), distances.argmin(axis=1)].mean()


def test_parameter_free_methods_rank_as_on_real_drives(dataset):
    """single < smooth and delta < sequence matching, none of them near 0 or 1: room to learn something."""
    split, length = dataset.splits["test"], 5

    def windows(traverse):
        starts = window_starts(np.arange(len(traverse)), traverse.bounds, length)
        return traverse.descriptors[starts[:, None] + np.arange(length)]  # (N, L, D)

    def distances(query, reference):
        query, reference = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, reference))
        return np.sqrt(np.maximum(2 - 2 * query @ reference.T, 0))

    reference, query = windows(split.reference), windows(split.query)
    correct = np.linalg.norm(split.query.positions[:, None] - split.reference.positions[None], axis=2)
    correct = correct <= split.positive_radius
    weights = np.array([-1, -1, 1, 1, 1]) / 2.5
    recall = {
        "single": distances(split.query.descriptors, split.reference.descriptors),
        "smooth": distances(query.mean(axis=1), reference.mean(axis=1)),
        "delta": distances(np.einsum("l,nld->nd", weights, query), np.einsum("l,nld->nd", weights, reference)),
        "seqmatch": sum(distances(query[:, k], reference[:, k]) for k in range(length)) / length,
    }
    recall = {name: recall_at_1(value, correct) for name, value in recall.items()}
    assert 0.15 < recall["single"] < recall["smooth"]
    assert recall["single"] < recall["delta"]
    assert max(recall["smooth"], recall["delta"]) < recall["seqmatch"] < 0.6


def season_alone(kinds: int) -> np.ndarray:
    """Frames in which nothing is seen but the season, in the order driven."""
    quiet = SyntheticParameters(
        place_strength=0, alias_strength=0, change_strength=0, offset_strength=0, viewpoint_strength=0
    )
    split = simulate(parameters=replace(quiet, season_kinds=kinds)).splits["train"]
    return split.query.descriptors.astype(np.float64)


def dimensions(frames: np.ndarray) -> int:
    """Directions that hold all of some frames but a hundredth."""
    energy = np.sort(np.linalg.eigvalsh(frames.T @ frames))[::-1].cumsum()
    return int((energy < 0.99 * energy[-1]).sum()) + 1


def test_what_a_season_changes_depends_on_the_scene_type():
    """One kind: the same 24 directions everywhere. Four: 24 in one scene, together four times as many."""
    one, four = season_alone(1), season_alone(4)
    assert dimensions(one) <= 24
    assert dimensions(four) > 60
    in_one_scene = [dimensions(four[start : start + 15]) for start in range(0, len(four) - 15, 15)]  # 30 m of 40
    assert np.median(in_one_scene) <= 24
    assert max(in_one_scene) <= 2 * 24


def test_the_large_world_has_20_000_places():
    p = MANY_PLACES
    assert (p.train_m + p.val_m + p.test_m) / p.frame_spacing_m == 20_000


@pytest.mark.slow
def test_the_large_world_is_built_in():
    dataset = load_dataset("synthetic-20k", splits=("train", "test"))
    assert dataset.name == "synthetic-20k"
    assert {name: round(len(split.reference), -3) for name, split in dataset.splits.items()} == {
        "train": 14_000,
        "test": 4_000,
    }
