"""``--mode test --rerank local``: candidates re-ordered by the local features that extraction wrote."""

import json

import numpy as np
import pytest

from opticornet.cli import main

FRAMES = 12


@pytest.fixture
def folder(tmp_path):
    """Two drives whose descriptors are opposite, so that the search finds the right frame last, and whose local
    features are the same."""
    generator = np.random.default_rng(0)
    local = generator.standard_normal((FRAMES, 6, 8)).astype(np.float32)
    local /= np.linalg.norm(local, axis=2, keepdims=True)
    local[:, 4:] = 0  # unused rows
    descriptors = generator.standard_normal((FRAMES, 4)).astype(np.float32)
    for name in ("day", "night"):
        np.save(tmp_path / f"{name}.npy", descriptors)
        np.save(tmp_path / f"{name}-local.npy", local)
        descriptors = -descriptors
    (tmp_path / "dataset.toml").write_text("""
name = "two"
units = "frames"
[traverses.day]
descriptors = "day.npy"
[traverses.night]
descriptors = "night.npy"
[splits.test]
reference = "day"
query = "night"
reference_rows = [1, 12]
query_rows = [2, 12]
positive_radius = 0.5
""")
    return tmp_path


def run(folder, *more, pooling="single"):
    return main(
        [
            "--mode",
            "test",
            "--dataset",
            str(folder),
            "--pooling",
            pooling,
            "--rerank",
            "local",
            "--bootstrap",
            "0",
            "--device",
            "cpu",
            "--resultsPath",
            str(folder / "out"),
            *more,
        ]
    )


@pytest.mark.parametrize(
    ("length", "filtered", "references", "compared"), [("1", "0", "11", 1), ("3", "3", "9", 3), ("3", "3", "9", 1)]
)
def test_the_frame_that_shares_local_features_comes_first(folder, length, filtered, references, compared):
    more = () if length == str(compared) else ("--rerankSeqL", str(compared))
    assert run(folder, "--seqL", length, "--seqL_filterData", filtered, "--topK", references, *more) == 0
    (path,) = (folder / "out").glob("*.json")
    record = json.loads(path.read_text())
    assert record["recall"]["1"] == 1.0
    assert record["recall_before_rerank"]["1"] < 0.5
    assert record["method"]["label"] == f"single S{length}, re-ranked by local L{compared} (adapted)"
    assert record["method"]["rerank_length"] == compared
    assert record["method"]["matcher"] == ""
    assert "rerank" in record["timing"]["latency_ms"]
    with np.load(path.with_suffix(".npz")) as arrays:
        assert (arrays["distances"][:, 0] == -4 * compared).all()  # four rows in use, all matched
        first = arrays["referencePositions"][arrays["preds"][:, 0]]
        np.testing.assert_array_equal(first, arrays["queryPositions"])
        assert (np.sort(arrays["preds"], axis=1) == np.sort(arrays["candidates"], axis=1)).all()


def test_what_cannot_be_re_ranked(folder, capsys):
    assert run(folder, "--seqL", "1", "--rerankSeqL", "13") == 2
    assert "--rerankSeqL 13 is above the shortest sequence of day" in capsys.readouterr().err
    assert run(folder, "--seqL", "1", "--rerankResume", "x") == 2
    assert "--rerankResume changes nothing here" in capsys.readouterr().err
    np.save(folder / "night-local.npy", np.load(folder / "day-local.npy")[..., :5])
    assert run(folder, "--seqL", "1", "--topK", "9") == 2
    assert "local features of 8 and 5 dimensions" in capsys.readouterr().err
    np.save(folder / "night-local.npy", np.zeros((3, 6, 8), np.float32))
    assert run(folder, "--seqL", "1", "--topK", "9") == 2
    assert "night-local.npy: shape (3, 6, 8); wanted (12, R, C)" in capsys.readouterr().err
    for empty in ((FRAMES, 0, 8), (FRAMES, 6, 0)):
        np.save(folder / "night-local.npy", np.zeros(empty, np.float32))
        assert run(folder, "--seqL", "1", "--topK", "9") == 2
        message = f"night-local.npy: shape {empty}; wanted local features of at least 1 row and 1 channel"
        assert message in capsys.readouterr().err
    (folder / "night-local.npy").write_bytes(b"nothing")
    assert run(folder, "--seqL", "1", "--topK", "9") == 2
    assert "night-local.npy: not a NumPy array file" in capsys.readouterr().err
    (folder / "night-local.npy").unlink()
    assert run(folder, "--seqL", "1", "--topK", "9") == 2
    error = capsys.readouterr().err
    assert "night.npy has no local features beside it; extract it with --local" in error
    assert error.count("\n") == 1


