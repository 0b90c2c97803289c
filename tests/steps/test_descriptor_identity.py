"""Frame descriptors of two encoders of the same length: a run knows which it was trained on."""

import json

import numpy as np
import pytest
import torch

from opticornet.cli import main
from opticornet.reports.results import read_result
from opticornet.reports.scenes import Unavailable, reopen
from opticornet.utils.checkpoints import BEST, LATEST

DIMS = 16
TOML = """
name = "{name}"
units = "frames"
traverses.day.descriptors = "day.npy"
traverses.night.descriptors = "night.npy"
splits.train = {{ reference = "day", query = "night", positive_radius = 1, negative_radius = 5 }}
splits.val = {{ reference = "day", query = "night", positive_radius = 1 }}
splits.test = {{ reference = "day", query = "night", positive_radius = 1 }}
"""


@pytest.fixture
def dataset(tmp_path):
    """dataset("hog") -> folder: descriptors of both drives, and beside each the record of what made it (None: none)."""

    def make(encoder, of_night=None, name="", **more):
        folder = tmp_path / (name or f"{encoder}-{of_night}-{len(more)}")
        folder.mkdir()
        generator = np.random.default_rng(0)
        day = generator.standard_normal((40, DIMS)).astype(np.float32)
        made_by = {"day": encoder, "night": of_night or encoder}
        for drive, rows in (("day", day), ("night", day + 0.1 * generator.standard_normal(day.shape))):
            np.save(folder / f"{drive}.npy", rows.astype(np.float32))
            if made_by[drive] is not None:
                record = {"encoder": made_by[drive], "weights": {"kind": "none", "name": "", "sha256": None}}
                record |= {"rows": 40, "dims": DIMS, "preprocess": {"size": [32, 32]}, "standardise": "none", **more}
                (folder / f"{drive}.json").write_text(json.dumps(record))
        (folder / "dataset.toml").write_text(TOML.format(name=folder.name))
        return folder

    return make


def train(folder, runs, *more):
    line = [
        "--mode",
        "train",
        "--dataset",
        folder,
        "--runsPath",
        runs,
        "--nEpochs",
        1,
        "--outDims",
        8,
        "--device",
        "cpu",
    ]
    return main([str(part) for part in (*line, "--seqL", 1, "--w", 1, *more)])


def run_of(folder, runs):
    assert train(folder, runs, "--quiet") == 0
    return next(runs.iterdir())


def test(folder, run, *more):
    line = ["--mode", "test", "--dataset", folder, "--resume", run, "--device", "cpu", "--bootstrap", 0]
    return main([str(part) for part in (*line, "--latencyQueries", 0, *more)])


test.__test__ = False


def test_trained_on_hog_and_tested_on_thumbnail_of_the_same_length_is_refused(dataset, tmp_path, capsys):
    run = run_of(dataset("hog"), tmp_path / "runs")
    capsys.readouterr()
    assert test(dataset("thumbnail"), run) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "R@1" not in printed.out
    assert f"encoder hog for run {run}, thumbnail for day (reference of test)" in printed.err
    assert "--otherDescriptors" in printed.err


def test_who_insists_gets_the_result_and_the_record_says_so(dataset, tmp_path, capsys):
    run = run_of(dataset("hog"), tmp_path / "runs")
    results = tmp_path / "results"
    assert test(dataset("thumbnail"), run, "--otherDescriptors", "--resultsPath", results) == 0
    assert "warning: descriptors were made differently: encoder hog for run" in capsys.readouterr().out
    (record,) = (json.loads(path.read_text()) for path in results.glob("*.json"))
    assert "thumbnail" in record["data"]["descriptor_differences"][0]
    assert "frame descriptors made differently" in record["method"]["label"]
    assert record["options"]["otherDescriptors"] is True
    assert record["method"]["weights"]["descriptors"]["query"]["encoder"] == "hog"


def test_the_same_encoder_on_other_data_is_welcome(dataset, tmp_path, capsys):
    run = run_of(dataset("hog"), tmp_path / "runs")
    capsys.readouterr()
    assert test(dataset("hog", name="elsewhere"), run) == 0
    printed = capsys.readouterr()
    assert "made" not in printed.out + printed.err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"preprocess": {"size": [64, 64]}}, "preprocess size [32, 32] for run"),
        ({"standardise": "traverse"}, "standardise none for run"),
        ({"projection": {"dims": 16, "whiten": True, "fitted_on": "sha256 1"}}, "projection none for run"),
        ({"options": {"cells": 4}}, "options none for run"),
        ({"weights": {"kind": "file", "name": "a.pth", "sha256": "12"}}, "weights kind none for run"),
    ],
)
def test_whatever_shapes_a_descriptor_is_compared(dataset, tmp_path, capsys, more, said):
    run = run_of(dataset("hog"), tmp_path / "runs")
    assert test(dataset("hog", **more), run) == 2
    assert said in capsys.readouterr().err


def test_a_projection_fitted_on_other_images_is_another(dataset, tmp_path, capsys):
    fitted = ({"projection": {"dims": 16, "whiten": True, "fitted_on": f"sha256 {n}"}} for n in (1, 2))
    run = run_of(dataset("hog", **next(fitted)), tmp_path / "runs")
    assert test(dataset("hog", name="other", **next(fitted)), run) == 2
    assert "projection fitted_on sha256 1 for run" in capsys.readouterr().err


def test_a_renamed_file_of_the_same_weights_is_the_same(dataset, tmp_path):
    weights = ({"weights": {"kind": "file", "name": name, "sha256": "12ab"}} for name in ("a.pth", "b.pth"))
    run = run_of(dataset("netvlad", **next(weights)), tmp_path / "runs")
    assert test(dataset("netvlad", name="renamed", **next(weights)), run) == 0


