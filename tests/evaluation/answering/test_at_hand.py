"""Timed queries find adapted frames made, but for the newest."""

import numpy as np
import pytest

from opticornet.datasets.adapting.adaptation import AS_THEY_ARE, Adaptation, own_mean
from opticornet.datasets.adapting.rows import AdaptedRows, RunningMean
from opticornet.datasets.traverse import Traverse
from opticornet.datasets.windows import Windows
from opticornet.evaluation.answering.at_hand import KeptRows, adapting_newest, of_timed_queries, windows_at_hand
from opticornet.evaluation.answering.timing import timed_queries
from opticornet.matching.sequences.windows import SequenceSet

COUNT, DIMS, LENGTH, TIMED = 40, 3, 4, 3


@pytest.fixture
def plain() -> Traverse:
    rows = np.random.default_rng(0).standard_normal((COUNT, DIMS)).astype(np.float32)
    bounds = np.tile([0, COUNT], (COUNT, 1))
    return Traverse("night", rows, np.arange(float(COUNT))[:, None], "frames", bounds)


@pytest.fixture
def adapted(plain) -> Traverse:
    return own_mean(plain, scale=False)


def no_more_reading(monkeypatch) -> None:
    monkeypatch.setattr(AdaptedRows, "_read", lambda *_: pytest.fail("adapted again"))


def test_kept_rows_are_the_rows(adapted, monkeypatch):
    values = np.asarray(adapted.descriptors)
    kept = KeptRows(adapted.descriptors, np.array([2, 3, 4, 20]))
    assert (len(kept), kept.shape, kept.dtype) == (COUNT, (COUNT, DIMS), np.float32)
    for key in (7, slice(3, 9), np.array([[2, 30], [4, 4]])):
        np.testing.assert_array_equal(np.asarray(kept[key]), values[key])
    np.testing.assert_array_equal(np.asarray(kept), values)
    no_more_reading(monkeypatch)
    for key in (3, slice(2, 5), np.array([20, 2, 2])):
        np.testing.assert_array_equal(kept[key], values[key])


def test_the_windows_of_timed_queries_are_not_adapted_again(plain, adapted, monkeypatch):
    values, query = np.asarray(adapted.descriptors), Windows.of(adapted, LENGTH)
    frames = of_timed_queries(query, TIMED).descriptors
    sets = (SequenceSet(adapted.descriptors, query.starts, LENGTH) for _ in range(2))
    reference, matched = windows_at_hand(*sets, TIMED, memory_bytes=COUNT * DIMS * 4)
    no_more_reading(monkeypatch)
    np.testing.assert_array_equal(reference.frames, values)
    for i in timed_queries(len(query), TIMED):
        rows = slice(query.starts[i], query.starts[i] + LENGTH)
        for found in (frames, matched.frames):
            np.testing.assert_array_equal(found[rows], values[rows])


def test_a_map_above_the_bound_and_frames_that_nobody_adapts_stay_where_they_are(plain, adapted):
    for frames, wanted in ((adapted.descriptors, TIMED), (plain.descriptors, TIMED), (adapted.descriptors, 0)):
        windows = SequenceSet(frames, np.arange(COUNT - LENGTH), LENGTH)
        reference, query = windows_at_hand(windows, windows, wanted, memory_bytes=COUNT * DIMS * 4 - 1)
        assert reference.frames is frames
        assert (query.frames is frames) == (wanted == 0 or frames is plain.descriptors)
    assert of_timed_queries(Windows.of(plain, LENGTH), TIMED) is plain
    assert of_timed_queries(Windows.of(adapted, LENGTH), 0) is adapted


def test_adapting_the_newest_frame_is_timed(plain, adapted, monkeypatch):
    added = []
    before = RunningMean.add
    monkeypatch.setattr(RunningMean, "add", lambda self, frame: added.append(frame.shape) or before(self, frame))
    for scale in (False, True):
        newest = adapting_newest(Adaptation("running", scale), adapted.descriptors)
        newest()
    assert added == [(DIMS,)] * 2
    adapting_newest(AS_THEY_ARE, plain.descriptors)()
    adapting_newest(Adaptation("traverse"), adapted.descriptors)()
    assert len(added) == 2
