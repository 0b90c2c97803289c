import json
import shutil

import numpy as np
import pytest

from opticornet.cli import main
from opticornet.reports.results import read_result
from opticornet.reports.scenes import Unavailable, reopen, vectors

QUICK = ["--latencyQueries", "0", "--bootstrap", "0", "--device", "cpu", "--quiet"]


@pytest.fixture
def trained(tmp_path):
    """A record of a network trained for an epoch on built-in data, and its run."""
    runs, results = tmp_path / "runs", tmp_path / "results"
    flags = ["--dataset", "synthetic", "--pooling", "seqnet", "--seqL", "3", "--outDims", "16", "--runsPath", str(runs)]
    assert main(["--mode", "train", *flags, "--nEpochs", "1", "--device", "cpu", "--quiet"]) == 0
    (run,) = runs.iterdir()
    test = ["--mode", "test", "--pooling", "seqnet", "--resume", str(run), "--resultsPath", str(results)]
    assert main([*test, *QUICK]) == 0
    (path,) = results.glob("*.json")
    return path, run


def test_vectors_are_those_that_were_searched(trained):
    path, _ = trained
    result = read_result(path)
    scene = reopen(result)
    reference, query, what = vectors(result, scene)
    assert reference.shape == (len(result.answers.reference), 16)
    first = result.answers.predictions[:, 0]
    distances = np.linalg.norm(query - reference[first], axis=1)
    np.testing.assert_allclose(distances, result.answers.distances[:, 0], atol=1e-4)
    assert what == "sequence descriptors"


def test_vectors_are_rounded_as_those_that_were_searched(trained, tmp_path):
    path, run = trained
    results = tmp_path / "rounded"
    test = ["--mode", "test", "--pooling", "seqnet", "--resume", str(run), "--resultsPath", str(results), "--amp"]
    assert main([*test, *QUICK]) == 0
    exact, rounded = (read_result(p) for p in (path, next(results.glob("*.json"))))
    ours, theirs = (vectors(result, reopen(result))[0] for result in (exact, rounded))
    assert 1e-4 < np.abs(ours - theirs).max() < 0.05


def test_a_plugin_that_is_gone_is_said(record):
    path = record()
    content = json.loads(path.read_text())
    content["plugins"] = [{"path": "gone.py", "sha256": "0" * 64}]
    path.write_text(json.dumps(content))
    with pytest.raises(Unavailable, match=r"needs the plugin gone\.py"):
        reopen(read_result(path))


def test_changed_and_missing_weights_are_refused(trained):
    path, run = trained
    result = read_result(path)
    scene = reopen(result)
    checkpoint = next(run.rglob("model_best*"))
    with open(checkpoint, "ab") as file:
        file.write(b"x")
    with pytest.raises(Unavailable, match="SHA-256"):
        vectors(result, scene)
    shutil.rmtree(run)
    with pytest.raises(Unavailable, match="gone"):
        vectors(result, scene)


@pytest.mark.parametrize("pooling", ["single+seqmatch", "smooth"])
def test_methods_without_weights(tmp_path, pooling):
    flags = ["--mode", "test", "--dataset", "synthetic", "--pooling", pooling, "--seqL", "3"]
    assert main([*flags, "--resultsPath", str(tmp_path), *QUICK]) == 0
    result = read_result(next(tmp_path.glob("*.json")))
    reference, _, what = vectors(result, reopen(result))
    assert ("single frames" in what) == ("seqmatch" in pooling)
    np.testing.assert_allclose(np.linalg.norm(reference, axis=1), 1, atol=1e-5)


def test_a_dataset_that_is_gone_or_other_is_said(record):
    path = record()
    with pytest.raises(Unavailable, match="cannot be opened"):
        reopen(read_result(path))
    content = json.loads(path.read_text())
    content["data"]["options"] = {"dataset": "synthetic"}
    path.write_text(json.dumps(content))
    with pytest.raises(Unavailable, match="has changed since"):
        reopen(read_result(path))