def test_checkpoint_and_flags_keep_what_a_run_was_trained_on(dataset, tmp_path):
    run = run_of(dataset("hog"), tmp_path / "runs")
    flags = json.loads((run / "checkpoints" / "flags.json").read_text())
    for name in (LATEST, BEST):
        kept = torch.load(run / "checkpoints" / name, weights_only=True)["descriptors"]
        assert kept == flags["descriptors"]
        assert kept["reference"]["encoder"] == kept["query"]["encoder"] == "hog"


def test_nothing_known_on_one_side_is_a_note(dataset, tmp_path, capsys):
    run = run_of(dataset("hog"), tmp_path / "runs")
    capsys.readouterr()
    assert test(dataset(None), run) == 0
    note = "note: nothing says what made the frame descriptors of day (reference of test), night (query of test)"
    assert note in capsys.readouterr().err


def test_nothing_known_at_all_needs_no_note(dataset, tmp_path, capsys):
    run = run_of(dataset(None), tmp_path / "runs")
    assert test(dataset(None, name="more"), run) == 0
    assert "nothing says" not in "".join(capsys.readouterr())


def test_a_run_of_before_is_tested_with_a_note(dataset, tmp_path, capsys):
    folder = dataset("hog")
    run = run_of(folder, tmp_path / "runs")
    path = run / "checkpoints" / BEST
    state = torch.load(path, weights_only=True)
    del state["descriptors"]
    torch.save(state, path)
    capsys.readouterr()
    assert test(folder, run) == 0
    assert f"frame descriptors of run {run}; whether they go with those of day (reference of test), by hog" in (
        capsys.readouterr().err
    )


def test_training_is_not_resumed_on_other_descriptors(dataset, tmp_path, capsys):
    folder = dataset("hog")
    run = run_of(folder, tmp_path / "runs")
    for drive in ("day", "night"):
        record = json.loads((folder / f"{drive}.json").read_text())
        (folder / f"{drive}.json").write_text(json.dumps(record | {"encoder": "thumbnail"}))
    before = (run / "checkpoints" / LATEST).read_bytes()
    resume = ["--mode", "train", "--resume", str(run)]
    assert main(resume) == 2
    assert f"encoder hog for run {run}, thumbnail for day" in capsys.readouterr().err
    assert (run / "checkpoints" / LATEST).read_bytes() == before
    assert main([*resume, "--otherDescriptors"]) == 0
    assert "warning: frame descriptors were made differently: encoder hog" in (run / "log.txt").read_text()


def test_two_drives_described_by_two_encoders_are_not_trained_on(dataset, tmp_path, capsys):
    folder = dataset("hog", "thumbnail")
    assert train(folder, tmp_path / "runs") == 2
    assert "encoder hog for day (reference of train), thumbnail for night" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    assert train(folder, tmp_path / "runs", "--otherDescriptors") == 0
    assert test(folder, next((tmp_path / "runs").iterdir()), "--otherDescriptors") == 0


@pytest.mark.parametrize("pooling", ["single", "single+seqmatch"])
def test_two_drives_described_by_two_encoders_are_not_compared(dataset, capsys, pooling):
    line = ["--mode", "test", "--dataset", str(dataset("hog", "thumbnail")), "--pooling", pooling]
    assert main([*line, "--bootstrap", "0", "--latencyQueries", "0"]) == 2
    assert "thumbnail for night (query of test)" in capsys.readouterr().err


def test_check_finds_two_drives_described_by_two_encoders(dataset, capsys):
    assert main(["--mode", "check", "--dataset", str(dataset("hog", "thumbnail"))]) == 2
    found = [line for line in capsys.readouterr().out.splitlines() if "made differently" in line]
    assert len(found) == 3
    assert "encoder hog for day (reference of train), thumbnail for night (query of train)" in found[0]


def test_the_run_that_re_ranks_has_to_fit_too(dataset, tmp_path, capsys):
    hog, thumbnail = dataset("hog"), dataset("thumbnail")
    run, other = run_of(hog, tmp_path / "runs"), run_of(thumbnail, tmp_path / "others")
    rerank = ("--rerank", "s1+seqmatch", "--topK", 5, "--rerankResume")
    assert test(hog, run, *rerank, run) == 0
    assert test(hog, run, *rerank, other) == 2
    assert f"encoder hog for run {run}, thumbnail for run {other}" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["hog", {"encoder": 3, "weights": {}}, {"encoder": "hog", "weights": "?"}, [1]])
def test_a_damaged_entry_of_a_checkpoint_is_as_none(dataset, tmp_path, capsys, damage):
    folder = dataset("hog")
    run = run_of(folder, tmp_path / "runs")
    path = run / "checkpoints" / BEST
    state = torch.load(path, weights_only=True)
    state["descriptors"] = {"reference": damage, "query": damage} if isinstance(damage, dict) else damage
    torch.save(state, path)
    assert test(folder, run) == 0
    assert f"nothing says what made the frame descriptors of run {run}" in capsys.readouterr().err


def test_a_report_does_not_draw_other_descriptors_under_an_old_record(dataset, tmp_path):
    folder, results = dataset("hog"), tmp_path / "results"
    line = ["--mode", "test", "--dataset", str(folder), "--pooling", "single", "--resultsPath", str(results)]
    assert main([*line, "--bootstrap", "0", "--latencyQueries", "0"]) == 0
    result = read_result(next(results.glob("*.json")))
    assert len(reopen(result).reference) == 40
    record = json.loads((folder / "day.json").read_text())
    (folder / "day.json").write_text(json.dumps(record | {"encoder": "thumbnail"}))
    with pytest.raises(Unavailable, match="has changed since: encoder hog for the record, thumbnail for the dataset"):
        reopen(result)
