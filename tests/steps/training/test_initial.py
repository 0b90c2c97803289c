"""Fine-tuning: a run that starts from the weights of another one, on other data."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from opticornet.cli import main
from opticornet.models.sequences.seqnet import SeqNet
from opticornet.options.modes import TrainOptions
from opticornet.steps.train import train
from opticornet.utils.checkpoints import BEST, LATEST, load_checkpoint, save_checkpoint
from opticornet.utils.errors import UserError
from opticornet.utils.files import sha256

TOML = """
name = "{name}"
units = "frames"
traverses.day.descriptors = "day.npy"
traverses.night.descriptors = "night.npy"
splits.train = {{ reference = "day", query = "night", positive_radius = 1, negative_radius = 5 }}
splits.val = {{ reference = "day", query = "night", positive_radius = 1 }}
splits.test = {{ reference = "day", query = "night", positive_radius = 1 }}
"""


def dataset(folder: Path, seed: int = 0, dims: int = 6, encoder: str = "") -> Path:
    """A folder of two drives of 40 places; ``encoder`` is what is said to have described them."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    day = np.cumsum(rng.standard_normal((40, dims)), axis=0)
    for name, rows in (("day", day), ("night", day + 0.5 * rng.standard_normal(day.shape))):
        np.save(folder / f"{name}.npy", rows.astype(np.float32))
        if encoder:
            made = {"encoder": encoder, "weights": {"kind": "none", "name": "", "sha256": None}}
            (folder / f"{name}.json").write_text(json.dumps(made | {"rows": 40, "dims": dims}))
    (folder / "dataset.toml").write_text(TOML.format(name=folder.name))
    return folder


@pytest.fixture
def first(tmp_path) -> Path:
    """A run on a dataset of 6 dimensions."""
    return train(given(tmp_path, dataset(tmp_path / "first"), pooling="seqnet", out_dims=4, w=2, seed=5))


def given(tmp_path: Path, data: Path, **more) -> TrainOptions:
    fixed = {"n_epochs": 1, "device": "cpu", "threads": 1, "quiet": True, "sequence_length": 4}
    return TrainOptions.of(dataset=str(data), runs_path=str(tmp_path / "runs"), **(fixed | more))


def checkpoint(run: Path, name: str = LATEST) -> dict:
    return load_checkpoint(run / "checkpoints" / name)


def flags(run: Path) -> dict:
    return json.loads((run / "checkpoints" / "flags.json").read_text())


def assert_weights(run: Path, other: dict) -> None:
    """A run that has hardly moved has the other weights."""
    for key, value in checkpoint(run)["state_dict"].items():
        torch.testing.assert_close(value, other[key], rtol=0, atol=1e-6)


def test_a_run_begins_with_the_best_weights_of_another_and_its_method(tmp_path, first):
    run = train(given(tmp_path, dataset(tmp_path / "second", seed=1), init_from=str(first), lr=1e-12))
    assert_weights(run, checkpoint(first, BEST)["state_dict"])
    said = flags(run)
    assert (said["pooling"], said["outDims"], said["w"], said["initFrom"]) == ("seqnet", 4, 2, str(first))
    best = first / "checkpoints" / BEST
    epoch = checkpoint(first, BEST)["epoch"]
    trained_on = str(tmp_path / "first")
    assert said["initialWeights"] == {
        "path": str(best), "sha256": sha256(best), "epoch": epoch, "trainedOn": trained_on
    }  # fmt: skip
    assert checkpoint(run)["epoch"] == 1


def test_a_checkpoint_by_its_path_is_the_one_that_is_taken(tmp_path, first):
    path = first / "checkpoints" / LATEST
    run = train(given(tmp_path, dataset(tmp_path / "second", seed=1), init_from=str(path), lr=1e-12))
    assert_weights(run, checkpoint(first)["state_dict"])
    assert flags(run)["initialWeights"]["sha256"] == sha256(path)


def test_only_weights_are_taken(tmp_path, first):
    run = train(given(tmp_path, dataset(tmp_path / "second", seed=1), init_from=str(first), optim="SGD"))
    steps = {name for state in checkpoint(run)["optimizer"]["state"].values() for name in state}
    assert steps == {"momentum_buffer"}
    assert checkpoint(run)["progress"]["epoch"] == 1


