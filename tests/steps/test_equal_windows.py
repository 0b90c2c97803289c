"""The ends of a drive: the first and last frames share their windows, which are one answer."""

import json

import numpy as np
import pytest

from opticornet.options.modes import CompareOptions, TestOptions
from opticornet.steps.compare import compare
from opticornet.steps.test import test as run_test
from opticornet.utils.errors import UserError

FRAMES = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two drives over the same places, whose frames are nearly the same; of val's map the last ten are missing."""
    folder = tmp_path_factory.mktemp("drives")
    generator = np.random.default_rng(4)
    frames = generator.standard_normal((FRAMES, 16)).astype(np.float32)
    for name in ("day", "night"):
        noise = 0.02 * (1 + np.arange(FRAMES)[:, None] % 7) * generator.standard_normal(frames.shape)
        np.save(folder / f"{name}.npy", (frames + noise).astype(np.float32))
    toml = ['name = "ends"', 'units = "frames"']
    toml += [f'traverses.{name}.descriptors = "{name}.npy"' for name in ("day", "night")]
    toml += [
        f"[splits.{split}]\nreference = 'day'\nquery = 'night'\npositive_radius = 0.5\n{rows}"
        for split, rows in (
            ("test", ""),
            ("val", "reference_rows = [0, 30]"),  # queries 30 to 39 have no place
        )
    ]
    (folder / "dataset.toml").write_text("\n".join(toml))
    return folder


def answer(folder, tmp_path, **options):
    given = {"pooling": "single+seqmatch", "sequence_length": 5, "latency_queries": 0, "bootstrap": 20, "quiet": True}
    given |= {"dataset": str(folder), "results_path": str(tmp_path), "device": "cpu"} | options
    record = run_test(TestOptions.of(**given))
    return record, np.load(tmp_path / record.predictions, allow_pickle=False)


def test_a_drive_that_is_recognised_whole_has_no_wrong_ends(folder, tmp_path):
    each, each_arrays = answer(folder, tmp_path, equal_windows="each")
    # frames 0 1 2 share a window, as do 37 38 39: the first of them stands first, and is wrong for the other two
    assert np.flatnonzero(~each_arrays["correct"][:, 0]).tolist() == [1, 2, 38, 39]
    assert each.recall["1"] == 0.9
    assert each.recall_at_full_precision < 0.5
    one, arrays = answer(folder, tmp_path)
    assert (one.recall["1"], one.average_precision, one.recall_at_full_precision) == (1, 1, 1)
    assert not arrays["errors"][:, 0].any()
    assert arrays["preds"][:3, 0].tolist() == [2, 2, 2]
    assert arrays["preds"][-3:, 0].tolist() == [37, 37, 37]
    assert (each.protocol.equal_windows, one.protocol.equal_windows) == ("each", "one")
    assert one.protocol.counted == one.protocol.queries == FRAMES


@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "smooth"},
        {"pooling": "single"},
        {"windows": "trailing"},
        {"sequence_length": 8},
        {"matcher": "dtw"},
        {"matcher": "seqslam"},
        {"direction": "both"},
        {"direction": "both", "windows": "trailing"},
        {"pooling": "smooth", "rerank": "single+seqmatch"},
        {"pooling": "smooth", "rerank": "single+seqmatch", "rerank_length": 8},
        {"pooling": "smooth", "rerank": "single+seqmatch", "rerank_length": 2},
    ],
    ids=str,
)
def test_whatever_finds_it(folder, tmp_path, options):
    record, arrays = answer(folder, tmp_path, **options)
    assert (record.recall["1"], record.recall_at_full_precision) == (1, 1)
    for row in arrays["preds"].tolist():
        found = [number for number in row if number >= 0]
        assert len(found) == len(set(found))


def test_no_window_is_an_answer_twice_and_as_many_are_ranked_as_are_asked_for(folder, tmp_path):
    _, arrays = answer(folder, tmp_path, recall_at=(1, 20))
    assert arrays["preds"].shape == (FRAMES, 20)
    assert arrays["preds"].min() >= 2  # 0 and 1 are shown as 2
    assert arrays["preds"].max() <= 37
    assert np.isfinite(arrays["distances"]).all()
    starts = arrays["referenceStarts"][arrays["preds"]]
    assert all(len(set(row)) == 20 for row in starts.tolist())


def test_re_ranked_by_single_frames_each_frame_is_an_answer(folder, tmp_path):
    record, arrays = answer(folder, tmp_path, pooling="smooth", rerank="single+seqmatch", rerank_length=1)
    assert record.recall["1"] == 1
    assert arrays["preds"][:3, 0].tolist() == [0, 1, 2]
    searched, _ = answer(folder, tmp_path, pooling="smooth")
    assert record.recall_before_rerank["1"] == searched.recall["1"]


