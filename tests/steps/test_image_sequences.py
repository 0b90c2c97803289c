"""A sequence method that takes images, from training to the report, on a dataset folder that has nothing else."""

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize

import opticornet
from opticornet.cli import main
from opticornet.evaluation.stress import PACES
from opticornet.models.images.base import Preprocess
from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.models.sequences.base import ImageSequenceEncoder, SequenceEncoderOptions
from opticornet.reports.results import read_result
from opticornet.utils.checkpoints import load_checkpoint
from opticornet.utils.errors import UserError
from opticornet.utils.options import option

QUICK = ("--device", "cpu", "--quiet")
PLAIN = ("--bootstrap", 0, "--latencyQueries", 0)


class Tiny(ImageSequenceEncoder):
    """Convolution, mean over each image, mean over the window."""

    def __init__(self, out_dims: int) -> None:
        super().__init__(Preprocess((12, 16)), out_dims)
        self.conv = nn.Conv2d(3, out_dims, 5, stride=3)

    def join(self, described: Tensor) -> Tensor:
        features = self.conv(described.flatten(0, 1)).mean((2, 3)).unflatten(0, described.shape[:2])  # (B, L, O)
        return normalize(features.mean(1), dim=1)


@dataclass(frozen=True, kw_only=True)
class TinyOptions(SequenceEncoderOptions):
    takes = "images"
    out_dims: int = option("--outDims", 8, "channels")

    def build(self, in_dims: int, length: int) -> Tiny:
        assert in_dims == 0
        return Tiny(self.out_dims)


@pytest.fixture(autouse=True)
def tiny(monkeypatch) -> str:
    """A registered method of images."""
    monkeypatch.setitem(SEQUENCE_ENCODERS, "tiny", TinyOptions)
    return "tiny"


@dataclass(frozen=True)
class Folder:
    """A dataset folder of images, and where its runs and results go."""

    path: Path

    def run(self, mode: str, *line: object) -> int:
        return main(["--mode", mode, "--dataset", str(self.path), *map(str, line)])

    def train(self, *line: object, length: int = 3) -> int:
        return self.run(
            "train", "--seqL", length, "--outDims", 6, "--batchSize", 8, "--lr", 0.01, "--runsPath", self.path / "runs",
            *QUICK, *line,
        )  # fmt: skip

    @property
    def trained(self) -> Path:
        (run,) = (self.path / "runs").iterdir()
        return run

    def state(self) -> dict:
        return load_checkpoint(self.trained / "checkpoints" / "checkpoint.pth.tar")


@pytest.fixture
def folder(textures) -> Folder:
    """Two drives of 60 places."""
    return Folder(textures(train=(0, 30), val=(30, 44), test=(44, 60)))


def test_train_resume_test_and_report(folder, tiny, capsys):
    assert folder.train("--pooling", tiny, "--nEpochs", 2) == 0
    assert folder.state()["in_dims"] == 0
    assert folder.state()["epoch"] == 2
    results, page = folder.path / "results", folder.path / "page"
    test = ("--pooling", tiny, "--resume", folder.trained, "--resultsPath", results, "--bootstrap", 0, *QUICK)
    assert folder.run("test", *test, "--latencyQueries", 2, "--report", page, "--stress") == 0
    record = json.loads(next(results.glob("*.json")).read_text())
    data = record["data"]
    assert (data["frames"], data["dims"], record["method"]["out_dims"]) == ("images", 0, 6)
    assert data["reference"]["source"] == str(folder.path / "day")
    assert data["reference"]["descriptors"] is None
    assert record["recall"]["1"] > 0.5
    assert set(record["timing"]["latency_ms"]) == {"encode", "search", "total"}
    assert list(record["stress"]) == list(PACES)  # single frames have no descriptor
    assert record["stress"]["reversed"] == record["recall"]  # a mean has no order
    assert (page / "matrix_1.png").is_file()  # the images were encoded once more
    assert "data:image/jpeg" in (page / "index.html").read_text()
    assert capsys.readouterr().err == ""


