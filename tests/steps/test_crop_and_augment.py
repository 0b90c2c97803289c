"""A part of every image, and images altered in training, from the command line."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from opticornet.cli import main
from opticornet.datasets.images.sources import ImageFiles
from opticornet.utils.checkpoints import load_checkpoint

PLAIN = ("--bootstrap", 0, "--latencyQueries", 0, "--device", "cpu", "--quiet")


def record_of(image_set, *line) -> dict:
    results = image_set.path / f"results{len([*image_set.path.iterdir()])}"
    assert image_set.run("test", *PLAIN, "--resultsPath", results, *line) == 0
    return json.loads(next(results.glob("*.json")).read_text())


def weights(run) -> dict[str, torch.Tensor]:
    return load_checkpoint(run / "checkpoints" / "checkpoint.pth.tar")["state_dict"]


def error_of(capsys) -> str:
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_over_epochs_of_training_each_image_is_decoded_once(image_set, monkeypatch):
    read, counts = ImageFiles.read, Counter()

    def counted(files, index, grey=False):
        counts[files.names[index]] += 1
        return read(files, index, grey)

    monkeypatch.setattr(ImageFiles, "read", counted)
    image_set.train(epochs=3)
    assert len(counts) == 2 * (30 + 14)
    assert set(counts.values()) == {1}


def test_a_crop_is_what_whole_images_of_that_part_would_be(image_set):
    run = image_set.train("--crop", 2, 1, 22, 13)
    assert json.loads((run / "checkpoints" / "flags.json").read_text())["crop"] == [2, 1, 22, 13]
    cropped = record_of(image_set, "--resume", run)
    assert cropped["data"]["options"]["crop"] == [2, 1, 22, 13]  # the run's
    for path in image_set.path.glob("*/*.png"):
        Image.open(path).crop((2, 1, 22, 13)).save(path)
    whole = image_set.train()
    assert all(torch.equal(value, weights(whole)[name]) for name, value in weights(run).items())
    assert record_of(image_set, "--resume", whole)["recall"] == cropped["recall"]


def test_extracted_descriptors_are_of_the_crop_and_say_so(image_set):
    line = ("--descType", "thumbnail", "--threads", -1, "--quiet")
    base = image_set.path

    def extract(images, output, *more) -> np.ndarray:
        command = ["--mode", "extract", "--images", images, "--output", output, *line, *more]
        assert main([*map(str, command)]) == 0
        return np.load(output)

    cropped = extract(base / "day", base / "cropped.npy", "--crop", 2, 1, 22, 13)
    assert json.loads((base / "cropped.json").read_text())["preprocess"]["crop"] == [2, 1, 22, 13]
    for path in (base / "day").glob("*.png"):
        Image.open(path).crop((2, 1, 22, 13)).save(path)
    assert np.array_equal(cropped, extract(base / "day", base / "whole.npy"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("--crop", 0, 0, 1280, 800), "it has 24 x 16 pixels, fewer than --crop 0 0 1280 800 reaches to"),
        (("--crop", 5, 5, 5, 9), "--crop 5 5 5 9: wanted left, top, right and bottom"),
        (("--pooling", "smooth", "--crop", 0, 0, 9, 9), "--crop changes nothing here: frame descriptors are read, not"),
        (("--pooling", "seqnet", "--augment", "images"), "--augment images alters images, and seqnet takes frame desc"),
        (("--augment", "images", "--randMagnitude", 31), "--randMagnitude 31: wanted a strength of 0 to 30"),
        (("--augment", "descriptors"), "and mean-of-images takes images; choose time, images, time+images or none"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(image_set, capsys, line, message):
    pooling = () if "--pooling" in line else ("--pooling", "mean-of-images")
    mode, plain = ("test", PLAIN) if "smooth" in line else ("train", ("--device", "cpu", "--quiet"))
    assert image_set.run(mode, *pooling, *plain, *line) == 2
    assert message in error_of(capsys)


@pytest.mark.parametrize("augment", ["images", "time+images"])
def test_training_on_altered_images_is_seeded(image_set, augment):
    plain = weights(image_set.train())
    runs = [image_set.train("--augment", augment, "--randOperations", 1, "--seed", seed) for seed in (123, 123, 5)]
    first, again, other = map(weights, runs)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv.weight"], plain["conv.weight"])
    assert not torch.equal(first["conv.weight"], other["conv.weight"])
    flags = json.loads((runs[0] / "checkpoints" / "flags.json").read_text())
    assert (flags["augment"], flags["randOperations"], flags["randMagnitude"]) == (augment, 1, 9)
