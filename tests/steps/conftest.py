"""A method of images, small enough for a test, and a dataset folder of images to try it on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize

from opticornet.cli import main
from opticornet.models.images.base import Preprocess
from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.models.sequences.base import ImageSequenceEncoder, SequenceEncoderOptions
from opticornet.utils.options import option


class MeanOfImages(ImageSequenceEncoder):
    """Convolution, mean over each image, mean over the window."""

    def __init__(self, out_dims: int) -> None:
        super().__init__(Preprocess((12, 16)), out_dims)
        self.conv = nn.Conv2d(3, out_dims, 5, stride=3)

    def join(self, described: Tensor) -> Tensor:
        features = self.conv(described.flatten(0, 1)).mean((2, 3)).unflatten(0, described.shape[:2])  # (B, L, O)
        return normalize(features.mean(1), dim=1)


@dataclass(frozen=True, kw_only=True)
class MeanOfImagesOptions(SequenceEncoderOptions):
    takes = "images"
    out_dims: int = option("--outDims", 8, "channels")

    def build(self, in_dims: int, length: int) -> MeanOfImages:
        return MeanOfImages(self.out_dims)


@dataclass(frozen=True)
class ImageSet:
    """A dataset folder of images, and where its runs and results go."""

    path: Path

    def run(self, mode: str, *line: object) -> int:
        return main(["--mode", mode, "--dataset", str(self.path), *map(str, line)])

    def train(self, *line: object, epochs: int = 1) -> Path:
        """The run."""
        runs = self.path / f"runs{len([*self.path.iterdir()])}"
        tail = ("--seqL", 3, "--outDims", 6, "--batchSize", 8, "--nEpochs", epochs, "--runsPath", runs)
        assert self.run("train", "--pooling", "mean-of-images", *tail, "--device", "cpu", "--quiet", *line) == 0
        (run,) = runs.iterdir()
        return run


@pytest.fixture
def textures(tmp_path) -> Callable[..., Path]:
    """Makes a dataset folder of two drives, with first and last places of each split: each place 24 x 16 pixels of
    a colour texture that changes from place to place, seen through noise."""

    def make(**splits: tuple[int, int]) -> Path:
        rng, place, count = np.random.default_rng(0), tmp_path / "set", max(stop for _, stop in splits.values())
        textures = np.cumsum(rng.standard_normal((count, 4, 6, 3)), axis=0)
        textures = 255 * (textures - textures.min()) / np.ptp(textures)
        for name in ("day", "night"):
            (place / name).mkdir(parents=True)
            for number, texture in enumerate(textures):
                pixels = np.kron(texture + rng.normal(0, 1, texture.shape), np.ones((4, 4, 1)))
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place / name / f"{number}.png")
        lines = ['name = "textures"', 'units = "frames"']
        lines += [f'[traverses.{name}]\nimages = "{name}"' for name in ("day", "night")]
        for split, (start, stop) in splits.items():
            lines += [
                f'[splits.{split}]\nreference = "day"\nquery = "night"\nreference_rows = [{start}, {stop}]',
                f"query_rows = [{start}, {stop}]\npositive_radius = 1\nnegative_radius = 3",
            ]
        (place / "dataset.toml").write_text("\n".join(lines))
        return place

    return make


@pytest.fixture
def error(capsys) -> Callable[[], str]:
    """The one line that a command which ended with status 2 printed."""

    def one_line() -> str:
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1, lines
        return lines[0]

    return one_line


@pytest.fixture
def image_set(textures, monkeypatch) -> ImageSet:
    """Two drives of 60 places, and a method ``mean-of-images``."""
    monkeypatch.setitem(SEQUENCE_ENCODERS, "mean-of-images", MeanOfImagesOptions)
    return ImageSet(textures(train=(0, 30), val=(30, 44), test=(44, 60)))