def test_a_stopped_run_needs_the_other_one_no_more(tmp_path, first):
    second = dataset(tmp_path / "second", seed=1)
    run = train(given(tmp_path, second, init_from=str(first)))
    first.rename(tmp_path / "away")
    assert main(["--mode", "train", "--resume", str(run), "--quiet"]) == 0
    assert main(["--mode", "test", "--resume", str(run), "--latencyQueries", "0", "--bootstrap", "0", "--quiet"]) == 0


def test_a_result_says_what_its_weights_began_with(tmp_path, first):
    run = train(given(tmp_path, dataset(tmp_path / "second", seed=1), init_from=str(first)))
    folder = str(tmp_path / "results")
    line = ["--mode", "test", "--resume", str(run), "--latencyQueries", "0", "--bootstrap", "0", "--quiet"]
    assert main([*line, "--resultsPath", folder]) == 0
    (result,) = (path for path in Path(folder).rglob("*.json"))
    assert sha256(first / "checkpoints" / BEST) in result.read_text()


def test_seqnets_own_checkpoint_is_tuned_too(tmp_path):
    encoder = SeqNet(6, 4, 3)
    run = tmp_path / "theirs"
    (run / "checkpoints").mkdir(parents=True)
    weights = {f"module.{key}": value.clone() for key, value in encoder.state_dict().items()}
    save_checkpoint({"epoch": 7, "state_dict": weights, "recalls": {1: 0.5}}, run / "checkpoints" / BEST)
    theirs = {"pooling": "seqnet", "outDims": 4, "w": 3, "seqL": 5, "dataset": "nordland-sw", "margin": 0.1}
    (run / "checkpoints" / "flags.json").write_text(json.dumps(theirs))
    tuned = train(given(tmp_path, dataset(tmp_path / "mine"), init_from=str(run), lr=1e-12))
    assert_weights(tuned, encoder.state_dict())
    assert flags(tuned)["initialWeights"]["trainedOn"] == "nordland-sw"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"w": 3}, r"`w` 3 contradicts `w` 2 of the run .*; leave `w` out"),
        ({"out_dims": 5}, "`out_dims` 5 contradicts `out_dims` 4"),
        ({"pooling": "dsdnet"}, "`pooling` dsdnet contradicts `pooling` seqnet"),
        ({"init": "whitening"}, "`init` changes nothing here: the weights of `init_from`"),
        ({"resume": "newest"}, "`resume` contradicts `init_from`.*leave one out"),
        ({"init_from": "nowhere"}, "`init_from` nowhere: no such folder"),
    ],
)
def test_what_contradicts_the_other_run_is_refused(tmp_path, first, options, message):
    second = dataset(tmp_path / "second", seed=1)
    with pytest.raises(UserError, match=message):
        train(given(tmp_path, second, **{"init_from": str(first)} | options))
    assert list((tmp_path / "runs").iterdir()) == [first]


def test_frames_of_other_dimensions_are_refused(tmp_path, first, capsys):
    second = dataset(tmp_path / "second", dims=7)
    assert main(["--mode", "train", "--dataset", str(second), "--initFrom", str(first), "--seqL", "4"]) == 2
    error = capsys.readouterr().err
    assert "was trained on 6-D descriptors" in error
    assert "has 7-D ones" in error
    assert error.count("\n") == 1


def test_descriptors_of_another_encoder_are_refused_unless_wanted(tmp_path, capsys):
    hog = dataset(tmp_path / "hog", encoder="hog")
    first = train(given(tmp_path, hog, out_dims=4))
    other = dataset(tmp_path / "other", seed=1, encoder="thumbnail")
    with pytest.raises(UserError, match=r"made differently: encoder hog for run .*best.*, thumbnail for day"):
        train(given(tmp_path, other, init_from=str(first)))
    run = train(given(tmp_path, other, init_from=str(first), other_descriptors=True, quiet=False))
    assert "warning: frame descriptors were made differently: encoder hog" in capsys.readouterr().out
    assert flags(run)["otherDescriptors"] is True


def test_a_runs_options_repeat_it(tmp_path, first):
    run = train(given(tmp_path, dataset(tmp_path / "second", seed=1), init_from=str(first)))
    again = train(TrainOptions.of(config=str(run / "options.toml"), runs_path=str(tmp_path / "again")))
    assert_weights(again, checkpoint(run)["state_dict"])


