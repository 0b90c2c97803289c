"""Sequence descriptors as files: what a test would search, of any method, in a dataset folder of their own."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import opticornet
from opticornet.cli import main
from opticornet.datasets.folder.writing import write_dataset
from opticornet.datasets.traverse import Dataset, Split, Traverse
from opticornet.evaluation.records import load_record
from opticornet.steps.extraction import sequences

PLAIN = ("--bootstrap", 0, "--latencyQueries", 0, "--device", "cpu", "--quiet")
QUICK = ("--device", "cpu", "--quiet")
SMOOTH = ("--pooling", "smooth", "--seqL", 3)


def run(mode: str, folder: Path, *line: object) -> int:
    return main(["--mode", mode, "--dataset", str(folder), *map(str, line)])


def extract(folder: Path, output: Path, *line: object) -> int:
    return run("extract", folder, "--sequence", "--output", output, *QUICK, *line)


def searched(folder: Path, *line: object) -> dict[str, np.ndarray]:
    """What a test of these options searches."""
    results = folder.parent / f"only{len([*folder.parent.iterdir()])}"
    assert run("test", folder, "--extractOnly", "--resultsPath", results, *QUICK, *line) == 0
    with np.load(next(results.glob("*.npz"))) as arrays:
        return dict(arrays)


def recalls(folder: Path, *line: object) -> dict[str, float]:
    results = folder.parent / f"results{len([*folder.parent.iterdir()])}"
    assert run("test", folder, "--resultsPath", results, *PLAIN, *line) == 0
    return load_record(next(results.glob("*.json")))["recall"]


def record_of(path: Path) -> dict:
    return json.loads(path.with_suffix(".json").read_text())


def error_of(capsys) -> str:
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.fixture
def descriptor_set(tmp_path) -> Path:
    """Two drives of 40 frames, sequences of 25 and 15, in splits train, val and test."""
    rng, bounds = np.random.default_rng(0), np.repeat([[0, 25], [25, 40]], [25, 15], axis=0)
    route = np.cumsum(rng.standard_normal((40, 8)), axis=0)

    def drive(name: str) -> Traverse:
        rows = route + 0.1 * rng.standard_normal(route.shape)
        rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        positions = np.stack([2.0 * np.arange(40), np.zeros(40)], axis=1)
        return Traverse(name, rows, positions, "metres", bounds, names=tuple(f"{name}{row:02}" for row in range(40)))

    splits = {part: Split(part, drive("day"), drive("night"), 3.0, 8.0) for part in ("train", "val", "test")}
    write_dataset(tmp_path / "drives", Dataset("line", splits))
    return tmp_path / "drives"


def test_rows_are_what_a_test_searches_and_say_which_frames_they_stand_for(descriptor_set, tmp_path):
    out = tmp_path / "out"
    assert extract(descriptor_set, out, *SMOOTH, "--seqL_filterData", 3) == 0
    arrays = searched(descriptor_set, *SMOOTH, "--seqL_filterData", 3)
    kept = [*range(1, 24), *range(26, 39)]
    for role, key in (("reference", "dbDesc"), ("query", "qDesc")):
        rows, record = np.load(out / f"test-{role}.npy"), record_of(out / f"test-{role}.npy")
        assert rows.dtype == np.float32
        assert np.array_equal(rows, arrays[key])
        assert record["frame_rows"] == kept
        assert record["first_frame_rows"] == [row - 1 for row in kept]
        assert record["names"] == [f"{'day' if role == 'reference' else 'night'}{row:02}" for row in kept]
        assert (record["encoder"], record["weights"]["kind"], record["preprocess"]["sequence"]) == ("smooth", "none", 3)
        assert record["images"]["count"] == record["rows"] == 36


def test_the_folder_is_a_dataset_that_gives_the_same_recalls(descriptor_set, tmp_path):
    assert extract(descriptor_set, tmp_path / "out", *SMOOTH, "--seqL_filterData", 3, "--split", "val", "test") == 0
    there = recalls(tmp_path / "out", "--pooling", "single", "--seqL", 1, "--adapt", "none")
    assert there == recalls(descriptor_set, *SMOOTH, "--seqL_filterData", 3)
    split = opticornet.open_dataset(tmp_path / "out").splits["val"]
    assert (split.reference.bounds[0].tolist(), split.reference.bounds[-1].tolist()) == ([0, 23], [23, 36])
    assert (split.positive_radius, split.negative_radius) == (3.0, 8.0)
    assert run("check", tmp_path / "out") == 0


def test_weights_come_from_a_run(descriptor_set, tmp_path):
    line = ("--pooling", "dsdnet", "--outDims", 4, "--seqL", 5, "--nEpochs", 1, "--runsPath", tmp_path / "runs")
    assert run("train", descriptor_set, *line, *QUICK) == 0
    (trained,) = (tmp_path / "runs").iterdir()
    assert extract(descriptor_set, tmp_path / "out", "--resume", trained) == 0
    record, rows = record_of(tmp_path / "out" / "test-query.npy"), np.load(tmp_path / "out" / "test-query.npy")
    assert np.array_equal(rows, searched(descriptor_set, "--resume", trained)["qDesc"])
    assert (record["encoder"], record["preprocess"]["sequence"]) == ("dsdnet", 5)
    assert record["weights"]["kind"] == "file"
    assert record["preprocess"]["adaptation"]["by"] == "running"
    assert record["options"]["outDims"] == 4


def test_windows_of_images(image_set, tmp_path):
    trained = image_set.train()
    assert extract(image_set.path, tmp_path / "out", "--resume", trained) == 0
    arrays = searched(image_set.path, "--resume", trained)
    assert np.array_equal(np.load(tmp_path / "out" / "test-reference.npy"), arrays["dbDesc"])
    record = record_of(tmp_path / "out" / "test-query.npy")
    assert record["frame_rows"] == list(range(44, 60))
    assert record["names"][0] == str(image_set.path / "night" / "44.png")
    again = recalls(tmp_path / "out", "--pooling", "single", "--seqL", 1, "--adapt", "none")
    assert again == recalls(image_set.path, "--resume", trained, "--equalWindows", "each")
    assert opticornet.open_dataset(tmp_path / "out").splits["test"].query.images[0].endswith("night/44.png")


def test_finished_work_is_skipped_and_other_work_is_not_overwritten(descriptor_set, tmp_path, capsys):
    out = tmp_path / "out"
    assert extract(descriptor_set, out, *SMOOTH) == 0
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.glob("*.npy")}
    assert extract(descriptor_set, out, *SMOOTH) == 0
    assert before == {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.glob("*.npy")}
    capsys.readouterr()
    assert extract(descriptor_set, out, "--pooling", "smooth", "--seqL", 5) == 2
    assert "test-reference.npy exists and was made otherwise (preprocess sequence 3, now 5)" in error_of(capsys)
    assert before == {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.glob("*.npy")}
    assert extract(descriptor_set, out, "--pooling", "smooth", "--seqL", 5, "--overwrite") == 0
    assert record_of(out / "test-reference.npy")["preprocess"]["sequence"] == 5
    capsys.readouterr()
    assert extract(descriptor_set, out, *SMOOTH, "--split", "val") == 2
    assert "holds another dataset: choose another --output" in error_of(capsys)


def test_what_was_stopped_continues_to_the_same_bytes(descriptor_set, tmp_path, monkeypatch):
    monkeypatch.setattr(sequences, "BLOCK", 8)
    assert extract(descriptor_set, tmp_path / "whole", *SMOOTH) == 0
    encode, blocks = sequences.encode, []

    def failing(*arguments, **options):
        blocks.append(len(arguments[2]))
        if len(blocks) == 3:
            raise KeyboardInterrupt
        return encode(*arguments, **options)

    monkeypatch.setattr(sequences, "encode", failing)
    assert extract(descriptor_set, tmp_path / "out", *SMOOTH) == 130
    assert not (tmp_path / "out" / "test-reference.npy").exists()
    assert extract(descriptor_set, tmp_path / "out", *SMOOTH) == 0
    assert blocks == [8, 8, 8] + [8, 8, 8] + [8] * 5
    for name in ("test-reference", "test-query"):
        assert (tmp_path / "out" / f"{name}.npy").read_bytes() == (tmp_path / "whole" / f"{name}.npy").read_bytes()


def test_several_drives_have_files_of_their_own(descriptor_set, tmp_path):
    toml = descriptor_set / "dataset.toml"
    toml.write_text(toml.read_text().replace('query = "test-query"', 'query = ["test-query", "val-query"]'))
    assert extract(descriptor_set, tmp_path / "out", *SMOOTH) == 0
    names = {path.name for path in (tmp_path / "out").glob("*.npy")}
    assert names == {"test-reference.npy", "test-query-test-query.npy", "test-query-val-query.npy"}
    arrays = searched(descriptor_set, *SMOOTH)
    parts = [np.load(tmp_path / "out" / f"test-query-{name}-query.npy") for name in ("test", "val")]
    assert np.array_equal(np.concatenate(parts), arrays["qDesc"])


def test_from_python(descriptor_set, tmp_path):
    folder = opticornet.extract(
        sequence=True, dataset=str(descriptor_set), output=str(tmp_path / "out"), pooling="delta", seqL=4, quiet=True
    )
    assert (folder / "test-query.npy").is_file()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("--pooling", "single+seqmatch"), "--pooling single+seqmatch matches frames and has no sequence descriptors"),
        (("--pooling", "dsdnet"), "--pooling dsdnet has learned weights: name its run with --resume RUN"),
        ((*SMOOTH, "--seed", 3), "--seed changes nothing here: nothing is random"),
        (("--pooling", "smooth", "--seqL", 41), "--seqL 41 is above the shortest sequence of"),
        ((*SMOOTH, "--crop", 0, 0, 5, 5), "--crop changes nothing here: frame descriptors are read"),
        ((*SMOOTH, "--split", "night"), "night"),
        ((*SMOOTH, "--descType", "hog"), "--descType changes nothing here"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(descriptor_set, tmp_path, capsys, line, message):
    assert extract(descriptor_set, tmp_path / "out", *line) == 2
    assert message in error_of(capsys)
    assert not (tmp_path / "out").exists()


def test_frames_that_the_method_does_not_find_are_one_line(descriptor_set, image_set, tmp_path, capsys):
    trained = image_set.train()
    capsys.readouterr()
    assert extract(descriptor_set, tmp_path / "out", "--resume", trained) == 2
    assert "traverse test-reference has descriptors only" in error_of(capsys)
    assert extract(image_set.path, tmp_path / "out", *SMOOTH) == 2
    assert "images only, and this needs frame descriptors" in error_of(capsys)
    (image_set.path / "night" / "50.png").write_bytes(b"no image")
    assert extract(image_set.path, tmp_path / "out", "--resume", trained) == 2
    assert "50.png: not an image" in error_of(capsys)
    assert main(["--mode", "extract", "--sequence", *QUICK, *map(str, SMOOTH)]) == 2
    assert "--output is missing: wanted the folder" in error_of(capsys)


def test_published_folders_of_images_from_prepare_to_descriptors_and_a_missing_image(image_set, tmp_path, capsys):
    for part, low, high in (("train", 0, 30), ("val", 30, 44), ("test", 44, 60)):
        for role, season in (("database", "day"), ("queries", "night")):
            folder = tmp_path / "root" / part / role
            folder.mkdir(parents=True)
            for number in {*range(low, high)} - {low + 8}:
                place = folder / f"@{number}@0@{season}@{number}@x@.png"
                place.write_bytes((image_set.path / season / f"{number}.png").read_bytes())
    prepared = replace(image_set, path=tmp_path / "prepared")
    line = (
        "--source",
        "utm-sequences",
        "--root",
        tmp_path / "root",
        "--output",
        prepared.path,
        "--negativeRadius",
        12,
        "--quiet",
    )
    assert main(["--mode", "prepare", *map(str, line)]) == 0
    trained = prepared.train("--seqL_filterData", 3)
    assert extract(prepared.path, tmp_path / "out", "--resume", trained, "--seqL_filterData", 3) == 0
    assert extract(prepared.path, tmp_path / "sta", "--resume", trained, "--protocol", "sta") == 0
    ours, published = (np.load(tmp_path / name / "test-query.npy") for name in ("out", "sta"))
    assert np.array_equal(ours, published)
    assert record_of(tmp_path / "out" / "test-query.npy")["frame_rows"] == [*range(1, 7), *range(9, 14)]
    capsys.readouterr()
    (tmp_path / "root" / "test" / "queries" / "@50@0@night@50@x@.png").unlink()
    assert extract(prepared.path, tmp_path / "new", "--resume", trained) == 2
    assert "traverse test-queries: 1 of its 15 images do not exist, first" in error_of(capsys)
    assert not (tmp_path / "new").exists()