def test_a_stopped_run_that_is_resumed_is_the_run_that_never_stopped(folder, tiny, tmp_path, monkeypatch):
    assert folder.train("--pooling", tiny, "--nEpochs", 2) == 0
    whole = folder.state()["state_dict"]
    folder.trained.rename(tmp_path / "whole")
    join, steps = Tiny.join, []

    def interrupted(encoder, windows: Tensor) -> Tensor:
        learning = encoder.training and not windows.is_meta  # which is how costs are counted
        steps.extend([len(windows)] * learning)
        if len(steps) == 5 and learning:  # in the second epoch
            os.kill(os.getpid(), signal.SIGTERM)
        return join(encoder, windows)

    monkeypatch.setattr(Tiny, "join", interrupted)
    assert folder.train("--pooling", tiny, "--nEpochs", 2) == 128 + signal.SIGTERM
    assert folder.state()["epoch"] == 1
    assert main(["--mode", "train", "--resume", str(folder.trained), *QUICK]) == 0
    assert folder.state()["epoch"] == 2
    assert all(torch.equal(value, whole[key]) for key, value in folder.state()["state_dict"].items())


def test_frames_of_windows_that_have_none_of_their_own_are_pictured(folder, tiny):
    """Both ends of a drive, whose windows are left out."""
    assert folder.train("--pooling", tiny, "--nEpochs", 1) == 0
    results = folder.path / "results"
    whole = ("--seqL_filterData", 3, "--resultsPath", results)
    assert folder.run("test", "--resume", folder.trained, *whole, *PLAIN, *QUICK) == 0
    result = read_result(next(results.glob("*.json")))
    for side, season in ((result.answers.reference, "day"), (result.answers.query, "night")):
        assert side.rows.tolist() == list(range(1, 15))
        shown = [Path(path).relative_to(folder.path).as_posix() for _, path in sorted(side.images_by_row.items())]
        assert shown == [f"{season}/{number}.png" for number in range(44, 60)]


def test_descriptors_are_asked_for_where_a_method_needs_them(folder, tiny, error):
    needed = "images only, and this needs frame descriptors: give [traverses."
    assert folder.run("test", "--pooling", "smooth", *QUICK) == 2
    assert needed in error()
    assert folder.run("test", "--pooling", "single+seqmatch", *QUICK) == 2
    assert needed in error()
    assert folder.train("--pooling", "seqnet") == 2
    assert needed in error()
    assert folder.train("--pooling", tiny, "--nEpochs", 1) == 0
    line = ("--pooling", tiny, "--resume", folder.trained, *QUICK)
    assert folder.run("test", *line, "--rerank", "single+seqmatch", "--topK", 5) == 2
    assert needed in error()
    assert folder.run("test", *line, "--rerank", "local", "--topK", 5) == 2
    assert "no local features" in error()


def test_single_images_encoded_by_a_trained_run_are_matched(folder, tiny):
    assert folder.train("--pooling", tiny, "--nEpochs", 1, length=1) == 0
    results = folder.path / "results"
    line = ("--pooling", "s1+seqmatch", "--resume", folder.trained, "--seqL", 3, "--resultsPath", results)
    assert folder.run("test", *line, *PLAIN, *QUICK) == 0
    record = json.loads(next(results.glob("*.json")).read_text())
    assert (record["data"]["frames"], record["data"]["dims"]) == ("images", 0)
    assert record["recall"]["1"] > 0.5


def test_only_descriptors_are_adapted(folder, tiny, error):
    assert folder.train("--pooling", tiny, "--nEpochs", 1, "--adapt", "running") == 2
    assert error() == "error: --adapt changes nothing here: tiny takes images"
    assert folder.train("--pooling", tiny, "--nEpochs", 1, length=1) == 0
    assert json.loads((Path(folder.trained) / "checkpoints" / "flags.json").read_text())["adapt"] == "none"
    assert folder.run("test", "--pooling", tiny, "--resume", folder.trained, "--adapt", "traverse", *QUICK) == 2
    assert error() == "error: --adapt changes nothing here: tiny takes images"
    matched = ("--pooling", "s1+seqmatch", "--resume", folder.trained)
    assert folder.run("test", *matched, "--adapt", "running", *PLAIN, *QUICK) == 2
    assert error() == ("error: --adapt changes nothing here: no frame descriptors are read, the weights take images")
    assert folder.run("test", *matched, *PLAIN, *QUICK) == 0
    with pytest.raises(UserError, match="`adapt` running: tiny takes images"):
        opticornet.load(folder.trained).adapted(np.zeros((4, 3, 12, 16)), "running")


