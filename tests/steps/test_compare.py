import csv
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from opticornet.cli import main
from opticornet.learning.history import EpochHistory, EpochReport
from opticornet.options.modes import CompareOptions
from opticornet.steps.compare import compare, find_runs, sort_runs, table
from opticornet.utils.checkpoints import BEST, save_checkpoint
from opticornet.utils.errors import UserError
from opticornet.utils.files import write_json

FIRST = EpochReport(
    epoch=0,
    epochs=2,
    means={"loss": 1.0},
    samples=8,
    seconds=60.0,
    lr=0.01,
    metrics={"recall@1": 0.5, "recall@5": 0.75},
    is_best=True,
)


@pytest.fixture
def runs(tmp_path):
    """Three runs: the newest trained by seqNet, one without a validation yet."""
    folder = tmp_path / "runs"
    for age, (name, flags) in enumerate(
        {
            "early": {"dataset": "nordland", "pooling": "dsdnet", "lr": 0.01, "seqL": 5},
            "fresh": {"dataset": "nordland", "pooling": "seqnet", "lr": 0.001, "seqL": 5},
            "theirs": {"dataset": "nordland", "pooling": "seqnet", "lr": 0.0001, "seqL": 5},
        }.items()
    ):
        path = folder / name / "checkpoints" / "flags.json"
        write_json(path, flags | {"expName": name})
        os.utime(path, (1000 + age, 1000 + age))
    history = EpochHistory(folder / "early", 0)
    history.add(FIRST)
    history.add(replace(FIRST, epoch=1, metrics={"recall@1": 0.25, "recall@5": 0.5}, is_best=False))
    state = {"epoch": 7, "state_dict": {"w": torch.zeros(1)}, "recalls": {1: 0.625, 5: 0.875}}
    save_checkpoint(state, folder / "theirs" / "checkpoints" / BEST)
    return folder


def test_newest_first_with_what_differs(runs):
    rows = table(sort_runs(find_runs((str(runs),), "checkpoints")[0], "newest"))
    assert rows == [
        ["run", "dataset", "method", "best epoch", "R@1", "R@5", "time", "lr"],
        ["theirs", "nordland", "seqnet", "7", "0.625", "0.875", "-", "0.0001"],
        ["fresh", "nordland", "seqnet", "- of 0", "-", "-", "-", "0.001"],
        ["early", "nordland", "dsdnet", "1 of 2", "0.500", "0.750", "2 min", "0.01"],
    ]


@pytest.mark.parametrize(
    ("column", "order"),
    [
        ("R@1", ["theirs", "early", "fresh"]),
        ("lr", ["theirs", "fresh", "early"]),
        ("time", ["early", "fresh", "theirs"]),
    ],
)
def test_sorting(runs, column, order):
    found, _ = find_runs((str(runs),), "checkpoints")
    assert [run.path.name for run in sort_runs(found, column)] == order


def test_what_a_run_keeps_of_the_weights_it_started_from_is_no_column(runs):
    path = runs / "fresh" / "checkpoints" / "flags.json"
    kept = {"initFrom": "data/runs/early", "initialWeights": {"path": "data/runs/early", "sha256": "0" * 64}}
    write_json(path, json.loads(path.read_text()) | kept)
    header, *_ = table(find_runs((str(runs),), "checkpoints")[0])
    assert header[-2:] == ["lr", "initFrom"]


def test_unknown_columns_and_missing_runs(runs, tmp_path):
    found, _ = find_runs((str(runs),), "checkpoints")
    with pytest.raises(UserError, match="R@1, R@5"):
        sort_runs(found, "R@3")
    with pytest.raises(UserError, match="newest"):
        sort_runs(found, "loss")
    with pytest.raises(UserError, match="no run in"):
        find_runs((str(tmp_path / "nowhere"),), "checkpoints")