def test_altered_drives_are_re_ranked_by_their_own_frames(folder):
    more = ("--seqL", "3", "--rerankSeqL", "1", "--topK", "11", "--stress", "--latencyQueries", "0")
    assert run(folder, *more, pooling="smooth") == 0
    (path,) = (folder / "out").glob("*.json")
    table = json.loads(path.read_text())["stress"]
    assert table.pop("single frame")["1"] < 0.5
    assert {recall["1"] for recall in table.values()} == {1.0}


def test_windows_of_queries_driven_the_other_way_are_aligned_backwards(folder):
    for path in ("night.npy", "night-local.npy"):
        np.save(folder / path, np.load(folder / path)[::-1])
    toml = (folder / "dataset.toml").read_text().replace("[2, 12]", "[0, 10]")
    (folder / "dataset.toml").write_text(toml.replace('query = "night"', 'query = "night"\npositives = "right.csv"')
                                         .replace("positive_radius = 0.5\n", ""))  # fmt: skip
    rows = "".join(f"{query},{11 - query}\n" for query in range(10))
    (folder / "right.csv").write_text(f"query,reference\n{rows}")
    more = ("--seqL", "3", "--topK", "9", "--seqL_filterData", "3", "--latencyQueries", "0")
    recalls = {}
    for direction in ("forward", "reverse"):
        assert run(folder, *more, "--direction", direction) == 0
        path = max((folder / "out").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        recalls[direction] = json.loads(path.read_text())["recall"]["1"]
    assert recalls["reverse"] == 1.0
    assert recalls["forward"] < 1.0


@pytest.mark.parametrize("rule", ["centred", "trailing"])
def test_windows_are_compared_as_they_are_cut(folder, rule):
    more = ("--seqL", "3", "--windows", rule, "--seqL_filterData", "3", "--topK", "9", "--latencyQueries", "0")
    assert run(folder, *more, pooling="smooth") == 0
    (path,) = (folder / "out").glob("*.json")
    assert json.loads(path.read_text())["recall"]["1"] == 1.0


def test_a_memory_that_cannot_hold_a_pair_of_frames_is_told(folder, capsys):
    generator = np.random.default_rng(1)
    for name in ("day", "night"):
        local = generator.standard_normal((FRAMES, 2000, 64))
        np.save(folder / f"{name}-local.npy", (local / np.linalg.norm(local, axis=2, keepdims=True)).astype(np.float16))
    assert run(folder, "--seqL", "1", "--topK", "9", "--matchMemory", "1", "--latencyQueries", "0") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == "error: --matchMemory: one pair of frames needs 3 MiB; give at least as many"
    assert run(folder, "--seqL", "1", "--topK", "9", "--matchMemory", "3", "--latencyQueries", "0") == 0
    assert run(folder, "--seqL", "1", "--topK", "9", "--matchMemory", "2", "--latencyQueries", "0") == 2


def test_a_drive_with_fewer_features_is_compared_all_the_same(folder):
    local = np.load(folder / "night-local.npy")
    np.save(folder / "night-local.npy", local[:, :3])
    assert run(folder, "--seqL", "1", "--topK", "11", "--latencyQueries", "0") == 0
    (path,) = (folder / "out").glob("*.json")
    with np.load(path.with_suffix(".npz")) as arrays:
        assert (arrays["distances"][:, 0] == -3).all()


def test_reference_drives_of_other_numbers_of_features_are_compared_all_the_same(folder):
    for ending in ("", "-local"):
        np.save(folder / f"dusk{ending}.npy", np.load(folder / f"day{ending}.npy")[::-1])
    np.save(folder / "dusk-local.npy", np.load(folder / "dusk-local.npy")[:, :3])
    toml = (folder / "dataset.toml").read_text().replace('reference = "day"', 'reference = ["day", "dusk"]')
    toml = toml.replace("reference_rows = [1, 12]", "rows_are_places = true")
    (folder / "dataset.toml").write_text(f'{toml}[traverses.dusk]\ndescriptors = "dusk.npy"\n')
    assert run(folder, "--seqL", "1", "--topK", "24", "--latencyQueries", "0") == 0
    (path,) = (folder / "out").glob("*.json")
    with np.load(path.with_suffix(".npz")) as arrays:
        assert (arrays["distances"][:, :2] == [-4, -3]).all()
        assert (arrays["preds"][:, :2].sum(axis=1) == 23).all()  # day's frame, and the same one of dusk
    assert json.loads(path.read_text())["method"]["local_features"]["features"] == 6
