"""The frames of a traverse as an encoder describes them."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from opticornet.inference.described import DescribedFrames
from opticornet.inference.encode import encode
from opticornet.models.images.base import Preprocess
from opticornet.models.sequences import base
from opticornet.models.sequences.base import ImageSequenceEncoder

COUNT, LENGTH = 20, 4


class Squares(ImageSequenceEncoder):
    """The squares of a frame's mean colours, weighted by the frame's place in the window."""

    describes_frames = True

    def __init__(self) -> None:
        super().__init__(Preprocess(None), 3)
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.described = 0
        self.modes: set[bool] = set()

    def describe_frames(self, frames: Tensor) -> Tensor:
        self.described += len(frames)
        self.modes.add(self.training)
        return self.scale * frames.mean((2, 3)) ** 2

    def join(self, described: Tensor) -> Tensor:
        weights = torch.arange(1.0, described.shape[1] + 1)
        return normalize((self.scale * described * weights[:, None]).sum(1), dim=1)


class InMemory:
    """Images of a traverse: a ``FrameSource``."""

    block = 3
    frame_shape = (3, 2, 4)

    def __init__(self) -> None:
        self.images = torch.randn(COUNT, *self.frame_shape, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return COUNT

    def rows(self, start: int, stop: int) -> Tensor:
        return self.images[start:stop]

    def windows(self, starts: Tensor, length: int) -> Tensor:
        return self.images[starts[:, None] + torch.arange(length)]

    def around(self, starts: np.ndarray, length: int) -> tuple[Tensor, Tensor]:
        return self.images, torch.from_numpy(starts)


@pytest.fixture
def encoder() -> Squares:
    return Squares()


@pytest.fixture
def images() -> InMemory:
    return InMemory()


def whole(encoder: Squares, images: InMemory) -> Tensor:
    with torch.no_grad():
        return 2 * images.images.mean((2, 3)) ** 2


def test_rows_and_windows_are_the_described_images(encoder, images):
    frames, expected = DescribedFrames(images, encoder), whole(encoder, images)
    assert (len(frames), frames.frame_shape, frames.block) == (COUNT, (3,), 3)
    torch.testing.assert_close(frames.rows(2, 9), expected[2:9])
    windows = frames.windows(torch.tensor([3, 0, 3]), LENGTH)
    torch.testing.assert_close(windows, torch.stack([expected[3:7], expected[:4], expected[3:7]]))
    around, begins = frames.around(np.array([1, 2, 12]), LENGTH)
    torch.testing.assert_close(around, torch.cat([expected[1:6], expected[12:16]]))
    assert begins.tolist() == [0, 1, 5]


@pytest.mark.parametrize("at_once", [3, 64])
def test_each_frame_is_described_once(encoder, images, at_once, monkeypatch):
    monkeypatch.setattr(base, "IMAGES_AT_ONCE", at_once)
    frames = DescribedFrames(images, encoder.train())
    for start in range(COUNT - LENGTH + 1):
        frames.windows(torch.tensor([start]), LENGTH)
    frames.rows(0, COUNT)
    assert encoder.described == COUNT
    assert encoder.modes == {False}  # in evaluation mode, and then back
    assert encoder.training


@pytest.mark.parametrize(("kept", "described"), [(COUNT, 4), (4, 4), (3, 5), (0, 8)])
def test_no_more_frames_are_kept_than_allowed(encoder, images, kept, described):
    frames = DescribedFrames(images, encoder, cache_bytes=kept * 3 * 4)
    first = frames.rows(5, 9)
    assert torch.equal(frames.rows(5, 9), first)
    assert encoder.described == described
    assert len(frames._kept) == min(kept, 4)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("block", [None, 1, 50])
def test_a_traverse_is_encoded_as_its_windows_with_frames_shared_across_blocks(encoder, images, block, backwards):
    starts = np.arange(COUNT - LENGTH + 1)
    with torch.no_grad():
        windows = images.windows(torch.from_numpy(starts), LENGTH)
        expected = encoder(windows.flip(1) if backwards else windows)
    encoder.described = 0
    found = encode(encoder, images, starts, LENGTH, block=block, backwards=backwards)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert encoder.described == COUNT


def test_frames_kept_while_encoding_can_be_trained_on(encoder, images):
    frames = DescribedFrames(images, encoder)
    encode(encoder, frames, np.arange(COUNT - LENGTH + 1), LENGTH)
    encoder.join(frames.windows(torch.tensor([2, 5]), LENGTH)).sum().backward()
    assert encoder.described == COUNT
    assert encoder.scale.grad is not None


def test_descriptions_are_made_in_bfloat16_where_asked(encoder, images):
    seen = []
    describe = encoder.describe_frames

    def described(frames: Tensor) -> Tensor:
        seen.append(torch.is_autocast_enabled("cpu"))
        return describe(frames)

    encoder.describe_frames = described  # type: ignore[method-assign]
    for amp in (True, False):
        assert DescribedFrames(images, encoder, amp=amp).rows(0, 2).dtype == torch.float32
    assert seen == [True, False]
