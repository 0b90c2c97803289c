"""Training image encoders on labelled places, from the command line to the run and what uses it."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

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
        defaults = {"--weights": "random", "--nEpochs": 2, "--lr": 0.01, "--placesPerBatch": 8, "--imagesPerPlace": 2}
        tail = [part for pair in defaults.items() if pair[0] not in given for part in pair]
        head = ("--mode", "train", "--descType", "tiny", "--dataset", self.path, "--runsPath", self.path / "runs")
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


def test_a_run_begins_with_what_a_step_takes(folder, capsys):
    assert folder.train("--nEpochs", 1, "--imagesAtOnce", 4) == 0
    log = (folder.run / "log.txt").read_text()
    assert "note: an image takes" in log
    assert "a step of 16 images takes" in log
    assert ", once, before the part that learns" in log


BAD = {
    "unknown-term": (("--lossTerms", "nms"), "--lossTerms nms (did you mean ms?): there is no term nms; choose of ms"),
    "bad-weight": (("--lossTerms", "ms:x"), "--lossTerms ms:x: wanted a weight above 0 behind the colon"),
    "twice": (("--lossTerms", "ms", "ms:2"), "--lossTerms ms ms:2: ms comes twice; give it once"),
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
