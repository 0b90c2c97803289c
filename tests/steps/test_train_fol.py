"""FoL learns from labelled places by all of its terms, from the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from opticornet.cli import main
from opticornet.inference.image_runs import load_image_run

TERMS = ("ms", "local", "alignment", "contrast", "weak")
SMALL = (
    "--descType", "fol-small", "--backboneBlocks", 2, "--imageSize", 70, 84, "--folClusters", 6, "--folCells", 12,
    "--folClusterDims", 4, "--folTokenDims", 8,
)  # fmt: skip
LINE = (
    "--nEpochs", 1, "--lr", 1e-3, "--placesPerBatch", 4, "--imagesPerPlace", 2,
    "--device", "cpu", "--quiet",
)  # fmt: skip


@pytest.fixture
def folder(textures: Callable[..., Path]) -> Path:
    """Two drives of 22 places."""
    return textures(train=(0, 12), val=(12, 22))


def train(folder: Path, *line: object) -> int:
    data = ("--mode", "train", "--dataset", folder, "--runsPath", folder / "runs")
    return main([*map(str, (*data, *line, *LINE))])


def last_epoch(folder: Path) -> dict:
    (run,) = (folder / "runs").iterdir()
    return json.loads((run / "epochs.jsonl").read_text().splitlines()[-1])


@pytest.mark.parametrize("line", [("--trainBlocks", 1), ("--trainBlocks", 0, "--imagesAtOnce", 3)])
def test_all_terms_are_learned_from(folder, shared, line):
    assert train(folder, *SMALL, "--weights", shared / "data" / "vits14-fp16.pth", *line) == 0
    means = last_epoch(folder)["means"]
    assert all(means[f"loss_{term}"] > 0 for term in ("ms", "alignment", "contrast"))
    assert all(means[f"loss_{term}"] >= 0 for term in ("local", "weak"))  # 0 where nothing matches
    assert sum(means[f"share_{term}"] for term in TERMS) == pytest.approx(1)


def test_a_run_keeps_the_sizes_that_were_chosen(folder):
    assert train(folder, *SMALL, "--weights", "random", "--trainBlocks", 1) == 0
    (run,) = (folder / "runs").iterdir()
    encoder = load_image_run(run).encoder
    assert (len(encoder.backbone.model.blocks), encoder.out_dims) == (2, 8 + 6 * 4)
    assert (encoder.preprocess.size, encoder.local_shape) == ((70, 84), (192, 128))


def test_more_blocks_than_are_used_cannot_learn(folder, capsys):
    assert train(folder, *SMALL, "--weights", "random") == 2
    assert "--trainBlocks 4: fol-small cannot train so many, it has 2 blocks" in capsys.readouterr().err


def test_terms_of_fol_are_refused_of_other_encoders(folder, capsys):
    line = ("--descType", "resnet18", "--weights", "random", "--imageSize", 64, 64, "--lossTerms", "ms", "local")
    assert train(folder, *line) == 2
    assert "--lossTerms local needs DescribedFoL of an encoder" in capsys.readouterr().err
