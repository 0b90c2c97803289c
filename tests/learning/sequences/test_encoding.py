"""The windows of a batch: of images, as if each window were encoded alone, but each frame read and described once."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from opticornet.datasets.traverse import Traverse
from opticornet.datasets.windows import Windows
from opticornet.inference.described import DescribedFrames
from opticornet.learning.sequences.encoding import BatchEncoder
from opticornet.learning.sequences.sides import Side
from opticornet.models.images.base import Preprocess
from opticornet.models.sequences.base import ImageSequenceEncoder

LENGTH = 3


class TwoSteps(ImageSequenceEncoder):
    """A convolution of each image; a mean over the window, weighted by the frame's place in it."""

    describes_frames = True

    def __init__(self) -> None:
        super().__init__(Preprocess(None), 4)
        self.conv, self.weights = nn.Conv2d(3, 4, 3), nn.Parameter(torch.arange(1.0, 1 + LENGTH))
        self.described: list[int] = []

    def describe_frames(self, frames: Tensor) -> Tensor:
        self.described.append(len(frames))
        return self.conv(frames).relu().mean((2, 3))

    def join(self, described: Tensor) -> Tensor:
        return normalize((described * self.weights[:, None]).sum(1), dim=1)


class Images:
    """A ``FrameSource`` in memory that counts what is read."""

    block, frame_shape = 4, (3, 6, 5)

    def __init__(self, seed: int) -> None:
        self.images = torch.randn(20, *self.frame_shape, generator=torch.Generator().manual_seed(seed))
        self.read = 0

    def __len__(self) -> int:
        return 20

    def rows(self, start: int, stop: int) -> Tensor:
        return self.images[start:stop]

    def windows(self, starts: Tensor, length: int) -> Tensor:
        self.read += length * len(starts)
        return self.images[starts[:, None] + torch.arange(length)]

    def around(self, starts: np.ndarray, length: int) -> tuple[Tensor, Tensor]:
        return self.images, torch.from_numpy(starts)


def side(seed: int) -> Side:
    rows, bounds = np.zeros((20, 1), np.float32), np.tile([0, 20], (20, 1))
    traverse = Traverse("drive", rows, np.arange(20.0)[:, None], "frames", bounds)
    return Side(Windows.of(traverse, LENGTH, 0), Images(seed))


ANCHORS, REFERENCES = torch.tensor([8, 3, 4, 9]), torch.tensor([5, 6, 12])
DISTINCT = 4 + 4 + 4 + 3  # frames 7 to 10 and 2 to 5; 4 to 7 and 11 to 13


@pytest.fixture
def encoder() -> TwoSteps:
    torch.manual_seed(0)
    return TwoSteps()


def plain(encoder: ImageSequenceEncoder, query: Side, reference: Side) -> Tensor:
    return encoder(torch.cat([query.gather(ANCHORS), reference.gather(REFERENCES)]))


def gradients(encoder: nn.Module, vectors: Tensor) -> list[Tensor]:
    weights = torch.linspace(-1, 1, vectors.numel()).view_as(vectors)
    return list(torch.autograd.grad((vectors * weights).sum(), list(encoder.parameters())))


def test_vectors_and_gradients_are_those_of_the_windows_alone(encoder):
    query, reference = side(0), side(1)
    expected = plain(encoder, query, reference)
    query.frames.read = reference.frames.read = 0
    encoder.described.clear()
    vectors = BatchEncoder(encoder, query, reference)(ANCHORS, REFERENCES)
    assert encoder.described == [DISTINCT]
    assert query.frames.read + reference.frames.read == DISTINCT
    torch.testing.assert_close(vectors, expected, rtol=0, atol=1e-6)
    for one, other in zip(gradients(encoder, vectors), gradients(encoder, expected), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
        assert other.any()


def test_augmented_anchors_share_no_frames(encoder):
    class Brighter:
        def windows(self, rows: Tensor) -> Tensor:
            return query.gather(rows) + rows[:, None, None, None, None]

    query, reference = side(0), side(1)
    vectors = BatchEncoder(encoder, query, reference, Brighter())(ANCHORS, REFERENCES)
    expected = encoder(torch.cat([Brighter().windows(ANCHORS), reference.gather(REFERENCES)]))
    torch.testing.assert_close(vectors, expected, rtol=0, atol=1e-6)


def test_frames_that_are_described_already_are_joined_only(encoder):
    query, reference = side(0), side(1)
    expected = plain(encoder, query, reference)
    for one in (query, reference):
        one.frames = DescribedFrames(one.frames, encoder)
        one.frames.rows(0, 20)
    encoder.described.clear()
    vectors = BatchEncoder(encoder, query, reference)(ANCHORS, REFERENCES)
    assert encoder.described == []
    torch.testing.assert_close(vectors, expected, rtol=0, atol=1e-6)
    of_weights = torch.autograd.grad(vectors[0, 0], encoder.weights, retain_graph=True)[0]
    assert of_weights.any()
    assert torch.autograd.grad(vectors[0, 0], encoder.conv.weight, allow_unused=True) == (None,)