def test_a_run_that_cannot_be_read_is_noted(runs, capsys):
    (runs / "fresh" / "checkpoints" / "flags.json").write_text("{")
    assert main(["--mode", "compare", "--runs", *map(str, runs.iterdir())]) == 0
    printed = capsys.readouterr()
    assert "fresh" in printed.err
    assert "early" in printed.out
    assert "fresh" not in printed.out


def test_csv_and_terminal(runs, tmp_path, capsys):
    path = tmp_path / "runs.csv"
    assert main(["--mode", "compare", "--runs", str(runs), "--sort", "R@1", "--csv", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("theirs")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["run", "dataset", "method", "best_epoch", "epochs", "R@1", "R@5", "seconds", "lr"]
    assert [row["R@1"] for row in rows] == ["0.625", "0.5", ""]
    assert [(row["best_epoch"], row["epochs"], row["seconds"]) for row in rows] == [
        ("7", "", ""),
        ("1", "2", "120.0"),
        ("", "0", ""),
    ]


def test_diff_wants_two_records(tmp_path):
    with pytest.raises(UserError, match="two result records, found 1"):
        compare(CompareOptions.of(diff=("a.json",)))
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"no": "record"}))
    with pytest.raises(UserError, match=r"bad\.json"):
        compare(CompareOptions.of(diff=(str(bad), str(bad))))


def test_diff_of_two_tests(tmp_path, capsys):
    common = [
        "--mode",
        "test",
        "--dataset",
        "synthetic",
        "--latencyQueries",
        "0",
        "--bootstrap",
        "0",
        "--device",
        "cpu",
    ]
    for name, length in (("a", "5"), ("b", "3")):
        assert main([*common, "--pooling", "smooth", "--seqL", length, "--resultsPath", str(tmp_path / name)]) == 0
    capsys.readouterr()
    records = [str(next((tmp_path / name).glob("*.json"))) for name in ("a", "b")]
    assert main(["--mode", "compare", "--diff", *records]) == 0
    out = capsys.readouterr().out
    assert "only smooth S5 right" in out
    assert "McNemar, exact binomial" in out
    assert main(["--mode", "compare", "--diff", records[0], records[0]]) == 2
    assert "wanted two result records, found 1" in capsys.readouterr().err


def test_a_start_that_no_epoch_improved_on_is_the_best(runs):
    history = EpochHistory(runs / "theirs", 0)
    history.add(replace(FIRST, is_best=False))
    state = {"epoch": 0, "state_dict": {"w": torch.zeros(1)}, "recalls": {1: 0.9, 5: 0.95}}
    save_checkpoint(state, runs / "theirs" / "checkpoints" / BEST)
    (run,) = (run for run in find_runs((str(runs),), "checkpoints")[0] if run.path.name == "theirs")
    assert (run.best_epoch, run.epochs, run.recalls) == (0, 1, {1: 0.9, 5: 0.95})


def test_what_training_started_from_may_be_the_best_and_needs_no_checkpoint(tmp_path):
    write_json(tmp_path / "run" / "checkpoints" / "flags.json", {"dataset": "synthetic", "pooling": "dsdnet"})
    history = EpochHistory(tmp_path / "run", 0)
    history.begin({"recall@1": 0.9, "recall@5": 0.95})
    history.add(replace(FIRST, is_best=False))
    (run,) = find_runs((str(tmp_path),), "checkpoints")[0]
    assert (run.best_epoch, run.epochs, run.recalls, run.seconds) == (0, 1, {1: 0.9, 5: 0.95}, 60.0)


def test_it_starts_without_heavy_imports(root, tmp_path):
    write_json(tmp_path / "run" / "checkpoints" / "flags.json", {"dataset": "synthetic", "pooling": "dsdnet"})
    EpochHistory(tmp_path / "run", 0).begin({"recall@1": 0.9})
    code = f"import sys, main; status = main.main(['--mode', 'compare', '--runs', {str(tmp_path)!r}]); print(status)"
    heavy = "print(sorted({'torch', 'numpy', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", f"{code}; {heavy}"], cwd=root, capture_output=True, text=True)
    assert done.stdout.splitlines()[-2:] == ["0", "[]"], done.stderr
