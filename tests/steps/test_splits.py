"""Several splits in one test: a result each, a table of them, and their common map encoded once."""

import json

import numpy as np
import pytest

import opticornet
from opticornet.cli import main
from opticornet.evaluation.answering import search
from opticornet.options.modes import TestOptions
from opticornet.steps.test import test as run_test
from opticornet.steps.test import test_splits as run_splits
from opticornet.steps.testing import threshold
from opticornet.utils.errors import UserError

DRIVES = {"rain": 0.1, "snow": 3.0}  # how much noise a query drive has


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(1)
    reference = rng.standard_normal((40, 16)).astype(np.float32)
    lines = ['name = "town"', 'units = "frames"', '[traverses.map]\ndescriptors = "map.npy"']
    np.save(tmp_path / "map.npy", reference)
    for name, noise in DRIVES.items():
        np.save(tmp_path / f"{name}.npy", reference + noise * rng.standard_normal((40, 16)).astype(np.float32))
        lines.append(f'[traverses.{name}]\ndescriptors = "{name}.npy"')
    for split, query, rows in (
        ("train", "rain", "reference_rows = [20, 40]\nquery_rows = [20, 40]"),
        ("val", "rain", "reference_rows = [0, 20]\nquery_rows = [0, 10]"),
        ("test-rain", "rain", ""),
        ("test-snow", "snow", ""),
    ):
        lines.append(f'[splits.{split}]\nreference = "map"\nquery = "{query}"\npositive_radius = 1\n{rows}')
    (tmp_path / "dataset.toml").write_text("\n".join(lines))
    return tmp_path


def options(folder, **more):
    quick = {"bootstrap": 0, "latency_queries": 0, "device": "cpu", "pooling": "smooth", "sequence_length": 3}
    return TestOptions.of(**{"dataset": str(folder), "results_path": str(folder / "results")} | quick | more)


@pytest.mark.parametrize(
    ("asked", "tested"),
    [
        (("all",), ["val", "test-rain", "test-snow"]),
        (("test-snow", "val"), ["test-snow", "val"]),
        ("test", ["test-rain", "test-snow"]),
    ],
)
def test_every_split_has_a_record_of_its_name_and_a_line_in_the_table(folder, asked, tested, capsys):
    found = run_splits(options(folder, split=asked))
    assert list(found) == tested
    for name, record in found.items():
        assert record.data.split == name
        assert record.predictions.removesuffix(".npz").endswith(f"_{name}")
        written = json.loads((folder / "results" / record.predictions).with_suffix(".json").read_text())
        assert (written["data"]["split"], written["options"]["split"]) == (name, [name])
    head, *lines = capsys.readouterr().out.splitlines()[-len(tested) - 1 :]
    assert head.split()[:4] == ["split", "queries", "counted", "references"]
    assert [line.split()[0] for line in lines] == tested


def test_each_split_is_answered_as_alone(folder):
    together = run_splits(options(folder, split="all"))
    for name, record in together.items():
        assert record.recall == run_test(options(folder, split=name)).recall
    assert together["test-rain"].recall["1"] > together["test-snow"].recall["1"]


def test_a_map_that_splits_share_is_encoded_once(folder, monkeypatch):
    encoded = []
    plain = search.encode_side
    monkeypatch.setattr(
        search, "encode_side", lambda *given: encoded.append((given[1].traverse.name, len(given[1]))) or plain(*given)
    )
    found = run_splits(options(folder, split=("test-rain", "val", "test-snow")))
    assert encoded == [("map", 40), ("rain", 40), ("map", 20), ("rain", 10), ("snow", 40)]
    assert found["test-snow"].timing.encode_reference_s == found["test-rain"].timing.encode_reference_s > 0


def test_matched_frames_and_descriptors_alone_are_of_several_splits_too(folder):
    assert len(run_splits(options(folder, split="test", pooling="single+seqmatch"))) == 2
    given = {"dataset": str(folder), "results_path": str(folder / "results"), "pooling": "single", "sequence_length": 1}
    assert run_splits(TestOptions.of(split="test", extract_only=True, **given)) == {}
    assert len(list((folder / "results").glob("*_test-*.npz"))) == 4


def test_a_threshold_is_chosen_once_for_all_splits(folder, monkeypatch):
    chosen = []
    plain = threshold.choose_threshold
    monkeypatch.setattr(threshold, "choose_threshold", lambda *given: chosen.append(1) or plain(*given))
    found = run_splits(options(folder, split="test", no_answer="val"))
    assert len(chosen) == 1
    assert found["test-rain"].no_answer.threshold == found["test-snow"].no_answer.threshold


def test_a_split_without_ground_truth_has_a_line_without_recalls(folder, capsys):
    text = (folder / "dataset.toml").read_text()
    (folder / "dataset.toml").write_text(text + '\n[splits.test-new]\nreference = "map"\nquery = "snow"\n')
    run_splits(options(folder, split=("test-rain", "test-new")))
    assert capsys.readouterr().out.splitlines()[-1].split() == ["test-new", "40", "0", "40", *"-----"]


@pytest.mark.slow
def test_one_report_shows_all_splits(folder):
    pytest.importorskip("jinja2")
    run_splits(options(folder, split="test", report=str(folder / "report"), quiet=True))
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "town (test-rain)" in page
    assert "town (test-snow)" in page


def test_a_notebook_gets_the_records_by_split(folder):
    given = {"dataset": str(folder), "pooling": "single", "seqL": 1, "bootstrap": 0, "latencyQueries": 0}
    assert list(opticornet.test_splits(split="all", **given)) == ["val", "test-rain", "test-snow"]
    assert opticornet.test(split="val", **given).data.split == "val"
    assert opticornet.test(split="all", **given) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "night"], "dataset {folder}: no split 'night'; it has train, val, test-rain, test-snow"),
        (["--split", "all", "val"], "--split all val: all stands for all splits; give it alone"),
        (["--split", "val", "val"], "--split val val: val comes twice; name each split once"),
        (
            ["--split", "test", "--answers", "a.csv"],
            "--answers a.csv is of one split; --split names test-rain, test-snow",
        ),
        (["--split", "all", "--noAnswer", "val"], "test others: --split test-rain test-snow"),
        (
            ["--split", "test", "--pooling", "single+seqmatch", "--predictionsFile", "p.npz"],
            "--predictionsFile p.npz is of one split; --split names test-rain, test-snow",
        ),
    ],
)
def test_splits_that_cannot_be_meant_are_one_line(folder, capsys, arguments, message):
    method = [] if "--pooling" in arguments else ["--pooling", "single"]
    assert main(["--mode", "test", "--dataset", str(folder), "--seqL", "1", *method, *arguments]) == 2
    assert message.format(folder=folder) in capsys.readouterr().err


def test_a_split_that_cannot_be_opened_is_found_before_anything_is_encoded(folder, monkeypatch):
    np.save(folder / "snow.npy", np.full((40, 16), np.nan, np.float32))
    monkeypatch.setattr(search, "encode_side", lambda *_: pytest.fail("encoded"))
    with pytest.raises(UserError, match="NaN or infinity in 40 of 40"):
        run_splits(options(folder, split="test"))