@pytest.mark.parametrize(
    ("weight", "shown"),
    [
        ("0", [4, 4, 4, 4, 4]),  # frames 0 to 4 share a window of eight
        ("0.5", [2, 2, 2, 3, 4]),  # 0 to 2 one of five as well, 3 and 4 do not
        ("1", [2, 2, 2, 3, 4]),
    ],
)
def test_re_ranked_by_longer_windows_what_the_distance_is_made_of_decides(folder, tmp_path, weight, shown):
    options = {"rerank": "single+seqmatch", "rerank_length": 8, "rerank_weight": weight}
    _, arrays = answer(folder, tmp_path, pooling="smooth", **options)
    assert arrays["preds"][:5, 0].tolist() == shown


SEARCHED = {"pooling": "smooth", "recall_at": (1, 5, 20)}
RERANKED = SEARCHED | {"rerank": "single+seqmatch", "top_k": 7}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"splits": ("val",)},
        {"no_positive": "count", "splits": ("val",)},
        {"direction": "both"},
        SEARCHED,
        SEARCHED | {"index": "IVF4,Flat", "nprobe": 4},
        *(RERANKED | {"rerank_weight": weight} for weight in ("0", "0.4", "1")),
        *(RERANKED | {"rerank_weight": weight, "rerank_length": 3} for weight in ("0", "0.4", "1")),
        RERANKED | {"rerank_length": 9, "rerank_weight": "0.4", "direction": "both"},
        RERANKED | {"rerank_length": 1, "rerank_weight": "0"},
    ],
    ids=str,
)
def test_one_run_has_seqnets_count_too(folder, tmp_path, options):
    one, _ = answer(folder, tmp_path, **options)
    each, _ = answer(folder, tmp_path, equal_windows="each", **options)
    assert one.recall_each == each.recall == each.recall_each
    assert (one.recall_each == one.recall) == (options.get("rerank_length") == 1)  # frames alone are never the same


def test_the_candidates_of_a_file_are_counted_as_they_are(folder, tmp_path):
    answer(folder, tmp_path, pooling="smooth", exp_name="candidates", equal_windows="each")
    given = {"predictions_file": str(next(tmp_path.glob("*candidates.npz"))), "top_k": 10}
    one, _ = answer(folder, tmp_path, **given)
    each, _ = answer(folder, tmp_path, equal_windows="each", **given)
    assert one.recall_each == each.recall


def test_the_summary_has_seqnets_count_where_it_differs(folder, tmp_path, capsys):
    answer(folder, tmp_path, exp_name="written")
    assert "\n     0.900" in (shown := capsys.readouterr().out)
    assert "equal windows judged each alone, as SeqNet counts\n" in shown
    for same in ({"equal_windows": "each"}, {"pooling": "single", "sequence_length": 1}):
        record, _ = answer(folder, tmp_path, **same)
        assert record.recall_each == record.recall
        assert "as SeqNet counts" not in capsys.readouterr().out
    written = json.loads(next(tmp_path.glob("*written.json")).read_text())
    assert written["recall_each"]["1"] == 0.9


def test_queries_without_a_place_stay_without(folder, tmp_path):
    each, _ = answer(folder, tmp_path, splits=("val",), equal_windows="each")
    one, arrays = answer(folder, tmp_path, splits=("val",))
    assert (one.protocol.counted, one.protocol.without_positive) == (30, 10)
    assert (each.protocol.counted, each.protocol.without_positive) == (30, 10)
    assert one.place_auc == each.place_auc
    assert not arrays["correct"][30:].any()


def test_a_threshold_of_full_precision_is_not_decided_by_the_ends(folder, tmp_path):
    options = {"no_answer": "val", "answer_precision": 1.0}
    each, _ = answer(folder, tmp_path, equal_windows="each", **options)
    one, _ = answer(folder, tmp_path, **options)
    assert one.no_answer.chosen.recall > 0.9  # the last windows of val reach beyond its map
    assert each.no_answer.chosen.recall < 0.9
    assert one.no_answer.threshold > each.no_answer.threshold
    assert (one.no_answer.tested.precision, one.no_answer.tested.wrong) == (1, 0)


def test_results_of_both_rules_are_not_compared(folder, tmp_path):
    for rule in ("one", "each"):
        answer(folder, tmp_path, equal_windows=rule, exp_name=rule)
    paths = tuple(str(path) for path in sorted(tmp_path.glob("*.json")))
    with pytest.raises(UserError, match="followed different protocols"):
        compare(CompareOptions.of(diff=paths))
    earlier = tmp_path / "earlier.json"  # knew only SeqNet's rule
    record = json.loads(next(path for path in tmp_path.glob("*each.json")).read_text())
    del record["protocol"]["equal_windows"]
    earlier.write_text(json.dumps(record))
    compare(CompareOptions.of(diff=(str(earlier), *(path for path in paths if path.endswith("each.json")))))


def test_windows_of_one_frame_are_never_the_same(folder, tmp_path):
    with pytest.raises(UserError, match="`equal_windows` changes nothing here: windows of one frame"):
        answer(folder, tmp_path, pooling="single", sequence_length=1, equal_windows="each")
