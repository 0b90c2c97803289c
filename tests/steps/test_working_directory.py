"""What was written in one working directory is understood in another: records name files by their full paths."""

import json
import shutil

import numpy as np
import pytest

from opticornet.cli import main
from opticornet.datasets.folder.toml import FolderEntry, SplitEntry, TraverseEntry, write_toml
from opticornet.options.modes import TestOptions
from opticornet.reports.results import read_result
from opticornet.reports.scenes import reopen, vectors

QUICK = ["--device", "cpu", "--threads", "1", "--quiet"]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A dataset, a run and a result, written with relative paths; now the working directory is another one."""
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("day", "night"):
        np.save(home / "data" / f"{name}.npy", rng.standard_normal((40, 6)).astype(np.float32))
    splits = {
        name: SplitEntry("day", "night", rows, rows, positive_radius=1.0, negative_radius=4.0)
        for name, rows in (("train", (0, 20)), ("val", (20, 30)), ("test", (20, 40)))
    }
    traverses = {name: TraverseEntry(f"{name}.npy") for name in ("day", "night")}
    write_toml(home / "data", FolderEntry("route", "frames", traverses, splits))
    monkeypatch.chdir(home)
    common = ["--dataset", "data", "--runsPath", "runs", *QUICK]
    assert main(["--mode", "train", *common, "--nEpochs", "1", "--outDims", "4", "--pooling", "seqnet"]) == 0
    test = ["--mode", "test", *common, "--resultsPath", "results", "--latencyQueries", "0"]
    assert main([*test, "--resume"]) == 0
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    return home


def the_result(home):
    (path,) = (home / "results").glob("*.json")
    return path


def test_a_report_computes_the_descriptors_of_a_result_again(elsewhere):
    result = read_result(the_result(elsewhere))
    reference, query, _ = vectors(result, reopen(result))
    assert reference.shape == query.shape == (20, 4)


def test_predictions_are_reranked(elsewhere):
    predictions = the_result(elsewhere).with_suffix(".npz")
    line = ["--mode", "test", "--dataset", str(elsewhere / "data"), *QUICK, "--latencyQueries", "0"]
    line += ["--pooling", "single+seqmatch", "--predictionsFile", f"../home/results/{predictions.name}", "--topK", "5"]
    assert main([*line, "--resultsPath", "reranked"]) == 0
    (record,) = elsewhere.parent.glob("away/reranked/*.json")
    assert json.loads(record.read_text())["method"]["predictions"]["path"] == str(predictions)


def test_a_run_is_resumed(elsewhere, capsys):
    (run,) = (elsewhere / "runs").iterdir()
    assert main(["--mode", "train", "--resume", str(run), *QUICK]) == 0
    assert main(["--mode", "train", "--resume", str(run), "--dataset", "../home/data", *QUICK]) == 0
    shutil.copytree(elsewhere / "data", "other")
    line = ["--mode", "train", "--resume", str(run), "--dataset", "other", *QUICK]
    assert main(line) == 2
    assert f"--dataset other contradicts --dataset {elsewhere / 'data'} of the resumed run" in capsys.readouterr().err
    shutil.move(elsewhere / "data", elsewhere / "moved")
    assert main(line) == 0


def test_records_have_full_paths(elsewhere):
    record = json.loads(the_result(elsewhere).read_text())
    assert record["data"]["options"]["dataset"] == record["options"]["dataset"] == str(elsewhere / "data")
    assert record["data"]["reference"]["source"] == str(elsewhere / "data" / "day.npy")
    assert record["method"]["weights"]["path"].startswith(str(elsewhere / "runs"))


def test_names_stay_names_though_a_folder_is_called_so(tmp_path, monkeypatch):
    (tmp_path / "synthetic").mkdir()
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    assert TestOptions.of(dataset="synthetic").record()["dataset"] == "synthetic"
    assert TestOptions.of(dataset="mine").record()["dataset"] == str(tmp_path / "mine")
    assert TestOptions.of(dataset="nowhere").record()["dataset"] == "nowhere"
