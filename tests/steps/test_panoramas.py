"""A map of panoramas and a drive of ordinary images: prepared, described and searched."""

import json

import numpy as np
import pytest
from PIL import Image

from opticornet.cli import main
from opticornet.datasets.folder.reading import load_folder
from opticornet.datasets.images.panorama import Cut, cut_views

PLACES = 12


@pytest.fixture
def root(tmp_path):
    """A panorama of noise per place, and queries that look 90 degrees to the right, a little darker."""
    (tmp_path / "root" / "map").mkdir(parents=True)
    (tmp_path / "root" / "drive").mkdir()
    for place in range(PLACES):
        coarse = np.random.default_rng(place).integers(0, 255, (16, 32, 3), np.uint8)
        panorama = np.asarray(Image.fromarray(coarse).resize((256, 128), Image.Resampling.BICUBIC))
        Image.fromarray(panorama).save(tmp_path / "root" / "map" / f"{place:02d}.png")
        view = cut_views(panorama, Cut(4))[1]
        Image.fromarray((view * 0.8).astype(np.uint8)).save(tmp_path / "root" / "drive" / f"{place:02d}.png")
    for name in ("map", "drive"):
        rows = "".join(f"{place:02d}.png,{20 * place},0\n" for place in range(PLACES))
        (tmp_path / "root" / f"{name}.csv").write_text(f"name,x,y\n{rows}")
    return tmp_path / "root"


def prepare(root, *more):
    line = ["--mode", "prepare", "--source", "folders", "--root", root, "--output", root.parent / "data"]
    line += ["--reference", "map", "--query", "drive", "--quiet", *more]
    return main([str(part) for part in line])


def test_from_panoramas_to_recall(root, capsys):
    assert prepare(root, "--cut", 4, "--fractions", 0, 0, 1) == 0
    assert "map: each panorama is 4 frames, one per direction" in capsys.readouterr().err
    data = root.parent / "data"
    assert main(["--mode", "extract", "--dataset", str(data), "--descType", "hog", "--threads", "-1"]) == 0
    split = load_folder(data).splits["test"]
    assert (len(split.reference), len(split.query)) == (4 * PLACES, PLACES)
    np.testing.assert_array_equal(split.reference.bounds[::PLACES], [[12 * k, 12 * k + 12] for k in range(4)])
    np.testing.assert_array_equal(split.reference.positions[:, 0], np.tile(20.0 * np.arange(PLACES), 4))
    assert split.reference.names[PLACES] == "090.0/00.png"
    # At either end of a sequence two frames share one window of three: finding it is finding either.
    for pooling, length in (("single", 1), ("smooth", 3)):
        results = root.parent / pooling
        line = ["--mode", "test", "--dataset", str(data), "--pooling", pooling, "--seqL", str(length)]
        assert main([*line, "--resultsPath", str(results), "--latencyQueries", "0", "--bootstrap", "0"]) == 0
        (path,) = results.glob("*.json")
        assert json.loads(path.read_text())["recall"]["1"] == 1
    found = np.load(next((root.parent / "single").glob("*.npz")))["preds"][:, 0]
    np.testing.assert_array_equal(found, PLACES + np.arange(PLACES))  # the direction they look in


def test_splits_are_stretches_of_the_route_in_all_directions(root):
    assert prepare(root, "--cut", 4, "--fractions", 0.5, 0, 0.5, "--gap", 0) == 0
    splits = load_folder(root.parent / "data").splits
    assert {name: len(split.reference) for name, split in splits.items()} == {"train": 24, "test": 24}
    places = {name: set(split.reference.positions[:, 0]) for name, split in splits.items()}
    assert not places["train"] & places["test"]
    assert splits["test"].reference.bounds[:, 0].tolist() == np.repeat([0, 6, 12, 18], 6).tolist()


def test_views_are_cut_once(root, capsys):
    assert prepare(root, "--cut", 4, "--fractions", 0, 0, 1) == 0
    views = sorted((root.parent / "data" / "views").rglob("*.jpg"))
    assert len(views) == 4 * PLACES
    before = [view.stat().st_mtime_ns for view in views]
    assert prepare(root, "--cut", 4, "--fractions", 0, 0, 1) == 0
    assert [view.stat().st_mtime_ns for view in views] == before


def test_what_is_no_panorama_is_told(root, capsys):
    for path in (root / "map").glob("*.png"):
        Image.new("RGB", (30, 20)).save(path)
    assert prepare(root, "--cut", 4) == 2
    assert "--cut changes nothing here: no drive has panoramas" in capsys.readouterr().err
    assert prepare(root, "--viewField", 60) == 2
    assert "--viewField changes nothing here: it is for --cut" in capsys.readouterr().err
    Image.new("RGB", (40, 20)).save(root / "map" / "00.png")
    assert prepare(root, "--cut", 4) == 2
    assert "01.png: 30 x 20 pixels; a panorama" in capsys.readouterr().err
