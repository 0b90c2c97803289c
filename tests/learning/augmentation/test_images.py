"""Windows of images, altered: one draw for all of a window's frames, seeded."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from opticornet.datasets.traverse import Split, Traverse
from opticornet.evaluation.scene import Scene
from opticornet.learning.augmentation import AUGMENTATIONS
from opticornet.learning.augmentation.augmenter import Augmenter
from opticornet.learning.augmentation.images import ImageAugmentation, TimeAndImageAugmentation
from opticornet.learning.sequences.sides import sides
from opticornet.models.images.base import Preprocess
from opticornet.models.sequences.base import ImageSequenceEncoder
from opticornet.utils.errors import UserError
from opticornet.utils.registry import entry

N = 8


class Mean(ImageSequenceEncoder):
    def __init__(self, preprocess=None) -> None:
        super().__init__(preprocess or Preprocess((16, 16)), 3)

    def join(self, described: Tensor) -> Tensor:
        return normalize(described.mean((1, 3, 4)), dim=1)


@pytest.fixture
def scene(tmp_path) -> Scene:
    """Eight frames, all the same picture, so that a window's frames differ only where they are altered differently."""
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)).save(tmp_path / "one.png")
    bounds, images = np.tile([0, N], (N, 1)), (str(tmp_path / "one.png"),) * N
    drives = [Traverse(name, None, np.arange(float(N))[:, None], "frames", bounds, images=images) for name in "ab"]
    return Scene.of("same", Split("train", *drives, 1.0, 3.0), 3, 0, torch.device("cpu"), frozenset({"images"}))


def augmenter(scene: Scene, options=ImageAugmentation(), seed: int = 0, encoder=None) -> Augmenter:  # noqa: B008
    return Augmenter(options, scene, *sides(scene, encoder or Mean()), torch.Generator().manual_seed(seed))


def test_the_frames_of_a_window_are_altered_alike_and_windows_differently(scene):
    windows = augmenter(scene).windows(torch.arange(N))
    assert windows.shape == (N, 3, 3, 16, 16)
    assert torch.equal(windows, windows[:, :1].expand_as(windows))
    assert len({tuple(window.flatten().tolist()) for window in windows[:, 0]}) > N // 2


def test_the_same_seed_draws_the_same_and_leaves_the_generator_of_pytorch_alone(scene):
    before = torch.get_rng_state()
    one, same, other = (augmenter(scene, seed=seed) for seed in (1, 1, 2))
    first, second = (one.windows(torch.arange(N)) for _ in range(2))
    assert torch.equal(first, same.windows(torch.arange(N)))
    assert torch.equal(second, same.windows(torch.arange(N)))
    assert not torch.equal(first, second)
    assert not torch.equal(first, other.windows(torch.arange(N)))
    assert torch.equal(before, torch.get_rng_state())


def test_windows_at_another_pace_are_altered_too(scene, tmp_path):
    @dataclass(frozen=True, kw_only=True)
    class TimeAndMirror(TimeAndImageAugmentation):
        def alteration(self):
            return lambda window: window.flip(3)

    for number in range(N):
        pixels = np.random.default_rng(number).integers(0, 255, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    images = tuple(str(tmp_path / f"{number}.png") for number in range(N))
    drives = (replace(side, images=images) for side in scene.split.sides)
    distinct = Scene.of("many", Split("train", *drives, 1.0, 3.0), 3, 0, scene.device, frozenset({"images"}))
    options = TimeAndMirror(pace_share=1.0, slowest=0.3, fastest=3.0)
    one, same = augmenter(distinct, options), augmenter(distinct, options)
    frames = same.frames(np.arange(N), np.random.default_rng(int(torch.randint(2**62, (), generator=same.generator))))
    assert (frames != np.arange(N)[:, None] + np.arange(-1, 2)).any()
    assert torch.equal(one.windows(torch.arange(N)), same.query.gather_frames(torch.from_numpy(frames)).flip(4))


def test_frames_that_are_no_pixels_are_refused(scene):
    class Halves:
        grey = False

        def __call__(self, image: np.ndarray) -> np.ndarray:
            return image.transpose(2, 0, 1).astype(np.float32) / 2

    with pytest.raises(ValueError, match="the method's frames are no pixels"):
        augmenter(scene, encoder=Mean(Halves()))


@pytest.mark.parametrize("name", ["images", "time+images"])
def test_what_it_says_of_itself(name):
    kind = entry(AUGMENTATIONS, name)
    assert (kind.changes_images, kind.changes_descriptors, kind.changes_pace) == (True, False, "time" in name)
    with pytest.raises(UserError, match="`magnitude` 31: wanted a strength of 0 to 30"):
        kind(magnitude=31)


def test_images_are_altered_by_bilinear_interpolation():
    """As SciceVPR's authors do; torchvision's own choice is the nearest pixel."""
    line = torch.zeros(1, 3, 16, 16)
    line[..., 8:] = 1
    alter = ImageAugmentation(operations=4, magnitude=9).alteration()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        altered = torch.stack([alter(line) for _ in range(20)])
    assert str(alter.interpolation) == "InterpolationMode.BILINEAR"
    assert ((altered > 0.2) & (altered < 0.8)).any()
