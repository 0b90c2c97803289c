"""From real images to recalls, by the commands a user types: prepare, extract, train, test."""

import json

import numpy as np
import pytest
from PIL import Image

from opticornet.cli import main

pytest.importorskip("cv2")


def run(*line: object) -> None:
    """One ``python main.py`` command, which has to end well."""
    assert main([str(part) for part in line]) == 0


def extract(folder, *more: str) -> None:
    run("--mode", "extract", "--dataset", folder, "--descType", "hog", "--threads", -1, "--quiet", *more)


def recall_at_1(folder, pooling: str, length: int, *more: object) -> float:
    """R@1 on the test split."""
    results = folder / "results"
    run(
        "--mode",
        "test",
        "--dataset",
        folder,
        "--pooling",
        pooling,
        "--seqL",
        length,
        "--device",
        "cpu",
        "--bootstrap",
        0,
        "--latencyQueries",
        0,
        "--resultsPath",
        results,
        "--expName",
        f"{pooling}-{len(more)}",
        *more,
    )
    record = json.loads(max(results.glob("*.json"), key=lambda path: path.stat().st_mtime_ns).read_text())
    assert record["data"]["reference"]["descriptors"]["encoder"] == "hog"
    return record["recall"]["1"]


@pytest.fixture(scope="module")
def corridor(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "corridor"
    run("--mode", "prepare", "--source", "vpr-bench", "--root", shared / "data" / "corridor", "--output", folder)
    return folder


@pytest.fixture(scope="module")
def nordland(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "nordland"
    run(
        "--mode",
        "prepare",
        "--source",
        "nordland",
        "--root",
        shared / "data" / "nordland-thumbnails",
        "--output",
        folder,
    )
    extract(folder)
    return folder


ROWS = (("single", 1), ("single+seqmatch", 5), ("single+seqmatch", 10))


@pytest.mark.parametrize(
    ("adapt", "floors"),
    [((), (0.40, 0.55, 0.60)), (("--adapt", "traverse", "--adaptScale"), (0.62, 0.86, 0.94))],
)
def test_a_corridor_whose_ground_truth_is_a_table(corridor, adapt, floors):
    extract(corridor, "--overwrite")
    recalls = [recall_at_1(corridor, *row, *adapt) for row in ROWS]
    assert all(recall >= floor for recall, floor in zip(recalls, floors, strict=True)), recalls


@pytest.mark.slow
def test_summer_finds_winter(nordland):
    recalls = [recall_at_1(nordland, *row) for row in ROWS]
    assert all(recall >= floor for recall, floor in zip(recalls, (0.37, 0.87, 0.94), strict=True)), recalls


def test_a_corridor_has_nothing_to_train_on(corridor, capsys):
    extract(corridor, "--overwrite")
    assert main(["--mode", "train", "--dataset", str(corridor), "--runsPath", str(corridor / "runs")]) == 2
    assert "no split 'train'; it has test" in capsys.readouterr().err


@pytest.mark.slow
def test_trained_on_one_route_and_tested_on_it_and_on_another(nordland, corridor, tmp_path):
    """A narrow encoder and one epoch: that the four commands fit together, not how good training gets."""
    extract(corridor, "--overwrite")
    run(
        "--mode",
        "train",
        "--dataset",
        nordland,
        "--outDims",
        256,
        "--nEpochs",
        1,
        "--device",
        "cpu",
        "--runsPath",
        tmp_path / "runs",
        "--quiet",
    )
    (trained,) = (tmp_path / "runs").iterdir()
    untrained = recall_at_1(nordland, "single", 1)
    assert recall_at_1(nordland, "dsdnet", 5, "--resume", trained) > untrained
    with_rerank = recall_at_1(nordland, "dsdnet", 5, "--resume", trained, "--rerank", "single+seqmatch")
    assert with_rerank >= 0.87
    assert recall_at_1(corridor, "dsdnet", 5, "--resume", trained) > 0.10  # chance is about 0.05


@pytest.fixture
def drives(tmp_path):
    """Ten images of noise, driven past twice, as a prepared folder."""
    generator = np.random.default_rng(0)
    for name in ("day", "night"):
        (tmp_path / "images" / name).mkdir(parents=True)
    for i in range(10):
        picture = Image.fromarray(generator.integers(0, 255, (40, 40, 3), np.uint8))
        for name in ("day", "night"):
            picture.save(tmp_path / "images" / name / f"{i}.png")
    folder = tmp_path / "drives"
    run(
        "--mode",
        "prepare",
        "--source",
        "folders",
        "--root",
        tmp_path / "images",
        "--reference",
        "day",
        "--query",
        "night",
        "--output",
        folder,
        "--fractions",
        0.2,
        0.2,
        0.6,
        "--gap",
        0,
    )
    return folder


def last_record(folder):
    run(
        "--mode",
        "test",
        "--dataset",
        folder,
        "--pooling",
        "single",
        "--seqL",
        1,
        "--bootstrap",
        0,
        "--latencyQueries",
        0,
        "--resultsPath",
        folder / "results",
    )
    (path,) = (folder / "results").glob("*.json")
    return json.loads(path.read_text())


def test_random_weights_are_named_in_every_result(drives, capsys):
    run(
        "--mode",
        "extract",
        "--dataset",
        drives,
        "--descType",
        "resnet18",
        "--weights",
        "random",
        "--imageSize",
        32,
        32,
        "--threads",
        -1,
    )
    assert "resnet18: weights are random" in capsys.readouterr().err
    record = last_record(drives)
    assert record["method"]["label"] == "single S1 (adapted; random resnet18)"
    for side in ("reference", "query"):
        descriptors = record["data"][side]["descriptors"]
        assert descriptors["weights"] == {"kind": "random", "name": "seed 0", "sha256": None}
        assert descriptors["preprocess"]["size"] == [32, 32]
        assert descriptors["pool"] == "gem"
    printed = capsys.readouterr().out
    for name in ("day", "night"):
        assert f"warning: descriptors of {name} are by resnet18 with random weights" in printed


def test_descriptors_of_two_kinds_are_refused(drives, capsys):
    reduced = ("--pca", 4, "--pcaFrom", drives / "night.txt", "--threads", -1)
    for drive, *more in (("night",), ("day", "--whiten")):
        images, output = drives / f"{drive}.txt", drives / f"{drive}.npy"
        run("--mode", "extract", "--images", images, "--descType", "hog", "--output", output, *reduced, *more)
    assert main(["--mode", "test", "--dataset", str(drives), "--pooling", "single"]) == 2
    error = capsys.readouterr().err
    assert "made differently: projection whiten True for day (reference of test), whiten False for night" in error


def test_descriptors_without_a_record_are_not_guessed_at(drives, capsys):
    extract(drives)
    (drives / "day.json").unlink()  # gone
    np.save(drives / "night.npy", np.load(drives / "night.npy")[:, :100])  # of other descriptors
    np.save(drives / "day.npy", np.load(drives / "day.npy")[:, :100])
    record = last_record(drives)
    assert [record["data"][side]["descriptors"] for side in ("reference", "query")] == [None, None]
    assert "warning" not in capsys.readouterr().out
