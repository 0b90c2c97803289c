"""The contract of encoders that take windows of images."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from opticornet.models.images.base import Preprocess
from opticornet.models.sequences import base
from opticornet.models.sequences.base import ImageSequenceEncoder, SequenceEncoder


class MeanOfConvolutions(ImageSequenceEncoder):
    """One convolution of each image, its mean over the image and over the window."""

    def __init__(self, min_length: int = 1) -> None:
        super().__init__(Preprocess(None), 4, min_length)
        self.conv = nn.Conv2d(3, 4, 3)
        self.batches: list[int] = []

    def join(self, described: Tensor) -> Tensor:
        self.batches.append(len(described))
        features = self.conv(described.flatten(0, 1)).mean((2, 3)).unflatten(0, described.shape[:2])  # (B, L, O)
        return normalize(features.mean(1), dim=1)


class InTwoSteps(MeanOfConvolutions):
    """The same, with all that one image needs in the first step."""

    describes_frames = True

    def __init__(self) -> None:
        super().__init__()
        self.described: list[int] = []

    def describe_frames(self, frames: Tensor) -> Tensor:
        self.described.append(len(frames))
        return self.conv(frames).mean((2, 3))  # (N, O)

    def join(self, described: Tensor) -> Tensor:
        return normalize(described.mean(1), dim=1)


class OfOneSize(MeanOfConvolutions):
    @property
    def frame_shape(self) -> tuple[int | str, ...]:
        return (3, 6, 8)


@pytest.fixture
def frames() -> Tensor:
    return torch.randn(30, 3, 6, 8, generator=torch.Generator().manual_seed(0))


def test_it_takes_images_and_has_no_frame_dimension():
    encoder = MeanOfConvolutions()
    assert (encoder.takes, encoder.in_dims, encoder.out_dims) == ("images", 0, 4)
    assert SequenceEncoder.takes == "descriptors"


@pytest.mark.parametrize("starts", [[0, 0, 1, 2, 17, 26], [5], []])
def test_a_traverse_encodes_as_its_windows(starts, frames, monkeypatch):
    monkeypatch.setattr(base, "IMAGES_AT_ONCE", 9)
    encoder, index = MeanOfConvolutions().eval(), torch.tensor(starts, dtype=torch.int64)
    with torch.no_grad():
        found = encoder.encode_traverse(frames, index, 4)
        assert max(encoder.batches) <= 2  # of 4 images each
        expected = encoder(frames[index[:, None] + torch.arange(4)])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 5, 12), (2, 5, 1, 6, 8), (5, 3, 6, 8)])
def test_windows_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"wanted \(B, L, 3, H, W\) with L >= 1"):
        MeanOfConvolutions()(torch.zeros(shape))


def test_a_method_may_take_one_size_only():
    assert OfOneSize()(torch.zeros(1, 2, 3, 6, 8)).shape == (1, 4)
    with pytest.raises(ValueError, match=r"wanted \(B, L, 3, 6, 8\)"):
        OfOneSize()(torch.zeros(1, 2, 3, 6, 9))
    with pytest.raises(ValueError, match=r"wanted \(N, 3, 6, 8\) with 1 <= L <= N"):
        OfOneSize().encode_traverse(torch.zeros(4, 3, 9, 9), torch.tensor([0]), 2)


def test_lengths_are_checked(frames):
    with pytest.raises(ValueError, match="L >= 3"):
        MeanOfConvolutions(min_length=3)(frames[None, :2])
    with pytest.raises(ValueError, match="3 <= L <= N"):
        MeanOfConvolutions(min_length=3).encode_traverse(frames, torch.tensor([0]), 2)


def test_each_frame_of_a_traverse_is_described_once(frames, monkeypatch):
    monkeypatch.setattr(base, "IMAGES_AT_ONCE", 9)
    encoder, whole = InTwoSteps(), MeanOfConvolutions()
    encoder.load_state_dict(whole.state_dict())
    starts = torch.arange(26)
    with torch.no_grad():
        found = encoder.encode_traverse(frames, starts, 4)
        assert encoder.described == [9, 9, 9, 3]  # 30 frames, not 4 in each of 26 windows
        torch.testing.assert_close(found, whole.encode_traverse(frames, starts, 4), rtol=0, atol=1e-6)
        torch.testing.assert_close(found[2:3], encoder(frames[None, 2:6]), rtol=0, atol=1e-6)


def test_described_frames_are_joined_as_windows(frames):
    encoder = InTwoSteps()
    with torch.no_grad():
        described, starts = encoder.describe_frames(frames), torch.tensor([4, 0])
        joined = encoder.join_traverse(described, starts, 5)
        torch.testing.assert_close(joined, encoder(frames[starts[:, None] + torch.arange(5)]), rtol=0, atol=1e-6)


def test_a_first_step_that_is_left_out_gives_the_frames(frames):
    encoder = MeanOfConvolutions()
    assert not encoder.describes_frames
    assert encoder.describe_frames(frames) is frames
