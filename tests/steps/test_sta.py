"""STA and SeqVLAD from published weights to training, tests and reports, on a dataset folder of images alone."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import opticornet
from opticornet.cli import main
from opticornet.models.images.cct import CCT, Attention, Tokenizer, Transformer
from opticornet.models.images.dinov2 import DinoV2
from opticornet.models.sequences.sta.options import STAOptions
from opticornet.utils.files import sha256

QUICK = ("--device", "cpu", "--quiet")
PLAIN = ("--bootstrap", 0, "--latencyQueries", 0)
SMALL = {
    "sta_dims": 16,
    "sta_heads": 2,
    "sta_layers": 1,
    "sta_clusters": 4,
    "sta_kernel": 3,
    "sta_image_size": (24, 32),
}
FLAGS = (
    *("--staDims", 16, "--staHeads", 2, "--staLayers", 1, "--staClusters", 4),
    *("--staKernel", 3, "--staImageSize", 24, 32),
)


@dataclass(frozen=True)
class Folder:
    """A dataset folder of images, and where its runs and results go."""

    path: Path

    def run(self, mode: str, *line: object) -> int:
        return main(["--mode", mode, "--dataset", str(self.path), *map(str, line), *QUICK])

    def train(self, *line: object, lr: float = 0.001) -> int:
        training = ("--seqL", 3, "--batchSize", 8, "--lr", lr, "--nEpochs", 1, "--runsPath", self.path / "runs")
        return self.run("train", *training, *line)

    def test(self, *line: object) -> dict:
        results = self.path / "results"
        assert self.run("test", *line, "--resultsPath", results, *PLAIN) == 0
        return json.loads(max(results.glob("*.json"), key=lambda path: path.stat().st_mtime_ns).read_text())

    @property
    def trained(self) -> Path:
        (run,) = (self.path / "runs").iterdir()
        return run

    @property
    def flags(self) -> dict:
        return json.loads((self.trained / "checkpoints" / "flags.json").read_text())


@pytest.fixture
def folder(textures) -> Folder:
    """Two drives of 40 places."""
    return Folder(textures(train=(0, 18), val=(18, 28), test=(28, 40)))


@pytest.fixture
def published(tmp_path) -> str:
    """A checkpoint of a small STA, as its authors write theirs."""
    torch.manual_seed(0)
    path = tmp_path / "published.pth"
    torch.save(STAOptions(**SMALL).build(0, 5).state_dict(), path)
    return str(path)


@pytest.fixture
def imagenet(tmp_path) -> str:
    torch.manual_seed(0)
    network = CCT(Tokenizer(16, 3), Transformer(16, [Attention(16, 2) for _ in range(2)], (6, 8)))
    torch.save(network.state_dict(), tmp_path / "cct.pth")
    return str(tmp_path / "cct.pth")


@pytest.mark.parametrize("method", ["sta", "seqvlad"])
def test_random_weights_are_trained_and_tested_in_windows_of_any_length(folder, method, capsys):
    assert folder.train("--pooling", method, *FLAGS) == 0
    assert folder.flags["startedFrom"] == "random weights"
    for length in (3, 5):
        record = folder.test("--pooling", method, "--resume", folder.trained, "--seqL", length)
        assert record["recall"]["1"] > 0.5
        assert record["method"]["out_dims"] == 64
        assert record["method"]["weights"]["flags"]["startedFrom"] == "random weights"
        assert record["method"]["label"] == f"{method} S{length} (from random weights)"
        assert f"  {method} was trained from random weights\n" in capsys.readouterr().out
    trained = opticornet.load(folder.trained)
    assert trained.encode(np.zeros((6, 3, 24, 32), np.float32)).shape == (6, 64)


def test_a_run_that_begins_with_one_from_random_weights_says_so(folder):
    assert folder.train("--pooling", "seqvlad", *FLAGS) == 0
    more = ("--initFrom", folder.trained, "--seqL", 3, "--batchSize", 8, "--nEpochs", 1)
    assert folder.run("train", *more, "--runsPath", folder.path / "more") == 0
    (run,) = (folder.path / "more").iterdir()
    assert json.loads((run / "checkpoints" / "flags.json").read_text())["startedFrom"] == "random weights"


def test_without_weights_run_and_published_file_are_asked_for(folder, error):
    assert folder.run("test", "--pooling", "sta") == 2
    assert error().endswith(
        "with --resume RUN (--resume alone takes the newest run), or a published file with --staWeights"
    )


@pytest.mark.parametrize("mode", [("test",), ("extract", "--sequence")])
def test_messages_name_the_flags_of_the_method_in_every_mode(folder, published, error, mode):
    out = folder.path / "out"
    line = ("--pooling", "sta", "--staWeights", published, "--seqL", 5, "--staImageSize", 26, 32)
    given = ("--output", out) if mode[0] == "extract" else ()
    assert folder.run(*mode, *line, *given) == 2
    assert error().startswith("error: --staImageSize: images of 26 x 32 pixels give no whole grid")
    assert not out.exists()


def test_a_published_checkpoint_is_tested_as_it_is(folder, published):
    sizes = ("--staImageSize", 24, 32)
    record = folder.test("--pooling", "sta", "--staWeights", published, "--seqL", 5, *sizes)
    weights = record["method"]["weights"]
    assert (weights["path"], weights["sha256"]) == (published, sha256(Path(published)))
    assert weights["parameters"] == sum(value.numel() for value in torch.load(published, weights_only=True).values())
    assert (record["options"]["staWeights"], record["data"]["frames"]) == (published, "images")
    alone = folder.test("--pooling", "sta", "--staWeights", published, "--seqL", 5, *sizes, "--staPart", "spatial")
    assert alone["method"]["weights"]["parameters"] < weights["parameters"]


def test_training_starts_from_a_published_checkpoint_and_a_run_needs_it_no_more(folder, published):
    assert folder.train("--pooling", "sta", "--staWeights", published, "--staImageSize", 24, 32, lr=1e-12) == 0
    flags = folder.flags
    assert (flags["startedFrom"], flags["staWeights"]) == (published, published)
    assert flags["staWeightsSha256"] == sha256(Path(published))
    assert (flags["staFrames"], flags["staDims"], flags["staGrid"]) == (5, 16, [6, 8])
    started = torch.load(published, weights_only=True)
    Path(published).unlink()
    trained = opticornet.load(folder.trained).encoder.state_dict()
    assert all(torch.allclose(value, started[key], atol=1e-6) for key, value in trained.items())
    assert folder.test("--pooling", "sta", "--resume", folder.trained)["recall"]["1"] > 0
    assert main(["--mode", "train", "--resume", str(folder.trained), *QUICK]) == 0


def test_training_starts_from_the_imagenet_network_which_is_no_trained_method(folder, imagenet, error):
    line = ("--pooling", "sta", "--staWeights", imagenet, "--staLayers", 1, "--staHeads", 2, "--staImageSize", 24, 32)
    assert folder.run("test", *line, "--seqL", 3) == 2
    assert "cct.pth holds no trained sta: " in error()
    assert folder.train(*line, "--staClusters", 4, lr=1e-12) == 0
    trained, started = (opticornet.load(folder.trained).encoder.state_dict(), torch.load(imagenet, weights_only=True))
    for stack in ("encoder.spatial.classifier", "encoder.temporal"):
        qkv = "blocks.0.self_attn.qkv.weight"
        torch.testing.assert_close(trained[f"{stack}.{qkv}"], started[f"classifier.{qkv}"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kept", [(), ("--freezeSpatial",)])
def test_tokens_of_a_frozen_backbone_are_attended_to(folder, tmp_path, error, kept):
    path = tmp_path / "vit.pth"
    torch.manual_seed(0)
    torch.save(DinoV2(64, 2, 1, 56).state_dict(), path)
    line = ("--staTemporalLayers", 1, "--staClusters", 4, "--staImageSize", 28, 42)
    assert folder.train("--pooling", "sta", "--staBackbone", path, "--staLayer", 1, *line, *kept) == 0
    record = folder.test("--pooling", "sta", "--resume", folder.trained)
    flags = record["method"]["weights"]["flags"]
    assert (flags["staBackbone"], flags["staBackboneSha256"]) == (str(path), sha256(path))
    assert flags["startedFrom"] == f"random weights on tokens of {path.name}"
    torch.save(DinoV2(64, 2, 1, 56).state_dict(), path)
    assert folder.run("test", "--pooling", "sta", "--resume", folder.trained) == 2
    assert "another file than the one that was trained on" in error()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (
            ("--staImageSize", 30, 48),
            "--staImageSize: images of 30 x 48 pixels give no whole grid: wanted multiples of 16",
        ),
        (("--staDims", 20), "--staHeads: give the number of attention heads, as 20 channels are no multiple of 64"),
        (("--staWeights", "nothing.pth"), "no weights at nothing.pth"),
        (("--staLayer", 3), "--staLayer changes nothing here: it is a block of --staBackbone"),
        (("--staPart", "spatial", "--staTemporalLayers", 2), "--staTemporalLayers changes nothing here"),
    ],
)
def test_bad_input_is_one_line(folder, error, line, what):
    assert folder.train("--pooling", "sta", *line) == 2
    assert what in error()
    assert not (folder.path / "runs").exists()


def test_weights_of_the_wrong_architecture_are_one_line(folder, published, error):
    assert folder.run("test", "--pooling", "seqvlad", "--staWeights", published, *FLAGS, "--seqL", 3) == 2
    assert "missing (first: encoder." in (line := error())
    assert "unexpected (first: encoder." in line


def test_images_are_asked_for_where_a_dataset_has_descriptors_only(tmp_path, error):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).standard_normal((20, 4), np.float32))
    (tmp_path / "dataset.toml").write_text(
        'name = "bare"\nunits = "frames"\n[traverses.a]\ndescriptors = "a.npy"\n'
        + "".join(
            f'[splits.{split}]\nreference = "a"\nquery = "a"\npositive_radius = 1\nnegative_radius = 3\n'
            for split in ("train", "val", "test")
        )
    )
    assert main(["--mode", "train", "--dataset", str(tmp_path), "--pooling", "sta", *map(str, FLAGS), *QUICK]) == 2
    assert "descriptors only" in error()
