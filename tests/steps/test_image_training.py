"""Training a sequence encoder of images: everything that has an option, stopped anywhere and resumed to the bit."""

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from opticornet.cli import main
from opticornet.learning.loop import Loop
from opticornet.models.sequences.sta.encoder import STA
from opticornet.utils.checkpoints import load_checkpoint

QUICK = ("--device", "cpu", "--quiet", "--threads", 1)
STA_LINE = (
    "--pooling", "sta", "--seqL", 3, "--staImageSize", 16, 24, "--staDims", 12, "--staHeads", 2, "--staLayers", 1,
    "--staClusters", 3, "--staKernel", 3,
)  # fmt: skip
LINE = (
    *STA_LINE, "--loss", "max-margin", "--margin", 1, "--optim", "ADAM", "--lr", 1e-3, "--batchSize", 4, "--nNeg", 3,
    "--cachedNegatives", 8, "--cachedQueries", 8, "--queriesPerEpoch", 20, "--nEpochs", 2,
)  # fmt: skip


def replaced(line: tuple[object, ...], flag: str, value: object) -> tuple[object, ...]:
    """A line with another value of a flag."""
    place = line.index(flag) + 1
    return (*line[:place], value, *line[place + 1 :])


@dataclass(frozen=True)
class Folder:
    """A dataset folder of images, and where its runs go."""

    path: Path

    def train(self, *line: object) -> int:
        dataset = ("--dataset", self.path, "--runsPath", self.path / "runs")
        return main(["--mode", "train", *map(str, (*dataset, *line, *QUICK))])

    @property
    def trained(self) -> Path:
        (run,) = (self.path / "runs").iterdir()
        return run

    def state(self) -> dict:
        return load_checkpoint(self.trained / "checkpoints" / "checkpoint.pth.tar")


@pytest.fixture
def folder(textures) -> Folder:
    """Two drives of 44 places."""
    return Folder(textures(train=(0, 30), val=(30, 44)))


@pytest.mark.parametrize(
    "options",
    [
        ("--accumulate", 2),
        ("--checkpointing", "--freezeBlocks", 1),
        ("--freezeSpatial", "--augment", "time"),
        ("--augment", "time+images"),
        ("--freezeSpatial", "--freezeBlocks", 1, "--init", "random", "--accumulate", 3, "--amp"),
    ],
)
def test_a_stopped_run_that_is_resumed_is_the_run_that_never_stopped(folder, tmp_path, monkeypatch, options):
    assert folder.train(*LINE, *options) == 0
    whole = folder.state()
    folder.trained.rename(tmp_path / "whole")
    steps, train_step = [], Loop.train_step

    def interrupted(loop: Loop, batch: object) -> None:
        steps.append(batch)
        if len(steps) == 7:  # in the second epoch
            os.kill(os.getpid(), signal.SIGTERM)
        train_step(loop, batch)

    monkeypatch.setattr(Loop, "train_step", interrupted)
    assert folder.train(*LINE, *options) == 128 + signal.SIGTERM
    assert folder.state()["epoch"] == 1
    assert main(["--mode", "train", "--resume", str(folder.trained), *map(str, QUICK)]) == 0
    resumed = folder.state()
    assert resumed["epoch"] == 2
    assert all(torch.equal(value, whole["state_dict"][key]) for key, value in resumed["state_dict"].items())
    assert torch.equal(resumed["remembered"], whole["remembered"])
    assert torch.equal(resumed["generator"], whole["generator"])
    assert resumed["progress"] | {"seconds": 0} == whole["progress"] | {"seconds": 0}


def test_frozen_parts_keep_their_weights_and_are_no_matter_of_the_optimizer(folder, tmp_path):
    found = []
    for rate in (0.001, 0.1):
        assert folder.train(*replaced(LINE, "--lr", rate), "--freezeSpatial", "--patience", 0) == 0
        found.append(folder.state())
        folder.trained.rename(tmp_path / str(rate))
    one, other = (state["state_dict"] for state in found)
    same = {name for name in one if torch.equal(one[name], other[name])}
    unused = {name for name in one if "attention_pool" in name or name == "encoder.temporal.positional_emb"}
    frozen = {name for name in one if "spatial" in name}
    assert same - unused == frozen - unused
    assert len(found[0]["optimizer"]["param_groups"][0]["params"]) == len(one) - len(frozen)