def test_images_that_are_missing_corrupt_or_of_different_size_are_one_line(folder, tiny, error, monkeypatch):
    picture = folder.path / "night" / "33.png"  # of the val split
    sound = picture.read_bytes()
    picture.write_bytes(sound[:70])
    assert folder.train("--pooling", tiny) == 2
    assert "33.png: " in (line := error())
    assert "cannot decode the image" in line
    picture.unlink()
    (folder.path / "day.csv").write_text("\n".join(["image", *(f"day/{n}.png" for n in range(60))]))
    (folder.path / "night.csv").write_text("\n".join(["image", *(f"night/{n}.png" for n in range(60))]))
    toml = (folder.path / "dataset.toml").read_text()
    named = toml.replace('images = "day"', 'frames = "day.csv"').replace('images = "night"', 'frames = "night.csv"')
    (folder.path / "dataset.toml").write_text(named)
    assert folder.train("--pooling", tiny) == 2
    assert "night: 1 of its 14 images do not exist, first" in error()
    picture.write_bytes(sound)
    for number in range(60):
        path = folder.path / "night" / f"{number}.png"
        Image.open(path).resize((30, 20)).save(path)
    monkeypatch.setattr(Tiny, "__init__", sized_as_it_is(Tiny.__init__))
    assert folder.train("--pooling", tiny) == 2
    assert "frames of day are 3 x 16 x 24, those of night 3 x 20 x 30: give images of one size" in error()


def sized_as_it_is(initialise):
    """The encoder without a size of its own."""

    def changed(self, out_dims: int) -> None:
        initialise(self, out_dims)
        self.preprocess = Preprocess(None)

    return changed


def test_extracting_serves_the_methods_of_descriptors_and_leaves_the_others_as_they_are(folder, tiny, error):
    assert folder.run("extract", "--descType", "hog", "--imageSize", 32, 32, "--threads", -1, "--quiet") == 2
    assert "traverse day of" in (line := error())
    assert "names no descriptors to write: give it a key descriptors" in line
    toml = folder.path / "dataset.toml"
    for name in ("day", "night"):
        toml.write_text(
            toml.read_text().replace(f'images = "{name}"', f'images = "{name}"\ndescriptors = "{name}.npy"')
        )
    assert folder.run("test", "--pooling", "smooth", *QUICK) == 2
    assert "day.npy is not there; extract it first" in error()
    assert folder.train("--pooling", tiny, "--nEpochs", 1) == 0
    assert folder.run("extract", "--descType", "hog", "--imageSize", 32, 32, "--threads", -1, "--quiet") == 0
    results = folder.path / "results"
    assert folder.run("test", "--pooling", "smooth", "--seqL", 3, "--resultsPath", results, *PLAIN, *QUICK) == 0
    record = json.loads(next(results.glob("*.json")).read_text())
    assert (record["data"]["frames"], record["data"]["reference"]["descriptors"]["encoder"]) == ("descriptors", "hog")
    line = ("--pooling", tiny, "--resume", folder.trained, "--rerank", "single+seqmatch", "--topK", 5)
    assert folder.run("test", *line, *PLAIN, *QUICK) == 0


def test_a_table_of_images_can_be_extracted_without_a_list(folder):
    rows = "\n".join(["image", *(f"day/{number}.png" for number in reversed(range(60)))])
    (folder.path / "day.csv").write_text(rows)
    toml = folder.path / "dataset.toml"
    text = toml.read_text().replace('images = "day"', 'frames = "day.csv"\ndescriptors = "day.npy"')
    toml.write_text(text.replace('images = "night"', 'images = "night"\ndescriptors = "night.npy"'))
    assert folder.run("extract", "--descType", "thumbnail", "--threads", -1, "--quiet") == 0
    names = json.loads((folder.path / "day.json").read_text())["names"]
    assert names[0] == "day/59.png"
    assert folder.run("test", "--pooling", "single", "--seqL", 1, *PLAIN, *QUICK) == 0


def test_checking_a_folder_of_images(folder, capsys):
    assert folder.run("check") == 0
    text = capsys.readouterr().out
    assert "reference day: 30 frames, images only" in text
    assert "no descriptors: methods that take images work; for all others, give [traverses.day] of" in text
    assert "sizes 24 x 16 (16)" in text
