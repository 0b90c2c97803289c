"""Answers with and without ground truth, and queries whose place the map does not hold."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import opticornet.steps.test
from opticornet.cli import main
from opticornet.options.modes import CompareOptions, TestOptions
from opticornet.steps.compare import compare
from opticornet.steps.test import test as run_test
from opticornet.utils.errors import UserError

MAP, PLACED, ELSEWHERE = 100, 40, 30


@pytest.fixture
def dataset(tmp_path):
    """dataset(test="...", ...): a folder whose map has a place every 10 m; ``mixed`` holds 40 queries at its first
    places and 30 from another town, ``bare`` is the same drive with times and without positions, ``away`` lies wholly
    elsewhere. The val split has a drive of its own like ``mixed``."""
    generator = np.random.default_rng(0)
    places = generator.standard_normal((MAP, 32)).astype(np.float32)

    def drive(first: int) -> np.ndarray:
        seen = places[first : first + PLACED] + generator.standard_normal((PLACED, 32)) * 0.8
        return np.concatenate([seen, generator.standard_normal((ELSEWHERE, 32))]).astype(np.float32)

    folder = tmp_path / "own"
    folder.mkdir()
    np.save(folder / "map.npy", places)
    np.save(folder / "mixed.npy", drive(0))
    np.save(folder / "val.npy", drive(50))
    metres = np.concatenate([10.0 * np.arange(PLACED), 1e5 + 10.0 * np.arange(ELSEWHERE)])
    tables = {"map": 10.0 * np.arange(MAP), "mixed": metres, "val": metres + 500.0, "away": metres + 1e6, "bare": None}
    for name, x in tables.items():
        count = MAP if name == "map" else PLACED + ELSEWHERE
        head = "name,timestamp,x,y" if x is not None else "name,timestamp"
        rows = [f"{name}{i}.jpg,{1000 + i}" + ("" if x is None else f",{x[i]},0") for i in range(count)]
        (folder / f"{name}.csv").write_text("\n".join([head, *rows]))

    def make(query: str, radius: float | None = None, val: bool = True, reference: str = "map") -> Path:
        lines = ['name = "own"', 'units = "metres"']
        for name in tables:
            file = name if name in ("map", "val") else "mixed"
            lines.append(f'[traverses.{name}]\ndescriptors = "{file}.npy"\nframes = "{name}.csv"')
        if val:
            lines.append('[splits.val]\nreference = "map"\nquery = "val"\npositive_radius = 15')
        lines.append(f'[splits.test]\nreference = "{reference}"\nquery = "{query}"')
        lines += [] if radius is None else [f"positive_radius = {radius}"]
        (folder / "dataset.toml").write_text("\n".join(lines))
        return folder

    return make


def options(folder: Path, **more) -> TestOptions:
    quick = {"bootstrap": 0, "latency_queries": 0, "device": "cpu", "pooling": "single", "sequence_length": 1}
    return TestOptions.of(**{"dataset": str(folder)} | quick | more)


def answers_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_drive_without_positions_is_answered_without_a_recall(dataset, tmp_path, capsys):
    results, file = tmp_path / "results", tmp_path / "answers.csv"
    record = run_test(options(dataset("bare"), results_path=str(results), answers=str(file)))
    assert (record.recall, record.average_precision, record.recall_at_full_precision) == ({}, None, None)
    assert (record.data.truth, record.protocol.counted, record.protocol.chance) == ("none", 0, None)
    printed, noted = capsys.readouterr()
    assert "70 queries answered from 100 references; no ground truth, so no recall" in printed
    assert "without a position" not in noted  # every frame is a query
    assert "R@" not in printed
    rows = answers_of(file)
    assert len(rows) == 70 * 20
    assert rows[0]["query"] == "bare0.jpg"
    assert (rows[0]["query_time"], rows[0]["query_x"]) == ("1000.0", "")
    assert (rows[0]["rank"], rows[0]["reference"], rows[0]["reference_x"]) == ("1", "map0.jpg", "0.0")
    firsts = [row["reference"] for row in rows if row["rank"] == "1"][:PLACED]
    assert firsts == [f"map{i}.jpg" for i in range(PLACED)]


def test_a_drive_wholly_outside_of_the_map_is_answered_without_a_recall(dataset, tmp_path, capsys):
    for no_positive in ("drop", "count"):
        record = run_test(options(dataset("away", 15), no_positive=no_positive, results_path=str(tmp_path)))
        assert (record.recall, record.average_precision, record.data.truth) == ({}, None, "radius")
        assert (record.protocol.counted, record.protocol.without_positive) == (0, 70)
        printed = capsys.readouterr().out
        assert "no query has a reference within 15 metres, so no recall" in printed
        assert "R@" not in printed


def test_positions_do_not_make_a_recall_where_the_split_has_no_ground_truth(dataset):
    record = run_test(options(dataset("mixed")))  # whose positions are known
    assert (record.recall, record.recall_at_radius["200"], record.place_auc) == ({}, {}, None)


def test_a_radius_as_wide_as_the_map_is_called_what_it_is(dataset, capsys):
    record = run_test(options(dataset("mixed", 1e6)))
    assert record.protocol.chance == 1
    assert "warning: a reference drawn at random is correct for 100 % of the queries" in capsys.readouterr().out
    record = run_test(options(dataset("mixed", 15)))
    assert record.protocol.chance == pytest.approx(3 / 100, abs=0.02)
    assert "warning" not in capsys.readouterr().out


@pytest.mark.parametrize(("query", "radius"), [("bare", None), ("away", 15.0)])
def test_everything_that_shows_results_copes_without_a_recall(dataset, tmp_path, query, radius):
    pytest.importorskip("jinja2")
    results, report = tmp_path / "results", tmp_path / "report"
    shown = {"results_path": str(results), "report": str(report), "projector": 10, "latency_queries": 2}
    run_test(options(dataset(query, radius), **shown))
    run_test(options(dataset(query, radius), **shown))
    assert not {path.stem for path in report.glob("*.png")} & {"recall_at_k", "precision_recall", "route_1"}
    assert (report / "map_1.png").is_file()
    cells = (report / "table.md").read_text().splitlines()[-1].split(" | ")
    assert cells[1:7] == ["–"] * 6
    records = tuple(map(str, sorted(results.glob("*.json"))))
    with pytest.raises(UserError, match=r"counted no query \(no ground truth\), so it has no recall to compare"):
        compare(CompareOptions.of(diff=records))


def test_a_query_without_positions_needs_a_split_without_ground_truth(dataset, capsys):
    assert main(["--mode", "test", "--dataset", str(dataset("bare", 15)), "--pooling", "single"]) == 2
    error = capsys.readouterr().err
    assert "traverse bare has no position columns; wanted x, y or lat, lon" in error
    assert error.count("\n") == 1
    assert main(["--mode", "test", "--dataset", str(dataset("mixed", reference="bare")), "--pooling", "single"]) == 2


def test_training_needs_ground_truth(dataset, capsys):
    folder = dataset("mixed")
    toml = folder / "dataset.toml"
    toml.write_text(toml.read_text().replace("splits.test", "splits.train"))
    assert main(["--mode", "train", "--dataset", str(folder), "--runsPath", str(folder / "runs")]) == 2
    assert "split train of own has no ground truth" in capsys.readouterr().err


def test_descriptors_of_a_split_without_ground_truth(dataset, tmp_path):
    run_test(
        TestOptions.of(dataset=str(dataset("bare")), pooling="single", extract_only=True, results_path=str(tmp_path))
    )
    with np.load(next(tmp_path.glob("*.npz"))) as file:
        assert file["qDesc"].shape == (70, 32)
        assert file["gt"].shape == (0, 2)


def test_no_answer_is_chosen_on_val_and_counted_on_test(dataset, tmp_path):
    results, file = tmp_path / "results", tmp_path / "answers.csv"
    record = run_test(
        options(dataset("mixed", 15), no_answer="val", results_path=str(results), answers=str(file), answers_top_k=1)
    )
    found = record.no_answer
    assert (found.chosen_on, found.criterion) == ("val", "best F1")
    assert found.chosen.answered + found.chosen.refused == 70
    tested = found.tested
    arrays = np.load(results / record.predictions)
    refused = arrays["distances"][:, 0] > found.threshold
    right, placed = arrays["correct"][:, 0], np.arange(70) < PLACED
    assert np.array_equal(arrays["noAnswer"], refused)
    assert tested.right == (~refused & right).sum()
    assert tested.wrong == (~refused & placed & ~right).sum()
    assert tested.refused_with_place == (refused & placed).sum()
    assert tested.refused_without_place == (refused & ~placed).sum()
    assert tested.wrong_without_place == (~refused & ~placed).sum()
    assert tested.precision == tested.right / tested.answered
    assert tested.recall == tested.right / PLACED
    assert tested.rejection_recall == tested.refused_without_place / ELSEWHERE
    assert min(tested.precision, tested.recall, tested.rejection_recall, record.place_auc) > 0.9
    saved = json.loads(next(results.glob("*.json")).read_text())
    assert saved["no_answer"]["threshold"] == found.threshold
    rows = answers_of(file)
    assert [row["no_answer"] == "1" for row in rows] == refused.tolist()
    confidence = np.array([float(row["confidence"]) for row in rows])
    assert confidence == pytest.approx(arrays["confidence"], abs=1e-4)
    assert confidence[:PLACED].mean() > 0.9 > 0.2 > confidence[PLACED:].mean()


def test_no_answer_works_without_ground_truth(dataset, capsys):
    record = run_test(options(dataset("bare"), no_answer="val"))
    tested = record.no_answer.tested
    assert (tested.right, tested.precision, tested.recall) == (None, None, None)
    assert abs(tested.refused - ELSEWHERE) <= 3
    assert f"{tested.answered} answered, {tested.refused} refused\n" in capsys.readouterr().out


@pytest.mark.parametrize("more", [{"pooling": "single+seqmatch"}, {"rerank": "single+seqmatch", "top_k": 5}])
def test_no_answer_takes_the_distances_of_the_final_ranking(dataset, tmp_path, more):
    record = run_test(options(dataset("mixed", 15), no_answer="val", results_path=str(tmp_path), **more))
    arrays = np.load(tmp_path / record.predictions)
    assert np.array_equal(arrays["noAnswer"], arrays["distances"][:, 0] > record.no_answer.threshold)
    assert record.no_answer.tested.recall > 0.9


def test_a_wanted_precision_is_that_of_val(dataset):
    folder = dataset("mixed", 15)
    sure, free = (run_test(options(folder, no_answer="val", answer_precision=p)).no_answer for p in (1.0, 0.5))
    assert sure.criterion == "precision of at least 1"
    assert sure.chosen.precision == 1
    assert free.chosen.precision >= 0.5
    assert free.threshold > sure.threshold


def test_a_given_threshold(dataset):
    found = run_test(options(dataset("mixed", 15), no_answer="0.01")).no_answer
    assert (found.threshold, found.chosen_on, found.criterion, found.chosen) == (0.01, "", "given", None)
    assert (found.tested.refused, found.tested.precision, found.tested.recall) == (70, None, 0.0)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"no_answer": "val", "splits": ("val",)}, "the threshold would be chosen on the tested split"),
        ({"no_answer": "often"}, "`no_answer` often: wanted val, or a distance"),
        ({"no_answer": "nan"}, "`no_answer` nan: wanted val, or a distance"),
        ({"no_answer": "val", "answer_precision": 1.5}, "wanted a share, at most 1"),
        ({"answer_precision": 0.9}, "`answer_precision` changes nothing here: no threshold is chosen"),
        ({"answers_top_k": 5}, "`answers_top_k` changes nothing here: no answers are written"),
        ({"answers": "pairs.txt"}, "the ending does not say a format; give `answers_format` csv, tum, hloc, msls"),
        ({"answers": ".", "answers_format": "csv"}, "a folder of that name exists"),
    ],
)
def test_options_that_make_no_sense(dataset, monkeypatch, more, message):
    folder = dataset("mixed", 15)
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=message):
        run_test(options(folder, **more))


def test_a_dataset_without_val_has_nothing_to_choose_on(dataset, capsys):
    arguments = ["--mode", "test", "--dataset", str(dataset("mixed", 15, val=False)), "--pooling", "single"]
    assert main([*arguments, "--noAnswer", "val"]) == 2
    error = capsys.readouterr().err
    assert "has no val split to choose the threshold on" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("file", "more", "line"),
    [
        ("a.csv", {}, "query,query_time,query_x,query_y,rank,reference,"),
        ("a.tum", {}, "1000.0 0.0 0.0 0.0 0 0 0 1"),
        ("a.txt", {"answers_format": "hloc"}, "mixed0.jpg map0.jpg"),
        ("a.txt", {"answers_format": "msls"}, "mixed0 map0 "),
    ],
)
def test_every_format_with_ground_truth(dataset, tmp_path, capsys, file, more, line):
    path = tmp_path / "new" / file
    run_test(options(dataset("mixed", 15), answers=str(path), **more))
    assert line in path.read_text()
    assert f"answers: {path}" in capsys.readouterr().out
    assert [found.name for found in path.parent.iterdir()] == [file]


def test_fewer_answers_than_wanted_are_noted(dataset, tmp_path, capsys):
    path = tmp_path / "a.csv"
    run_test(options(dataset("mixed", 15), rerank="single+seqmatch", top_k=5, answers=str(path), answers_top_k=10))
    assert "note: only 5 answers per query are ranked" in capsys.readouterr().err
    assert len(answers_of(path)) == 70 * 5


def test_what_the_data_lacks_is_said_before_anything_is_computed(dataset, tmp_path, monkeypatch):
    folder = dataset("mixed", 15)
    table = folder / "mixed.csv"
    table.write_text("\n".join(line.replace("timestamp,", "").replace(f",{1000 + i - 1},", ",")
                               for i, line in enumerate(table.read_text().splitlines())))  # fmt: skip
    monkeypatch.setattr("opticornet.steps.testing.maps.describe", None)
    with pytest.raises(UserError, match="`answers_format` tum: frames of mixed have no times"):
        run_test(options(folder, answers=str(tmp_path / "a.tum")))


def test_what_the_method_adds_to_memory_is_told_from_what_was_there(dataset):
    record = run_test(options(dataset("mixed", 15), latency_queries=2))
    assert 0 <= record.added_memory_mib < record.baseline_memory_mib
    assert record.added_memory_mib <= record.peak_memory_mib - record.baseline_memory_mib
    assert record.timing.latency_threads == 1


def test_answers_to_several_splits(dataset, tmp_path):
    splits = ("test", "val")
    records = opticornet.steps.test.test_splits(
        options(dataset("mixed", 15), splits=splits, answers=str(tmp_path / "a-{split}.csv"), no_answer="0.9")
    )
    assert list(records) == list(splits)
    assert records["test"].added_memory_mib is not None
    assert records["val"].added_memory_mib is None  # the first split's scoring is in memory by then
    for name, first in (("test", "mixed0.jpg"), ("val", "val0.jpg")):
        assert answers_of(tmp_path / f"a-{name}.csv")[0]["query"] == first