def test_what_does_not_learn_describes_each_frame_once(folder, monkeypatch):
    counts, describe = [], STA.describe_frames

    def counted(encoder: STA, frames: torch.Tensor) -> torch.Tensor:
        if not frames.is_meta:  # to count what they cost
            counts.append(len(frames))
        return describe(encoder, frames)

    monkeypatch.setattr(STA, "describe_frames", counted)
    assert folder.train(*LINE, "--freezeSpatial", "--init", "random") == 0
    kept = 2 * (30 + 14)
    shapes = 4  # the first frame of each side once more, for its shape
    assert kept - 2 * 8 <= sum(counts) <= kept + shapes


def test_a_batch_that_memory_cannot_hold_is_refused_before_training(folder, monkeypatch, error):
    monkeypatch.setattr("opticornet.learning.sequences.cost.memory_of", lambda device: 10_000)
    assert folder.train(*LINE) == 2
    assert error().startswith("error: --batchSize 4: the windows of so many anchors alone need")
    assert not (folder.path / "runs").exists()


def test_clusters_begin_from_images_of_the_training_drives(folder, monkeypatch):
    seen = []
    start = STA.start_from_images

    def watched(encoder: STA, images, generator: torch.Generator) -> None:
        before = encoder.aggregator.centroids.clone()
        batches = list(images)
        seen.append((sum(map(len, batches)), batches[0].shape[1:]))
        start(encoder, batches, generator)
        seen.append(torch.equal(before, encoder.aggregator.centroids))

    monkeypatch.setattr(STA, "start_from_images", watched)
    assert folder.train(*LINE) == 0
    assert seen == [(60, (3, 16, 24)), False]
    assert main(["--mode", "train", "--resume", str(folder.trained), *map(str, QUICK)]) == 0
    folder.trained.rename(folder.path.parent / "first")
    line = ("--initFrom", folder.path.parent / "first", *LINE[len(STA_LINE) :], "--seqL", 3)
    assert folder.train(*line) == 0
    folder.trained.rename(folder.path.parent / "second")
    assert folder.train(*LINE, "--init", "random") == 0
    assert len(seen) == 2


def test_too_few_tokens_for_the_clusters_are_one_line(folder, error):
    assert folder.train(*replaced(LINE, "--staClusters", 2000)) == 2
    assert error() == "error: --init kmeans: 1440 local features cannot be put into 2000 clusters; use --init random"
    assert not list((folder.path / "runs").glob("*"))


def test_images_that_are_described_once_cannot_be_altered(folder, error):
    assert folder.train(*LINE, "--freezeSpatial", "--augment", "images") == 2
    assert error() == (
        "error: --augment images alters images, and --freezeSpatial describes each of them once; leave out one"
    )


def test_losses_and_distances_are_drawn(folder):
    pytest.importorskip("tensorboard")
    assert folder.train(*LINE, "--accumulate", 2) == 0
    events = EventAccumulator(str(folder.trained))
    events.Reload()
    scalars = events.Tags()["scalars"]
    assert {"train/loss", "train/active", "train/gradient_norm", "val/recall_at_1"} <= set(scalars)
    assert all(event.value > 0 for event in events.Scalars("train/gradient_norm"))


def test_a_loss_that_is_not_finite_is_one_line(folder, error):
    assert folder.train(*replaced(LINE, "--lr", 1e30)) == 2
    assert re.match(r"error: (the loss became nan|weights became infinite or not a number) in epoch 1, batch", error())
    assert folder.state()["epoch"] == 0


def test_training_ends_where_validation_is_no_better(folder):
    line = replaced(replaced(LINE, "--lr", 1e-12), "--nEpochs", 9)
    assert folder.train(*line, "--patience", 2) == 0
    assert folder.state()["epoch"] == 2


@pytest.mark.parametrize("option", ["--freezeSpatial", "--checkpointing"])
def test_what_is_of_images_changes_nothing_for_descriptors(option, error):
    assert main(["--mode", "train", "--pooling", "seqnet", option]) == 2
    assert error() == f"error: {option} changes nothing here: it is of methods that take images, and seqnet does not"
