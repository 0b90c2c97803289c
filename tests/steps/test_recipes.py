"""Trainings that come with the package start as they are, on a fake GSV-Cities and networks of a few weights."""

import json

import pytest

from opticornet.cli import main
from opticornet.models.images import dinov2
from opticornet.options.config import read_config, recipes
from opticornet.options.modes import TrainImagesOptions
from opticornet.options.parsing import parse
from opticornet.utils.checkpoints import load_checkpoint

OF_IMAGES = [name for name in recipes() if "descType" in read_config(name)]
PLAIN = ("--nEpochs", 1, "--placesPerBatch", 4, "--imagesAtOnce", 6, "--weights", "random")
QUICK = ("--device", "cpu", "--quiet")


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    for variant in ("vitb14", "vitl14"):
        monkeypatch.setitem(dinov2.VARIANTS, variant, (16, 6, 2))


@pytest.fixture
def places(gsv_cities, textures, tmp_path) -> tuple[str, ...]:
    """The options that name GSV-Cities, prepared, and a folder to validate on."""
    folder = tmp_path / "places"
    line = ("--source", "gsv-cities", "--root", gsv_cities, "--output", folder)
    assert main(["--mode", "prepare", *map(str, line)]) == 0
    return "--dataset", str(folder), "--valDataset", str(textures(val=(0, 8))), "--runsPath", str(tmp_path / "runs")


def run_of(tmp_path, name: str, places, *line) -> dict:
    """The flags of the run that a recipe makes with some options otherwise."""
    before = set((tmp_path / "runs").glob("*"))
    assert main([*map(str, ("--config", name, *places, *PLAIN, *QUICK, *line))]) == 0
    (run,) = set((tmp_path / "runs").glob("*")) - before
    assert load_checkpoint(run / "checkpoints" / "checkpoint.pth.tar")["epoch"] == 1
    return json.loads((run / "checkpoints" / "flags.json").read_text()) | {"run": run}


def test_recipes_are_found_by_name():
    assert {"sta", "fol-large", "fol-base"} <= set(recipes())
    for name in OF_IMAGES:
        mode, options = parse(["--config", name, "--dataset", "places"])
        assert mode == "train"
        assert isinstance(options, TrainImagesOptions)
        assert options.config == name


@pytest.mark.parametrize("name", ["fol-large", "fol-base"])
def test_fol_is_trained_as_published(name, places, tmp_path):
    options = parse(["--config", name])[1]
    assert (options.places_per_batch, options.images_per_place, options.n_epochs, options.train_blocks) == (60, 4, 8, 4)
    assert (options.optim, options.lr, options.weight_decay) == ("ADAMW", 6e-5, 9.5e-9)
    assert (options.place_order, options.place_images, options.train_size) == ("published", "first", (322, 322))
    assert options.no_normalise
    rate = options.part("schedule").rate
    rates = [rate(6e-5, 0, 8, steps) for steps in (0, 5_000, 10_000, 20_000)]
    assert rates == pytest.approx([6e-5, 3.3e-5, 6e-6, 6e-6])
    flags = run_of(tmp_path, name, places, "--trainSize", 126, 126, "--imageSize", 140, 140)
    assert flags["descType"] == parse(["--config", name])[1].desc_type
    assert flags["lossTerms"] == ["ms:1", "local:1", "alignment:0.005", "contrast:1", "weak:1"]