@pytest.mark.parametrize("method", ["seqnet", "dsdnet"])
def test_weights_of_default_sizes_serve_other_lengths(tmp_path, monkeypatch, method):
    """Their sizes follow the windows of training: they are recorded, and hold for windows of other lengths."""
    monkeypatch.setattr("opticornet.models.sequences.dsdnet.MAX_CHANNELS", 3)
    data = dataset(tmp_path / "data")
    run = train(given(tmp_path, data, pooling=method))
    longer = str(tmp_path / "longer")
    test = ["--dataset", str(data), "--resume", str(run), "--resultsPath", longer, "--device", "cpu", "--quiet"]
    assert main(["--mode", "test", "--seqL", "9", *test]) == 0
    if method == "dsdnet":
        assert main(["--mode", "test", "--seqL", "1", *test]) == 0
    further = train(given(tmp_path, data, init_from=str(run), sequence_length=9, lr=1e-12))
    assert_weights(further, checkpoint(run, BEST)["state_dict"])
    assert flags(further)["w"] == flags(run)["w"] == {"seqnet": 4, "dsdnet": 1}[method]
    assert flags(further)["outDims"] == flags(run)["outDims"] == {"seqnet": 24, "dsdnet": 3}[method]
    assert train(given(tmp_path, data, resume=str(further), sequence_length=9, n_epochs=1)) == further


def test_windows_shorter_than_the_kernel_of_default_size_are_one_line(tmp_path, capsys):
    data = dataset(tmp_path / "data")
    run = train(given(tmp_path, data, pooling="seqnet"))
    test = ["--dataset", str(data), "--resume", str(run), "--resultsPath", str(tmp_path / "short"), "--device", "cpu"]
    assert main(["--mode", "test", "--seqL", "3", *test]) == 2
    assert "--seqL 3 is below 4, the fewest frames that seqnet takes" in capsys.readouterr().err


@pytest.mark.parametrize("use", ["--resume", "--initFrom"])
def test_weights_of_an_earlier_dsdnet_are_to_be_trained_anew(tmp_path, capsys, use):
    """It had no learned differences."""
    data = dataset(tmp_path / "data")
    run = train(given(tmp_path, data, pooling="dsdnet"))
    for name in (BEST, LATEST):
        state = checkpoint(run, name)
        state["state_dict"] = {k: v for k, v in state["state_dict"].items() if not k.startswith("differencing")}
        save_checkpoint(state, run / "checkpoints" / name)
    capsys.readouterr()
    mode = ["--mode", "test", "--resultsPath", str(tmp_path)] if use == "--resume" else ["--mode", "train"]
    here = ["--dataset", str(data), "--device", "cpu", "--runsPath", str(tmp_path / "runs")]
    assert main([*mode, use, str(run), *here, *(["--seqL", "4"] if use == "--initFrom" else [])]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "2 missing (first: differencing.persistence)" in error
    assert "train anew what an earlier version trained" in error


@pytest.mark.parametrize("use", ["test", "train further", "resume"])
def test_an_earlier_dsdnet_without_differences_is_to_be_trained_anew(tmp_path, capsys, use):
    """Its weights have today's names and sizes; its encoding was the mean of the steps."""
    data = dataset(tmp_path / "data")
    run = train(given(tmp_path, data, pooling="dsdnet", no_delta=True))
    mode = {
        "test": ["--mode", "test", "--resultsPath", str(tmp_path), "--resume"],
        "train further": ["--mode", "train", "--seqL", "4", "--initFrom"],
        "resume": ["--mode", "train", "--resume"],
    }[use]
    command = [*mode, str(run), "--dataset", str(data), "--device", "cpu", "--runsPath", str(tmp_path / "runs")]
    assert main(command) == 0
    path = run / "checkpoints" / "flags.json"
    saved = {flag: value for flag, value in flags(run).items() if not flag.startswith("adapt")}
    path.write_text(json.dumps(saved))
    capsys.readouterr()
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "of an earlier dsdnet" in error
    assert "train anew what an earlier version trained" in error
    path.write_text(json.dumps(saved | {"noDelta": False}))  # of weights with differences their names tell
    assert main(command) == 2
    assert "missing" in capsys.readouterr().err
