"""Training image encoders on labelled places, from the command line to the run and what uses it."""

import hashlib
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import opticornet
from opticornet.cli import main
from opticornet.models.images import IMAGE_ENCODERS
from opticornet.models.images.base import Published, ResizingOptions
from opticornet.utils.checkpoints import load_checkpoint
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

QUICK = ("--device", "cpu", "--quiet")


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tiny_image_encoder) -> str:
    """A registered image encoder that learns."""

    @dataclass(frozen=True, kw_only=True)
    class TinyOptions(ResizingOptions):
        terms = ("ms",)
        trained_blocks = 1
        published = Published("tiny.pth", "Tiny", "its page")
        out_dims: int = option("--outDims", 6, "numbers of a descriptor", minimum=1)
        dropout: float = option("--tinyDropout", 0.1, "share that is dropped")

        def build(self):
            size = self.image_size or (16, 24)
            return tiny_image_encoder(self.out_dims, self.dropout, size)

    monkeypatch.setitem(IMAGE_ENCODERS, "tiny", TinyOptions)
    return "tiny"


@dataclass(frozen=True)
class Folder:
    """A dataset folder of images, and where its runs are."""

    path: Path

    def train(self, *line: object) -> int:
        given = {*map(str, line)}
        defaults = {"--descType": "tiny", "--weights": "random", "--nEpochs": 2, "--lr": 0.01}
        defaults |= {"--placesPerBatch": 8, "--imagesPerPlace": 2}
        tail = [part for pair in defaults.items() if pair[0] not in given for part in pair]
        head = ("--mode", "train", "--dataset", self.path, "--runsPath", self.path / "runs")
        return main([*map(str, (*head, *tail, *QUICK, *line))])

    @property
    def run(self) -> Path:
        (run,) = (self.path / "runs").iterdir()
        return run

    @property
    def flags(self) -> dict:
        return json.loads((self.run / "checkpoints" / "flags.json").read_text())

    def state(self, name: str = "checkpoint.pth.tar") -> dict:
        return load_checkpoint(self.run / "checkpoints" / name)

    def epochs(self) -> list[dict]:
        return [json.loads(line) for line in (self.run / "epochs.jsonl").read_text().splitlines()]


@pytest.fixture
def folder(textures: Callable[..., Path]) -> Folder:
    """Two drives of 60 places."""
    return Folder(textures(train=(0, 30), val=(30, 44), test=(44, 60)))


def test_a_run_is_trained_saved_and_kept_with_all_that_shaped_it(folder):
    assert folder.train() == 0
    state, flags = folder.state(), folder.flags
    assert state["epoch"] == 2
    assert (flags["descType"], flags["lossTerms"], flags["trainBlocks"]) == ("tiny", ["ms:1"], 1)
    assert flags["startedFrom"] == {"kind": "random", "name": "seed 123"}
    assert flags["valDataset"] == str(folder.path)
    epochs = folder.epochs()
    assert [epoch["epoch"] for epoch in epochs] == [-1, 0, 1]
    assert epochs[1]["images"] == 58  # one place is too near to those of every batch that has room
    assert epochs[1]["means"].keys() == {"loss", "loss_ms"}
    assert set(epochs[1]["recalls"]) == {"1", "5", "10"}
    assert folder.run.name.endswith("_tiny_")


def test_a_run_says_how_to_describe_images_by_it(folder):
    assert folder.train("--nEpochs", 1) == 0
    last = (folder.run / "log.txt").read_text().splitlines()[-1]
    assert last.endswith(f" --mode extract --dataset {folder.path} --resume {folder.run}")


def test_no_epochs_keep_what_training_starts_from(folder, tmp_path):
    assert folder.train("--nEpochs", 0, "--seed", 5) == 0
    assert (folder.state()["epoch"], [epoch["epoch"] for epoch in folder.epochs()]) == (0, [-1])
    start = folder.state("model_best.pth.tar")["state_dict"]
    longer = Folder(folder.path)
    (longer.run).rename(tmp_path / "start")
    assert longer.train("--nEpochs", 1, "--lr", 1e-30, "--seed", 5) == 0
    for name, value in longer.state()["state_dict"].items():
        torch.testing.assert_close(start[name], value, rtol=0, atol=0)


