"""Encoding a traverse, of descriptors and of images."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from opticornet.datasets.frames import DescriptorFrames
from opticornet.datasets.images.frames import ImageFrames
from opticornet.datasets.traverse import Traverse
from opticornet.inference.encode import encode, frames_of
from opticornet.models.images.base import Preprocess
from opticornet.models.sequences.averages import Delta, Smooth
from opticornet.models.sequences.base import ImageSequenceEncoder
from opticornet.utils.errors import UserError

COUNT, CPU = 14, torch.device("cpu")


class MeanColour(ImageSequenceEncoder):
    """The mean colour of a window."""

    def __init__(self) -> None:
        super().__init__(Preprocess(None), 3)

    def join(self, described: Tensor) -> Tensor:
        return normalize(described.mean((1, 3, 4)), dim=1)


@pytest.fixture
def both(tmp_path) -> Traverse:
    """A traverse that has descriptors and images."""
    rng = np.random.default_rng(0)
    images = []
    for number in range(COUNT):
        images.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(rng.integers(0, 255, (6, 8, 3), np.uint8)).save(images[-1])
    descriptors = rng.standard_normal((COUNT, 5)).astype(np.float32)
    positions, bounds = np.arange(float(COUNT))[:, None], np.tile([0, COUNT], (COUNT, 1))
    return Traverse("drive", descriptors, positions, "frames", bounds, images=tuple(images))


@pytest.mark.parametrize("encoder", [Smooth(5), MeanColour()])
def test_a_traverse_of_both_serves_each_encoder_what_it_takes(both, encoder):
    frames = frames_of(both, encoder, CPU)
    assert isinstance(frames, ImageFrames if encoder.takes == "images" else DescriptorFrames)
    starts = np.array([0, 1, 2, 2, 7, 8, 10])
    windows = frames.windows(torch.from_numpy(starts), 4)
    assert windows.shape == (7, 4, *frames.frame_shape)
    for block in (None, 1, 3):
        found = encode(encoder, frames, starts, 4, block=block)
        torch.testing.assert_close(found, encoder(windows), rtol=0, atol=1e-6)


class Ramp(ImageSequenceEncoder):
    """The colours of a window, weighted by their place in it."""

    def __init__(self) -> None:
        super().__init__(Preprocess(None), 3)

    def join(self, described: Tensor) -> Tensor:
        weights = torch.arange(1.0, described.shape[1] + 1)
        return normalize((described.mean((3, 4)) * weights[:, None]).sum(1), dim=1)


@pytest.mark.parametrize("encoder", [Delta(5), Ramp()])
@pytest.mark.parametrize("block", [None, 1, 3])
def test_windows_are_read_from_their_last_frame_to_their_first(both, encoder, block):
    frames, starts = frames_of(both, encoder, CPU), np.array([0, 1, 2, 2, 7, 8, 10])
    found = encode(encoder, frames, starts, 4, backwards=True, block=block)
    windows = frames.windows(torch.from_numpy(starts), 4)
    torch.testing.assert_close(found, encoder(windows.flip(1)), rtol=0, atol=1e-6)
    assert (found - encoder(windows)).abs().max() > 0.01


def test_what_a_traverse_lacks_is_said(both):
    lacking = Traverse("drive", None, both.positions, "frames", both.bounds, images=both.images)
    with pytest.raises(UserError, match="drive has images only"):
        frames_of(lacking, Smooth(5), CPU)
    lacking = Traverse("drive", both.descriptors, both.positions, "frames", both.bounds)
    with pytest.raises(UserError, match="drive has descriptors only"):
        frames_of(lacking, MeanColour(), CPU)
