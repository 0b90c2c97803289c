"""How the two traverses of a split are adapted."""

import json
from dataclasses import replace

import numpy as np
import pytest

from opticornet.datasets.adapting import adaptation
from opticornet.datasets.adapting.adaptation import Adaptation, AdaptedMaps, pooled_statistics
from opticornet.datasets.adapting.rows import RunningMean
from opticornet.datasets.adapting.statistics import Statistics
from opticornet.datasets.descriptors.identity import DescriptorIdentity
from opticornet.datasets.filling import fill_frames
from opticornet.datasets.traverse import Drive, Split, Traverse

COUNT, DIMS = 40, 4


def traverse(name: str, offset: float) -> Traverse:
    rows = np.random.default_rng(len(name)).standard_normal((COUNT, DIMS)).astype(np.float32) + np.float32(offset)
    positions, bounds = np.arange(float(COUNT))[:, None], np.tile([0, COUNT], (COUNT, 1))
    return Traverse(name, rows, positions, "frames", bounds)


@pytest.fixture
def split() -> Split:
    return Split("test", traverse("day", 1.0), traverse("night", -2.0), 1.0)


def test_nothing_is_touched_without(split):
    assert Adaptation().of(split) is split


def test_the_map_is_centred_by_its_mean_and_the_query_by_its_past(split):
    begin = Statistics(np.full(DIMS, -2.0), None, np.int64(1))
    adapted = Adaptation("running", begin=begin).of(split)
    reference = split.reference.descriptors
    expected = reference - reference.astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(np.asarray(adapted.reference.descriptors), expected, atol=1e-6)
    one_by_one = RunningMean(begin)
    frames = [one_by_one.add(frame) for frame in split.query.descriptors]
    np.testing.assert_array_equal(np.asarray(adapted.query.descriptors), frames)


def test_without_training_queries_it_begins_from_the_map(split):
    adaptation = Adaptation("running")
    first = np.asarray(adaptation.of(split).query.descriptors)[0]
    begin = pooled_statistics(split.reference, scale=False)
    np.testing.assert_array_equal(first, RunningMean(begin).add(split.query.descriptors[0]))
    assert adaptation.begun_from == "the map's mean"
    assert Adaptation("running", begin=begin).begun_from == "queries of train"
    assert Adaptation("traverse", begin=begin).begun_from == ""


def test_a_traverse_of_several_drives_is_adapted_drive_by_drive(split):
    drives = (Drive("monday", 0, 15), Drive("friday", 15, COUNT))
    query = replace(split.query, joined=drives)
    for by in ("running", "traverse"):
        adaptation = Adaptation(by, begin=Statistics(np.zeros(DIMS), None, np.int64(1)))
        whole = np.asarray(adaptation.of(replace(split, query=query)).query.descriptors)
        alone = [adaptation.of(replace(split, query=split.query.cut(d.start, d.stop))).query for d in drives]
        np.testing.assert_array_equal(whole, np.concatenate([np.asarray(one.descriptors) for one in alone]))


def test_the_mean_of_several_drives_is_that_of_all_frames_and_the_variance_that_within_them(split):
    query = replace(split.query, joined=(Drive("monday", 0, 10), Drive("friday", 10, COUNT)))
    rows = query.descriptors.astype(np.float64)
    found = pooled_statistics(query, scale=True)
    np.testing.assert_allclose(found.mean, rows.mean(axis=0))
    np.testing.assert_allclose(found.variance, (10 * rows[:10].var(axis=0) + 30 * rows[10:].var(axis=0)) / 40)
    assert found.count == COUNT


@pytest.mark.parametrize("filling", ["none", "previous", "interpolate"])
@pytest.mark.parametrize("by", ["running", "traverse"])
def test_unusable_frames_enter_no_mean_filled_or_not(split, by, filling):
    usable = np.arange(COUNT) % 9 != 4
    rows = np.where(usable[:, None], split.query.descriptors, np.nan).astype(np.float32)
    query = fill_frames(replace(split.query, descriptors=rows, usable=usable), filling, frozenset({"descriptors"}))
    adaptation = Adaptation(by, begin=Statistics(np.zeros(DIMS), None, np.int64(1)))
    found = np.asarray(adaptation.of(replace(split, query=query)).query.descriptors)[usable]
    good = replace(split.query, descriptors=rows[usable], positions=split.query.positions[usable])
    np.testing.assert_array_equal(found, np.asarray(adaptation.of(replace(split, query=good)).query.descriptors))


def test_frames_that_are_neither_scored_nor_placed_enter(split):
    positions = np.where(np.arange(COUNT) % 2, np.nan, split.query.positions[:, 0])[:, None]
    query = replace(split.query, scored=np.arange(COUNT) % 5 == 0, positions=positions)
    for by in ("running", "traverse"):
        found, plain = (Adaptation(by).of(s).query for s in (replace(split, query=query), split))
        np.testing.assert_array_equal(np.asarray(found.descriptors), np.asarray(plain.descriptors))


def test_a_map_that_splits_share_is_adapted_once(split, monkeypatch):
    maps, begin = AdaptedMaps(), Statistics(np.zeros(DIMS), None, np.int64(1))
    read, own_mean = [], adaptation.own_mean
    monkeypatch.setattr(adaptation, "own_mean", lambda *given: read.append(given) or own_mean(*given))
    first = Adaptation("running", begin=begin).of(split, maps)
    again = Adaptation("running").of(replace(split, query=traverse("rain", 0.5)), maps)
    assert again.reference is first.reference
    assert len(read) == 1
    scaled = Adaptation("running", scale=True).of(split, maps).reference
    assert not np.array_equal(np.asarray(scaled.descriptors), np.asarray(first.reference.descriptors))


def test_an_adaptation_is_a_value(split):
    adapted = Adaptation("traverse")
    assert adapted.of(split).reference is not adapted.of(split).reference
    assert vars(adapted) == vars(Adaptation("traverse"))


def test_training_queries_of_other_dimensions_are_left_for_the_map(split):
    fitting = Adaptation("running", begin=Statistics(np.zeros(DIMS + 1), None, np.int64(1))).fitting(split)
    assert fitting.why_map == "the training queries have 5-D descriptors, these 4-D ones"
    assert fitting.begun_from == "the map's mean"
    expected = np.asarray(Adaptation("running").of(split).query.descriptors)
    np.testing.assert_array_equal(np.asarray(fitting.of(split).query.descriptors), expected)


def test_training_queries_described_otherwise_are_left_for_the_map(split, tmp_path):
    record = {"encoder": "hog", "weights": {"kind": "none"}, "rows": COUNT, "dims": DIMS}
    np.save(tmp_path / "night.npy", split.query.descriptors)
    (tmp_path / "night.json").write_text(json.dumps(record))
    split = replace(split, query=replace(split.query, source=str(tmp_path / "night.npy")))
    begin = Statistics(np.zeros(DIMS), None, np.int64(1))
    for made, why in (
        (DescriptorIdentity.of(record), ""),
        (None, ""),
        (
            DescriptorIdentity("tiny", {"kind": "none"}),
            "the training queries' descriptors were made differently (encoder tiny for training, hog for these)",
        ),
    ):
        fitting = Adaptation("running", begin=begin, made=made).fitting(split)
        assert (fitting.why_map, fitting.begin is None) == (why, bool(why))