def test_what_does_not_learn_stays_and_the_rest_moves(folder, tiny_image_encoder):
    assert folder.train("--trainBlocks", 2, "--nEpochs", 1) == 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        before = tiny_image_encoder().state_dict()
    after = folder.state()["state_dict"]
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved == {key for key in before if not key.startswith("backbone.0")}


def test_a_stopped_run_that_is_resumed_is_the_run_that_never_stopped(folder, tmp_path, monkeypatch):
    """Stopped in its second epoch, with dropout and altered images."""
    from opticornet.learning.images.task import PlaceTask

    line = ("--augment", "images", "--imagesAtOnce", 4, "--lrSchedule", "linear", "--lrSteps", 5)
    assert folder.train(*line) == 0
    whole, epochs = folder.state(), folder.epochs()
    folder.run.rename(tmp_path / "whole")
    loss, steps = PlaceTask.loss, []

    def interrupted(task, batch):
        steps.append(batch.number)
        if batch.number == (1, 2):
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(task, batch)

    monkeypatch.setattr(PlaceTask, "loss", interrupted)
    assert folder.train(*line) == 128 + signal.SIGTERM
    assert folder.state()["epoch"] == 1
    assert main(["--mode", "train", "--resume", str(folder.run), *QUICK]) == 0
    assert len(steps) == len(set(steps)) == 2 * (1 + max(steps)[1])
    state = folder.state()
    assert all(torch.equal(value, whole["state_dict"][key]) for key, value in state["state_dict"].items())
    for key, value in whole["optimizer"]["state"].items():
        assert all(torch.equal(one, state["optimizer"]["state"][key][name]) for name, one in value.items())
    for one, other in zip(folder.epochs(), epochs, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_a_checkpoint_of_the_whole_encoder_or_of_its_backbone_is_what_training_starts_from(
    folder, tmp_path, tiny_image_encoder
):
    encoder = tiny_image_encoder()
    for parameter in encoder.parameters():
        parameter.data += 0.125
    whole, backbone = tmp_path / "whole.pth", tmp_path / "backbone.pth"
    torch.save({"state_dict": encoder.state_dict()}, whole)
    torch.save(encoder.backbone.state_dict(), backbone)
    for path, is_whole in ((whole, True), (backbone, False)):
        assert folder.train("--weights", path, "--nEpochs", 1, "--trainBlocks", 0, "--lr", 1e-12) == 0
        found = folder.state()["state_dict"]
        assert torch.equal(found["backbone.0.bias"], encoder.backbone[0].bias)
        assert torch.allclose(found["head.weight"], encoder.head.weight) == is_whole
        assert folder.flags["startedFrom"]["name"] == str(path)
        folder.run.rename(tmp_path / path.stem)


def test_weights_that_are_no_numbers_are_not_started_from(folder, tmp_path, tiny_image_encoder, error):
    state = tiny_image_encoder().state_dict()
    state["backbone.1.bias"][2] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    assert folder.train("--weights", tmp_path / "nan.pth") == 2
    assert f"{tmp_path / 'nan.pth'}: backbone.1.bias holds numbers that are infinite or NaN" in error()
    assert not (folder.path / "runs").exists()


def test_a_run_begins_with_what_a_step_takes(folder, capsys):
    assert folder.train("--nEpochs", 1, "--imagesAtOnce", 4) == 0
    log = (folder.run / "log.txt").read_text()
    assert "note: an image takes" in log
    assert "a step of 16 images takes" in log
    assert ", once, before the part that learns" in log


def test_a_run_ends_with_what_to_type_next(folder):
    assert folder.train("--nEpochs", 1) == 0
    (line,) = [line for line in (folder.run / "log.txt").read_text().splitlines() if " next: " in line]
    command = line.partition(" --mode ")[2].split()
    assert command == ["extract", "--dataset", str(folder.path), "--resume", str(folder.run)]


def test_the_options_that_a_run_wrote_repeat_it(folder, tmp_path):
    assert folder.train("--outDims", 4, "--nEpochs", 1, "--trainSize", 12, 20) == 0
    first = folder.run.rename(tmp_path / "first")
    assert main(["--config", str(first / "options.toml"), "--runsPath", str(folder.path / "runs"), *QUICK[:2]]) == 0
    states = [load_checkpoint(path / "checkpoints" / "checkpoint.pth.tar") for path in (first, folder.run)]
    assert all(torch.equal(value, states[1]["state_dict"][name]) for name, value in states[0]["state_dict"].items())
    log = (folder.run / "log.txt").read_text()
    assert "loss_ms" in log
    assert " images, " in log


def test_what_is_kept_of_images_changes_no_number(folder, tmp_path, monkeypatch):
    from opticornet.learning.images.frozen import FrozenImages

    assert folder.train("--tinyDropout", 0) == 0
    kept = folder.run.rename(tmp_path / "kept")
    monkeypatch.setattr(FrozenImages, "keeps", False)
    assert folder.train("--tinyDropout", 0) == 0
    for one, other in zip(
        *([*map(json.loads, (run / "epochs.jsonl").open())] for run in (kept, folder.run)), strict=True
    ):
        assert one.get("means", {}) == pytest.approx(other.get("means", {}), abs=1e-5)
        assert one["recalls"] == other["recalls"]


def test_an_image_that_is_missing_is_named_before_anything_is_written(folder, gsv_cities, tmp_path, error):
    line = ("--source", "gsv-cities", "--root", gsv_cities, "--output", tmp_path / "places")
    assert main(["--mode", "prepare", *map(str, line)]) == 0
    missing = next((gsv_cities / "Images" / "Boston").iterdir())
    missing.unlink()
    line = ("--dataset", tmp_path / "places", "--valDataset", folder.path, "--runsPath", folder.path / "runs", *QUICK)
    assert main(["--mode", "train", "--descType", "tiny", "--weights", "random", *map(str, line)]) == 2
    assert f"1 of 72 images do not exist, first {missing}; put them back" in error()
    assert not (folder.path / "runs").exists()


def test_a_run_on_other_images_is_not_resumed(folder, error):
    assert folder.train("--nEpochs", 1) == 0
    toml = (folder.path / "dataset.toml").read_text()
    (folder.path / "dataset.toml").write_text(toml.replace("reference_rows = [0, 30]", "reference_rows = [0, 29]"))
    assert main(["--mode", "train", "--resume", str(folder.run), *QUICK]) == 2
    assert "trained on other images or places than those of" in error()


def test_a_run_that_is_judged_otherwise_is_not_resumed(folder, error):
    assert folder.train("--nEpochs", 1) == 0
    toml = (folder.path / "dataset.toml").read_text()
    (folder.path / "dataset.toml").write_text(toml.replace("reference_rows = [30, 44]", "reference_rows = [30, 43]"))
    assert main(["--mode", "train", "--resume", str(folder.run), *QUICK]) == 2
    assert f"{folder.run}: validated by other images than those of textures, or by other" in error()


@pytest.mark.parametrize("part", ["optimizer", "sampling", "validation", "random", "progress"])
def test_a_checkpoint_without_what_training_needs_is_one_line(folder, error, part):
    assert folder.train("--nEpochs", 1) == 0
    path = folder.run / "checkpoints" / "checkpoint.pth.tar"
    state = torch.load(path)
    for damaged in ({key: value for key, value in state.items() if key != part}, state | {part: {}}):
        torch.save(damaged, path)
        assert main(["--mode", "train", "--resume", str(folder.run), *QUICK]) == 2
        assert f"{folder.run}" in error()


def test_weights_alone_do_not_say_what_they_are(folder, error):
    assert folder.train("--nEpochs", 1) == 0
    path = folder.run / "checkpoints" / "checkpoint.pth.tar"
    torch.save({"state_dict": torch.load(path)["state_dict"]}, path)
    images = ("--images", str(folder.path / "day"), "--output", str(folder.path / "day.npy"))
    assert main(["--mode", "extract", *images, "--resume", str(path), *QUICK]) == 2
    assert f"{path} does not say after which epoch it was saved" in error()


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (("--imageSize", 20, 20), "got 20x20; choose another --imageSize"),
        (("--imageSize", 20, 20, "--trainSize", 14, 28), "got 20x20; choose another --imageSize"),
        (("--imageSize", 14, 28, "--trainSize", 20, 20), "got 20x20; choose another --trainSize"),
    ],
)
def test_sizes_that_an_encoder_cannot_take_are_named_before_there_is_a_run(folder, error, line, fault):
    small = ("--descType", "dinov2_vits14", "--backboneBlocks", 1, "--trainBlocks", 1)
    assert folder.train(*small, *line) == 2
    assert fault in error()
    assert not (folder.path / "runs").exists()


