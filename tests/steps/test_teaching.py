"""An encoder that learns to give another one's descriptors."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from opticornet.cli import main
from opticornet.inference.image_runs import load_image_run
from opticornet.learning.images.teacher import Teacher
from opticornet.learning.images.terms import LOSS_TERMS
from opticornet.learning.images.terms.base import LossTerm, LossTermOptions
from opticornet.models.images import IMAGE_ENCODERS
from opticornet.models.images.base import Published, ResizingOptions
from opticornet.utils.checkpoints import load_checkpoint
from opticornet.utils.options import option

QUICK = ("--device", "cpu", "--quiet")
SEEN: list[torch.Tensor] = []  # targets
STOP_AT: list[int] = []  # how many of them
SHARED: list[bool] = []  # whether what does not learn is worked out once for both


class Copying(LossTerm):
    """Squared distance to the targets."""

    needs_targets = True

    def forward(self, images):
        SEEN.append(images.targets)
        if len(SEEN) in STOP_AT:
            os.kill(os.getpid(), signal.SIGTERM)
        return (images.described.descriptors - images.targets).square().sum(1).mean()


class CopyingOptions(LossTermOptions):
    def build(self):
        return Copying()


@pytest.fixture(autouse=True)
def encoders(monkeypatch, tiny_image_encoder) -> None:
    """Registered: ``tiny``; ``pupil``, which takes the backbone of a ``tiny`` over and does not train it; a term
    ``copying``."""

    def learn_from(pupil, teacher) -> bool:
        pupil.backbone.load_state_dict(teacher.backbone.state_dict())
        pupil.backbone.requires_grad_(False)
        return bool(SHARED)

    @dataclass(frozen=True, kw_only=True)
    class TinyOptions(ResizingOptions):
        terms = ("ms",)
        published = Published("tiny.pth", "Tiny", "its page")
        out_dims: int = option("--outDims", 6, "numbers of a descriptor", minimum=1)

        def build(self):
            return tiny_image_encoder(self.out_dims, dropout=0.3)

    @dataclass(frozen=True, kw_only=True)
    class PupilOptions(TinyOptions):
        terms = ("ms", "copying")

        def build(self):
            pupil = super().build()
            pupil.__class__ = type("Pupil", (pupil.__class__,), {"learn_from": learn_from, "starts_from_teacher": True})
            return pupil

    monkeypatch.setitem(IMAGE_ENCODERS, "tiny", TinyOptions)
    monkeypatch.setitem(IMAGE_ENCODERS, "pupil", PupilOptions)
    monkeypatch.setitem(LOSS_TERMS, "copying", CopyingOptions)
    SEEN.clear()
    STOP_AT.clear()
    SHARED.clear()


@pytest.fixture
def train(textures: Callable[..., Path]) -> Callable[..., int]:
    """Trains on two drives of 20 places; runs lie in ``runs-NAME`` beside these."""
    folder = textures(train=(0, 12), val=(12, 20))

    def run(method: str, *line: object, epochs: int = 1) -> int:
        data = ("--mode", "train", "--descType", method, "--dataset", folder, "--runsPath", folder / f"runs-{method}")
        tail = ("--lr", 0.01, "--placesPerBatch", 4, "--imagesPerPlace", 2, "--nEpochs", epochs)
        return main([*map(str, (*data, *tail, *line)), *QUICK])

    run.folder = folder
    return run


def run_of(folder: Path, method: str) -> Path:
    (run,) = (folder / f"runs-{method}").iterdir()
    return run


def test_a_student_takes_over_what_it_shares_and_learns_the_teacher_s_descriptors(train):
    assert train("tiny", "--weights", "random") == 0
    teacher = run_of(train.folder, "tiny")
    assert train("pupil", "--teacher", teacher, "--imagesAtOnce", 3) == 0
    run = run_of(train.folder, "pupil")
    flags = json.loads((run / "checkpoints" / "flags.json").read_text())
    digest = load_image_run(teacher).encoder.weights.sha256
    assert flags["startedFrom"] == {"kind": "teacher", "name": str(teacher), "sha256": digest}
    assert flags["teacherRun"] == {"path": str(teacher), "method": "tiny", "sha256": digest, "context": 1}
    assert (
        f"of the 8 images of a batch the teacher, tiny of {teacher}, sees each image alone"
        in (run / "log.txt").read_text()
    )
    theirs = load_image_run(teacher).encoder.state_dict()
    own = load_image_run(run, checkpoint="latest").encoder.state_dict()
    assert all(torch.equal(own[name], value) == name.startswith("backbone") for name, value in theirs.items())
    (epoch,) = (json.loads(line) for line in (run / "epochs.jsonl").read_text().splitlines()[1:])
    assert epoch["means"].keys() == {"loss", "loss_ms", "loss_copying", "share_ms", "share_copying"}


def test_a_student_is_resumed_with_its_teacher(train, tmp_path):
    assert train("tiny", "--weights", "random") == 0
    line = ("--teacher", run_of(train.folder, "tiny"))
    assert train("pupil", *line, epochs=2) == 0
    whole = run_of(train.folder, "pupil").rename(tmp_path / "whole")
    targets = [*SEEN]
    SEEN.clear()
    STOP_AT.append(2)
    assert train("pupil", *line, epochs=2) == 128 + signal.SIGTERM
    run = run_of(train.folder, "pupil")
    assert main(["--mode", "train", "--resume", str(run), *QUICK]) == 0
    assert all(torch.equal(one, other) for one, other in zip(targets, SEEN, strict=True))
    states = [load_checkpoint(path / "checkpoints" / "checkpoint.pth.tar")["state_dict"] for path in (whole, run)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize("line", [(), ("--augment", "images")])
def test_what_student_and_teacher_share_is_worked_out_once_and_changes_no_number(train, tmp_path, line):
    assert train("tiny", "--weights", "random") == 0
    teacher = ("--teacher", run_of(train.folder, "tiny"))
    assert train("pupil", *teacher, *line) == 0
    apart = run_of(train.folder, "pupil").rename(tmp_path / "apart")
    SHARED.append(True)
    assert train("pupil", *teacher, *line) == 0
    states = [
        load_checkpoint(run / "checkpoints" / "checkpoint.pth.tar")["state_dict"]
        for run in (apart, run_of(train.folder, "pupil"))
    ]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_student_is_not_resumed_with_a_teacher_that_changed(train, error):
    assert train("tiny", "--weights", "random") == 0
    teacher = run_of(train.folder, "tiny")
    STOP_AT.append(1)
    assert train("pupil", "--teacher", teacher) == 128 + signal.SIGTERM
    checkpoint = teacher / "checkpoints" / "model_best.pth.tar"
    torch.save(torch.load(checkpoint) | {"epoch": 7}, checkpoint)
    run = run_of(train.folder, "pupil")
    error()
    assert main(["--mode", "train", "--resume", str(run), *QUICK]) == 2
    assert f"--teacher {teacher}: its weights are not those that {run} was taught by; put those back" in error()


def test_a_student_is_resumed_with_the_run_that_its_folder_stood_for_wherever_it_is(train, tmp_path, error, capsys):
    assert train("tiny", "--weights", "random") == 0
    STOP_AT.append(1)
    folder = train.folder / "runs-pupil"  # where the student is the newest run as soon as it is one
    folder.mkdir()
    teacher = run_of(train.folder, "tiny").rename(folder / "teacher")
    assert train("pupil", "--teacher", folder, epochs=2) == 128 + signal.SIGTERM
    (run,) = (path for path in folder.iterdir() if path != teacher)
    assert json.loads((run / "checkpoints" / "flags.json").read_text())["teacher"] == str(teacher)
    STOP_AT[:] = [len(SEEN) + 1]
    assert main(["--mode", "train", "--resume", str(run), *QUICK]) == 128 + signal.SIGTERM
    moved = teacher.rename(tmp_path / "moved")
    capsys.readouterr()
    assert main(["--mode", "train", "--resume", str(run), *QUICK]) == 2
    assert f"--teacher {teacher}: no such folder" in error()
    assert main(["--mode", "train", "--resume", str(run), "--teacher", str(moved), *QUICK]) == 0
    assert main(["--mode", "train", "--resume", str(moved), "--teacher", str(moved), *QUICK]) == 2
    assert f"--teacher {moved}: {moved} learned without one; leave it out" in error()


def test_a_teacher_that_learned_from_other_images_is_refused_either_way(train, error):
    assert train("tiny", "--weights", "random", "--noNormalise") == 0
    assert train("pupil", "--teacher", run_of(train.folder, "tiny")) == 2
    assert "sees those of its student; give --noNormalise, or choose another" in error()


def test_a_teacher_keeps_its_context_whoever_its_student_is(train):
    small = ("--imageSize", 42, 56, "--fusedLayers", 0, 1)
    assert train("super-cricavpr-small", "--weights", "random", *small) == 0
    teacher = run_of(train.folder, "super-cricavpr-small").rename(train.folder / "teacher")
    line = ("--weights", "random", "--teacher", teacher, "--lossTerms", "ms", "distillation", *small)
    assert train("super-cricavpr-small", *line) == 0
    run = run_of(train.folder, "super-cricavpr-small").rename(train.folder / "first")
    assert json.loads((run / "checkpoints" / "flags.json").read_text())["teacherRun"]["context"] == 8
    assert train("super-cricavpr-small", *line, "--teacherContext", 4) == 0
    flags = json.loads((run_of(train.folder, "super-cricavpr-small") / "checkpoints" / "flags.json").read_text())
    assert flags["teacherRun"]["context"] == 4


def test_targets_are_of_the_batch_as_a_whole_without_dropout_or_gradients(tiny_image_encoder):
    encoder, images = tiny_image_encoder(dropout=0.5).train(), torch.rand(5, 3, 16, 24)
    encoder.relate = lambda described: type(described)(described.descriptors + described.descriptors.mean(0))
    frozen = encoder.eval().frozen(images)
    whole, parts = (Teacher(encoder.train(), images_at_once=size).targets(frozen, (16, 24)) for size in (0, 2))
    torch.testing.assert_close(whole, parts)
    assert not whole.requires_grad
    torch.testing.assert_close(whole, encoder.eval()(images))


def test_what_does_not_fit_a_teacher_is_refused(train, error):
    assert train("tiny", "--weights", "random") == 0
    teacher = run_of(train.folder, "tiny")
    for line, wanted in (
        (("--outDims", 4), f"--teacher {teacher}: tiny gives 6 numbers and pupil 4; wanted as many"),
        (("--teacherContext", 4), "--teacherContext 4: tiny sees each image alone; leave it out"),
        (("--noNormalise",), f"--teacher {teacher}: it learned from images that were normalised otherwise"),
        (("--lossTerms", "ms"), "--teacher changes nothing here: no term of the loss needs targets"),
    ):
        assert train("pupil", "--teacher", teacher, *line) == 2
        assert wanted in error()
    assert train("pupil", "--weights", "random") == 2
    assert "--lossTerms copying needs a teacher: name its run with --teacher, or leave it out" in error()
    assert not (train.folder / "runs-pupil").exists()


def test_a_teacher_that_cannot_take_the_images_is_refused(train, error):
    small = ("--imageSize", 28, 42, "--backboneBlocks", 1, "--trainBlocks", 1)
    assert train("dinov2_vits14", "--weights", "random", *small) == 0
    teacher = run_of(train.folder, "dinov2_vits14")
    line = ("--weights", "random", "--outDims", 384, "--lossTerms", "ms", "copying")
    assert train("tiny", *line, "--teacher", teacher) == 2
    wanted = "image sides must be multiples of 14 pixels, got 16x24; choose another --trainSize"
    assert f"--teacher {teacher}: dinov2_vits14: {wanted}" in error()
    assert train("tiny", *line, "--teacher", teacher, "--trainSize", 14, 28) == 0


def test_scicevpr_learns_from_super_cricavpr(train, tmp_path, error):
    small = ("--imageSize", 42, 56, "--fusedLayers", 0, 1)
    assert train("super-cricavpr-small", "--weights", "random", *small) == 0
    teacher = run_of(train.folder, "super-cricavpr-small")
    assert train("scicevpr-small", "--teacher", teacher, *small) == 0
    run = run_of(train.folder, "scicevpr-small")
    flags = json.loads((run / "checkpoints" / "flags.json").read_text())
    assert flags["lossTerms"] == ["ms:1", "distillation:1"]
    assert flags["teacherRun"]["context"] == 8  # the whole batch, as in its own training
    theirs = load_image_run(teacher).encoder.state_dict()
    student = load_image_run(run, checkpoint="latest").encoder
    own = student.state_dict()
    assert torch.equal(own["conv.weight"], theirs["conv.weight"])
    assert not torch.equal(own["gem.p"], theirs["gem.p"])
    output = tmp_path / "day.npy"
    images = ("--images", train.folder / "day", "--output", output, "--threads", -1)
    assert main([*map(str, ("--mode", "extract", "--resume", run, *images)), *QUICK]) == 0
    assert json.loads(output.with_suffix(".json").read_text())["options"]["fused_layers"] == [0, 1]
    other = ("--imageSize", 56, 56, "--overwrite")
    assert main([*map(str, ("--mode", "extract", "--resume", run, *images, *other)), *QUICK]) == 2
    assert "wanted (16, 16)" in (said := error())
    assert said.endswith("; without --imageSize it is of the run's own")
    assert train("scicevpr-small", "--teacher", teacher, *small[:-1], 2) == 2
    assert "cannot learn from it, which fuses the layers 0 1: wanted 0 2" in error()
