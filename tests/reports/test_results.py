import json
from dataclasses import replace

import numpy as np
import pytest

from opticornet.reports.results import CLOSE, NO_POSITIVE, RIGHT, WRONG, read_result, read_results
from opticornet.utils.errors import UserError


def test_outcomes(record):
    result = read_result(record(wrong=(3, 4), no_positive=(7,)))
    expected = np.full(20, RIGHT)
    expected[[3, 4]] = CLOSE  # their own place has rank 3
    expected[7] = NO_POSITIVE
    np.testing.assert_array_equal(result.answers.outcome, expected)
    assert result.answers.first_right_rank[[0, 3, 7]].tolist() == [1, 3, 0]
    assert result.answers.nearest[:3].tolist() == [0, 1, 2]


def test_wrong_where_the_right_place_lies_behind_rank_five(record):
    path = record(wrong=(3,))
    arrays = dict(np.load(path.with_suffix(".npz")))
    arrays["correct"][3] = [False] * 6 + [True] + [False] * 3
    np.savez(path.with_suffix(".npz"), **arrays)
    assert read_result(path).answers.outcome[3] == WRONG


def test_windows_of_records_without_starts_stay_inside_the_traverse(record):
    side = read_result(record()).answers.query
    assert side.starts[[0, 1, 19]].tolist() == [0, 0, 17]  # length 3, centred, shifted back inside


def test_same_labels_are_told_apart(record):
    results, _ = read_results([record("one"), record("two"), record("three", label="dsdnet S5")])
    assert [result.name for result in results] == ["smooth S5", "smooth S5 (2)", "dsdnet S5"]


@pytest.mark.parametrize("damage", ["missing", "truncated", "not an archive", "other length", "empty", "older"])
def test_arrays_that_cannot_be_used_are_noted(record, damage):
    path = record()
    arrays = path.with_suffix(".npz")
    content = dict(np.load(arrays))
    if damage == "missing":
        arrays.unlink()
    elif damage == "truncated":
        arrays.write_bytes(arrays.read_bytes()[:1000])
    elif damage == "not an archive":
        arrays.write_text("hello")
    elif damage == "other length":
        np.savez(arrays, **content | {"counted": content["counted"][:5]})
    elif damage == "empty":
        np.savez(arrays, **{key: value[:0] for key, value in content.items()})
    else:
        np.savez(arrays, **{key: value for key, value in content.items() if key != "errors"})
    result = read_result(path)
    assert result.answers is None
    assert len(result.notes) == 1
    assert "no map" in result.notes[0]
    assert result.recall(1) == pytest.approx(0.85)


def test_pickles_in_arrays_are_refused(record):
    path = record()
    content = dict(np.load(path.with_suffix(".npz")))
    np.savez(path.with_suffix(".npz"), **content | {"queryNames": np.array([{}] * 20, dtype=object)})
    assert read_result(path).answers is None


def test_unreadable_records_are_named_and_the_rest_is_read(record, tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    newer = tmp_path / "newer.json"
    newer.write_text(json.dumps({"recall": {}, "format": 99}))
    results, failures = read_results([record(), bad, newer])
    assert len(results) == 1
    assert "bad.json" in failures[0]
    assert "newer" in failures[1]
    with pytest.raises(UserError, match=r"bad\.json"):
        read_results([bad])
    with pytest.raises(UserError, match="`results`"):
        read_results([])


def test_an_older_record_without_sections(tmp_path):
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"recall": {"1": 0.5}, "format": 1}))
    result = read_result(path)
    assert result.name == "old"
    assert result.recall(1) == 0.5
    assert result.recall(5) is None
    assert result.get("timing", "latency_ms", default="none") == "none"


def test_a_folder_stands_for_the_records_in_it(record, tmp_path):
    paths = [record("b"), record("a")]
    results, _ = read_results((str(paths[0]), str(paths[0].parent)))
    assert [result.path for result in results] == paths  # each once
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no result record .* in .*empty"):
        read_results((str(tmp_path / "empty"),))


def test_labels_may_be_given_one_for_each_result(record):
    paths = [record("b"), record("a")]
    results, _ = read_results(paths, ("ours", "theirs"))
    assert [(result.path, result.name) for result in results] == [(paths[0], "ours"), (paths[1], "theirs")]
    with pytest.raises(UserError, match=r"`label`: 1 labels for 2 results \(b.json, a.json\)"):
        read_results(paths, ("ours",))


def test_rows_of_several_drives_are_called_by_their_drive_and_end_with_it(record, tmp_path):
    (plain,), _ = read_results([record("plain")])
    side = plain.need_answers("this").query
    assert side.row_names(np.array([0, 11])) == ["0", "11"]
    assert side.route_rows is side.rows
    both = replace(side, drives=np.repeat(["rain", "snow"], 10))
    assert both.row_names(np.array([9, 10])) == ["rain:9", "snow:10"]
    assert np.flatnonzero(np.diff(both.route_rows) != 1).tolist() == [9]