def test_an_encoder_with_local_features_says_how_to_extract_them(folder):
    small = ("--imageSize", 42, 28, "--folClusters", 5, "--backboneBlocks", 1, "--trainBlocks", 1)
    assert folder.train("--descType", "fol-small", *small, "--nEpochs", 0) == 0
    assert " --local --resume " in (folder.run / "log.txt").read_text().splitlines()[-1]


def test_a_check_counts_the_places_that_a_route_is_cut_into(folder, capsys):
    assert main(["--mode", "check", "--dataset", str(folder.path)]) == 0
    said = capsys.readouterr().out
    assert "  places train: 60 images of 30 places in 1 group, cut from the split train by position\n" in said
    assert "    images per place 2 to 2, median 2; places of fewer than 4: 30\n" in said
    assert "error: " not in said


BAD = {
    "few-images": (
        ("--descType", "resnet18", "--imageSize", 32, 32, "--pool", "netvlad", "--vladClusters", 500),
        "60 local features cannot be put into 500 clusters",
    ),
    "own-size": (("--descType", "dinov2_vits14", "--trainSize", 20, 20), "image sides must be multiples of 14 pixels"),
    "unknown-term": (("--lossTerms", "nms"), "--lossTerms nms (did you mean ms?): choose one of ms, "),
    "bad-weight": (("--lossTerms", "ms:x"), "--lossTerms ms:x: wanted a weight above 0 behind the colon"),
    "twice": (("--lossTerms", "ms", "ms:2"), "--lossTerms ms ms:2: ms comes twice; give it once"),
    "nothing-learns": (
        ("--descType", "efficientnet-lite0", "--trainBlocks", 0),
        "--trainBlocks 0: efficientnet-lite0 has nothing that learns beside its blocks; train at least 1",
    ),
    "blocks": (("--trainBlocks", 4), "--trainBlocks 4: tiny cannot train so many, it has 3 blocks"),
    "one-place": (("--placesPerBatch", 1), "--placesPerBatch 1: wanted at least 2"),
    "too-many-images": (("--imagesPerPlace", 3), "0 of 30 places have the 3 images that --imagesPerPlace wants"),
    "time": (("--augment", "time"), "--augment time is for windows of frames; choose images or none"),
    "unused": (("--randMagnitude", 3), "--randMagnitude changes nothing here: it is an option of --augment images"),
    "no-file": (("--weights", "none.pth"), "no weights at none.pth: wanted an existing checkpoint file"),
    "no-weights": (("--weights", ""), "no weights to start tiny from: wanted tiny.pth"),
    "teacher": (("--teacher", "nowhere"), "--teacher nowhere: no such folder"),
    "size": (("--trainSize", 16), "--trainSize 16: wanted height and width in pixels"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(folder, error, case):
    line, wanted = BAD[case]
    assert folder.train(*line) == 2
    assert wanted in error()
    assert not (folder.path / "runs").exists()


def test_an_encoder_that_nobody_publishes_starts_from_what_is_named(folder, error, monkeypatch):
    monkeypatch.setattr(IMAGE_ENCODERS["tiny"], "published", None)
    assert folder.train("--weights", "") == 2
    assert "no weights to start tiny from, which nobody publishes: give --weights a file or random" in error()


def test_an_encoder_that_has_nothing_to_learn_is_refused(folder, error):
    assert main(["--mode", "train", "--descType", "hog", "--dataset", str(folder.path)]) == 2
    assert "--descType hog cannot be trained; choose one of" in error()


def test_a_folder_without_a_validation_split_is_told_what_to_do(textures, error):
    folder = Folder(textures(train=(0, 30)))
    assert folder.train() == 2
    assert (
        "no split val, whose images decide which weights are best; it has the splits train: add one, or name another "
        "folder with --valDataset"
    ) in error()
    assert not (folder.path / "runs").exists()


def test_a_term_that_is_no_number_is_named_with_its_batch_and_places(folder, error, monkeypatch):
    from opticornet.learning.images.terms.multi_similarity import MultiSimilarity

    forward, steps = MultiSimilarity.forward, []

    def broken(term, images):
        steps.append(images.places.tolist())
        return forward(term, images) * (float("nan") if len(steps) == 3 else 1)

    monkeypatch.setattr(MultiSimilarity, "forward", broken)
    assert folder.train() == 2
    places = [str(place) for place in dict.fromkeys(steps[2])]
    assert (
        f"error: the term ms became nan on the places {', '.join(places[:3])} and {len(places) - 3} more in epoch 1, "
        "batch 3, at learning rate 0.01; the last good checkpoint is kept"
    ) in error()
    assert folder.state()["epoch"] == 0


def test_the_package_trains_by_name(folder, tiny):
    given = {"desc_type": tiny, "dataset": folder.path, "weights": "random", "runs_path": folder.path / "runs"}
    run = opticornet.train(**given, n_epochs=1, images_per_place=2, device="cpu", quiet=True)
    assert run == folder.run
    with pytest.raises(UserError, match="`desc_type` changes nothing here"):
        opticornet.train(desc_type=tiny, pooling="dsdnet", dataset=str(folder.path))


POOLED = {"resnet18": (), "dinov2_vits14": ("--backboneBlocks", 2, "--trainBlocks", 1)}


@pytest.mark.parametrize(("method", "line"), POOLED.items())
def test_backbones_with_a_pooling_are_trained_and_describe_images(folder, method, line, tmp_path):
    assert folder.train("--descType", method, "--imageSize", 28, 42, "--nEpochs", 1, "--amp", *line) == 0
    (images, output) = folder.path / "day", tmp_path / "day.npy"
    extract = ("--mode", "extract", "--images", images, "--output", output, "--resume", folder.run, "--threads", -1)
    assert main([*map(str, extract), *QUICK]) == 0
    identity = json.loads(output.with_suffix(".json").read_text())
    assert identity["encoder"] == method
    assert identity["preprocess"]["size"] == [28, 42]
    checkpoint = folder.run / "checkpoints" / "model_best.pth.tar"
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert identity["weights"] == {"kind": "run", "name": folder.run.name, "sha256": digest}
    trained = opticornet.load(folder.run)
    with torch.inference_mode():
        image = trained.encoder.preprocess(np.asarray(Image.open(images / "0.png")))
        described = trained.encoder(torch.from_numpy(image)[None])
    np.testing.assert_allclose(np.load(output)[0], described[0].numpy(), atol=1e-5)
    assert (trained.method, trained.flags["trainBlocks"]) == (method, folder.flags["trainBlocks"])


def test_validation_finds_what_a_test_of_the_extracted_descriptors_finds(folder):
    assert folder.train("--nEpochs", 3) == 0
    toml = (folder.path / "dataset.toml").read_text()
    for drive in ("day", "night"):
        toml = toml.replace(f'images = "{drive}"', f'images = "{drive}"\ndescriptors = "{drive}.npy"')
    (folder.path / "dataset.toml").write_text(toml)
    extract = ("--mode", "extract", "--dataset", folder.path, "--resume", folder.run, "--threads", -1, *QUICK)
    assert main([*map(str, extract)]) == 0
    results = folder.path / "results"
    line = (
        "--mode",
        "test",
        "--dataset",
        folder.path,
        "--split",
        "val",
        "--pooling",
        "single",
        "--seqL",
        1,
        "--adapt",
        "none",
    )
    more = ("--resultsPath", results, "--bootstrap", 0, "--latencyQueries", 0, *QUICK)
    assert main([*map(str, (*line, *more))]) == 0
    record = json.loads(next(results.glob("*.json")).read_text())
    best = max(folder.epochs(), key=lambda epoch: (sum(epoch["recalls"][k] for k in "15"), -epoch["epoch"]))
    assert {k: record["recall"][k] for k in ("1", "5", "10")} == best["recalls"]


def test_descriptors_of_another_run_are_not_mixed_with_these(folder, tmp_path, error):
    assert folder.train("--nEpochs", 1) == 0
    one = folder.run.rename(tmp_path / "one")
    assert folder.train("--nEpochs", 1, "--seed", 7) == 0
    for drive, run in (("day", one), ("night", folder.run)):
        output = folder.path / f"{drive}.npy"
        line = ("--images", folder.path / drive, "--output", output, "--resume", run, "--threads", -1)
        assert main(["--mode", "extract", *map(str, line), *QUICK]) == 0
    toml = (folder.path / "dataset.toml").read_text()
    for drive in ("day", "night"):
        toml = toml.replace(f'images = "{drive}"', f'images = "{drive}"\ndescriptors = "{drive}.npy"')
    (folder.path / "dataset.toml").write_text(toml)
    line = ("--mode", "test", "--dataset", folder.path, "--pooling", "single", "--seqL", 1)
    assert main([*map(str, line), *QUICK]) == 2
    assert "frame descriptors were made differently: weights sha256" in error()


BAD_EXTRACTION = {
    "weights": (("--weights", "x.pth"), "--weights changes nothing here: the encoder's are those of the run"),
    "another": (("--descType", "resnet18"), "--descType resnet18 contradicts --descType tiny of the run"),
    "option": (("--outDims", 3), "--outDims 3 contradicts --outDims 6 of the run"),
}


@pytest.mark.parametrize("case", BAD_EXTRACTION)
def test_what_contradicts_a_run_is_refused_in_extraction(folder, tmp_path, error, case):
    line, wanted = BAD_EXTRACTION[case]
    assert folder.train("--nEpochs", 1) == 0
    output = ("--output", tmp_path / "x.npy", "--images", folder.path / "day")
    assert main(["--mode", "extract", *map(str, (*output, "--resume", folder.run, *line)), *QUICK]) == 2
    assert wanted in error()


def test_images_of_another_size_are_described_by_a_run(folder, tmp_path):
    assert folder.train("--nEpochs", 1) == 0
    output = tmp_path / "x.npy"
    line = ("--output", output, "--images", folder.path / "day", "--resume", folder.run, "--imageSize", 24, 36)
    assert main(["--mode", "extract", *map(str, line), "--threads", "-1", *QUICK]) == 0
    assert json.loads(output.with_suffix(".json").read_text())["preprocess"]["size"] == [24, 36]


def test_images_see_as_many_others_as_is_asked_of_a_run(folder, tmp_path):
    assert folder.train("--descType", "super-cricavpr-small", "--imageSize", 42, 42, "--nEpochs", 0) == 0
    found = []
    for context in ((), ("--context", 1), ("--context", 2)):
        output = tmp_path / f"{len(found)}.npy"
        line = ("--output", output, "--images", folder.path / "day", "--resume", folder.run, *context)
        assert main(["--mode", "extract", *map(str, line), "--threads", "-1", *QUICK]) == 0
        found.append(np.load(output))
    np.testing.assert_array_equal(found[0], found[1])
    assert abs(found[2] - found[1]).max() > 1e-3


def test_a_run_of_a_sequence_method_describes_no_images(image_set, tmp_path, error):
    run = image_set.train()
    line = ("--output", tmp_path / "x.npy", "--images", image_set.path / "day", "--resume", run)
    assert main(["--mode", "extract", *map(str, line), *QUICK]) == 2
    assert "learned the sequence method mean-of-images: wanted a run of an image encoder" in error()


def test_runs_of_image_encoders_stand_beside_others(folder, tmp_path, capsys):
    for seed in (1, 2):
        assert folder.train("--nEpochs", 1, "--seed", seed) == 0
        folder.run.rename(tmp_path / f"run{seed}")
    runs = tmp_path / "run1", tmp_path / "run2"
    assert main(["--mode", "compare", "--runs", *map(str, runs)]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[-1] == "seed"  # all that differs
    assert {line.split()[0]: (line.split()[2], line.split()[-1]) for line in lines} == {
        "run1": ("tiny", "1"),
        "run2": ("tiny", "2"),
    }


@pytest.mark.parametrize("mode", ["test", "train"])
def test_a_run_of_an_image_encoder_encodes_no_windows(folder, error, mode):
    assert folder.train("--nEpochs", 1) == 0
    line = {"test": ("--pooling", "dsdnet", "--resume"), "train": ("--initFrom",)}[mode]
    assert main(["--mode", mode, "--dataset", str(folder.path), *line, str(folder.run), *QUICK]) == 2
    assert "learned the image encoder tiny: wanted a run of a sequence method; extract frame descriptors" in error()
