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
PLAIN = ("--nEpochs", 1, "--placesPerBatch", 4, "--imagesAtOnce", 6)
RANDOM = ("--weights", "random")
QUICK = ("--device", "cpu", "--quiet")


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    for variant, depth in (("vits14", 9), ("vitb14", 12), ("vitl14", 5)):
        monkeypatch.setitem(dinov2.VARIANTS, variant, (16, depth, 2))


@pytest.fixture
def places(gsv_cities, textures, tmp_path) -> tuple[str, ...]:
    """The options that name GSV-Cities, prepared, and a folder to validate on."""
    folder = tmp_path / "places"
    line = ("--source", "gsv-cities", "--root", gsv_cities, "--output", folder, "--cities", "Boston")
    assert main(["--mode", "prepare", *map(str, line)]) == 0
    return "--dataset", str(folder), "--valDataset", str(textures(val=(0, 3))), "--runsPath", str(tmp_path / "runs")


def run_of(tmp_path, name: str, places, *line) -> dict:
    """The flags of the run that a recipe makes with some options otherwise."""
    before = set((tmp_path / "runs").glob("*"))
    assert main([*map(str, ("--config", name, *places, *PLAIN, *QUICK, *line))]) == 0
    (run,) = set((tmp_path / "runs").glob("*")) - before
    assert load_checkpoint(run / "checkpoints" / "checkpoint.pth.tar")["epoch"] == 1
    return json.loads((run / "checkpoints" / "flags.json").read_text()) | {"run": run}


def test_recipes_are_found_by_name():
    large = {"fol-large", "fol-base", "super-cricavpr-base", "scicevpr-base"}
    small = {"fol-small", "super-cricavpr-small", "scicevpr-small"}
    assert set(recipes()) == {"sta"} | large | small
    for name in OF_IMAGES:
        mode, options = parse(["--config", name, "--dataset", "places"])
        assert mode == "train"
        assert isinstance(options, TrainImagesOptions)
        assert options.config == name


@pytest.mark.slow
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
    flags = run_of(tmp_path, name, places, *RANDOM, "--trainSize", 126, 126, "--imageSize", 126, 140)
    assert flags["descType"] == parse(["--config", name])[1].desc_type
    assert flags["lossTerms"] == ["ms:1", "local:1", "alignment:0.005", "contrast:1", "weak:1"]


@pytest.mark.slow
@pytest.mark.parametrize("size", ["base", "small"])
def test_a_teacher_is_trained_and_then_its_student(size, places, tmp_path):
    taught = run_of(tmp_path, f"super-cricavpr-{size}", places, *RANDOM)
    flags = run_of(tmp_path, f"scicevpr-{size}", places, "--teacher", taught["run"])
    assert flags["startedFrom"]["kind"] == "teacher"
    assert flags["lossTerms"] == ["ms:1", "distillation:1"]
    assert flags["teacherRun"]["context"] == 16  # all of this batch


def test_scicevpr_and_its_teacher_are_trained_as_published():
    for name, epochs in (("super-cricavpr-base", 10), ("scicevpr-base", 1)):
        options = parse(["--config", name])[1]
        assert (options.places_per_batch, options.images_per_place, options.n_epochs) == (72, 4, epochs)
        assert (options.optim, options.lr, options.weight_decay, options.amp) == ("ADAM", 1e-4, 0, False)
        assert (options.place_order, options.place_images, options.seed) == ("published", "random", 0)
        augmentation, rate = options.part("augment"), options.part("schedule").rate
        assert (augmentation.operations, augmentation.magnitude) == (3, 9)
        assert [rate(1.0, epoch, 10) for epoch in (0, 2, 3, 5, 6, 9)] == [1, 1, 0.5, 0.5, 0.25, 0.125]
    assert options.teacher_context == 72
    assert parse(["--config", "super-cricavpr-base"])[1].part("desc_type").context == 144
