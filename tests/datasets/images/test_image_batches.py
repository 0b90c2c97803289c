import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from opticornet.datasets.images.batches import UnusableImage, image_batches
from opticornet.datasets.images.decoding import BadImageError


class Numbers:
    """A source whose image i begins with i, and has contrast unless it is flat; some are damaged, some larger."""

    max_workers = 8
    digest = ""

    def __init__(self, count, damaged=(), larger=(), flat=()):
        self.names = tuple(f"{i}.png" for i in range(count))
        self.damaged, self.larger, self.flat = damaged, larger, flat

    def read(self, index, grey):
        assert not grey
        if index in self.damaged:
            raise BadImageError("damaged")
        side = 3 if index in self.larger else 2
        image = np.full((side, side, 3), index, np.uint8)
        if index not in self.flat:
            image[1:] += 100
        return image


def prepare(image):
    return image.astype(np.float32).transpose(2, 0, 1)


prepare.grey = False


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_order_from_the_start_asked_for(workers):
    batches = list(image_batches(Numbers(11), prepare, size=3, start=3, workers=workers))
    assert [(batch.start, batch.stop) for batch in batches] == [(3, 6), (6, 9), (9, 11)]
    values = torch.cat([batch.images for batch in batches])
    assert values.shape == (8, 3, 2, 2)
    assert values[:, 0, 0, 0].tolist() == list(range(3, 11))
    assert [row for batch in batches for row in batch.rows] == list(range(3, 11))


def test_damaged_and_flat_images_are_reported_and_left_out():
    first, second = image_batches(Numbers(4, damaged={1, 2}, flat={3}), prepare, size=2)
    assert first.rows == [0]
    assert first.unusable == [UnusableImage(1, "1.png", "damaged")]
    assert second.rows == []
    assert len(second.images) == 0
    assert second.unusable == [UnusableImage(2, "2.png", "damaged"), UnusableImage(3, "3.png", "no contrast")]
    assert [image.is_damaged for image in second.unusable] == [True, False]


def test_an_image_of_another_size_is_named():
    (batch,) = image_batches(Numbers(4, larger={2}), prepare, size=4)
    assert batch.odd == "2.png"
    assert batch.rows == [0, 1]


SPAWNED = """
import multiprocessing
import sys
from dataclasses import dataclass
from pathlib import Path

from opticornet.datasets.images import batches
from opticornet.models.images.base import Preprocess
from opticornet.options.plugins import load_plugin


@dataclass(frozen=True)
class OfScript:
    inner: object


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    plugin = load_plugin(Path(sys.argv[1]))
    here = [Preprocess(None), OfScript(Preprocess(None))]
    not_there = [plugin.Twice(), OfScript(plugin.Twice()), lambda image: image]
    print([batches._reaches_workers(prepare) for prepare in here + not_there])
    del sys.modules["__main__"].__file__  # as in a notebook
    print(batches._reaches_workers(OfScript(Preprocess(None))))
"""

TWICE = """
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from opticornet.models.images.base import ImageEncoderOptions, PrecomputedEncoder


@dataclass(frozen=True)
class Twice:
    grey: ClassVar[bool] = False

    def __call__(self, image):
        return 2 * image.reshape(-1).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class TwiceOptions(ImageEncoderOptions):
    def build(self):
        return PrecomputedEncoder(Twice(), 12)


IMAGE_ENCODERS = {"twice": TwiceOptions}
"""


@pytest.mark.slow
def test_processes_that_start_anew_cannot_decode_for_plugins_and_notebooks(root, tmp_path):
    script, plugin = tmp_path / "script.py", tmp_path / "twice.py"
    script.write_text(SPAWNED)
    plugin.write_text(TWICE)
    done = subprocess.run(
        [sys.executable, script, plugin], env={"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["[True, True, False, False, False]", "False"], done.stderr


@pytest.mark.slow
def test_an_encoder_of_a_plugin_is_extracted_where_processes_start_anew(root, tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(3):
        Image.linear_gradient("L").rotate(90 * i).resize((2, 2)).convert("RGB").save(tmp_path / "images" / f"{i}.png")
    (tmp_path / "twice.py").write_text(TWICE)
    code = "import multiprocessing, sys; from opticornet.cli import main; multiprocessing.set_start_method('spawn')"
    arguments = ["--plugin", "twice.py", "--descType", "twice", "--images", "images", "--output", "rows.npy"]
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit(main(sys.argv[1:]))", "--mode", "extract", *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "rows.npy").shape == (3, 12)
