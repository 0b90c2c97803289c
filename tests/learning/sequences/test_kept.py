"""Described frames that are kept: each described once, in memory or on the disk, the same numbers in any order."""

import errno
import os

import numpy as np
import pytest
import torch
from torch import Tensor

from opticornet.inference.encode import encode
from opticornet.learning.kept_rows import TOGETHER
from opticornet.learning.sequences.kept import KeptFrames
from opticornet.models.sequences.sta.encoder import STA
from opticornet.utils.errors import UserError

COUNT = 2 * TOGETHER + 3


class Images:
    """A ``FrameSource`` in memory."""

    block, frame_shape = 4, (3, 16, 24)

    def __init__(self) -> None:
        self.images = torch.randn(COUNT, *self.frame_shape, generator=torch.Generator().manual_seed(3))

    def __len__(self) -> int:
        return COUNT

    def rows(self, start: int, stop: int) -> Tensor:
        return self.images[start:stop]

    def windows(self, starts: Tensor, length: int) -> Tensor:
        return self.images[starts[:, None] + torch.arange(length)]

    def around(self, starts: np.ndarray, length: int) -> tuple[Tensor, Tensor]:
        return self.images, torch.from_numpy(starts)


@pytest.fixture
def encoder(tiny_sta) -> STA:
    return tiny_sta().eval()


@pytest.fixture
def counts(encoder, monkeypatch) -> list[int]:
    """How many frames the encoder described, each time."""
    describe, found = encoder.describe_frames, []
    monkeypatch.setattr(encoder, "describe_frames", lambda frames: found.append(len(frames)) or describe(frames))
    return found


@pytest.mark.parametrize("memory", [10**6, 0])
def test_frames_are_described_once_in_batches_that_are_always_the_same(encoder, counts, memory):
    images = Images()
    kept = KeptFrames(images, encoder, memory=memory)
    expected = torch.cat([encoder.describe_frames(part) for part in images.images.split(TOGETHER)]).detach()
    assert kept.frame_shape == expected.shape[1:]
    counts.clear()
    assert torch.equal(kept.rows(1, 3), expected[1:3])
    assert counts == [TOGETHER]
    assert torch.equal(kept.windows(torch.tensor([16, 0, 15]), 3)[0], expected[16:19])
    assert torch.equal(kept.rows(0, COUNT), expected)
    assert counts == [TOGETHER, TOGETHER, 3]


def test_of_windows_of_kept_frames_the_vectors_are_those_of_the_images(encoder):
    images, starts = Images(), np.array([3, 0, 7, 7, 16])
    found = encode(encoder, KeptFrames(images, encoder, memory=0), starts, 3)
    torch.testing.assert_close(found, encode(encoder, images, starts, 3), rtol=0, atol=1e-6)


def test_what_is_on_the_disk_has_no_name_there(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    KeptFrames(Images(), encoder, memory=0).rows(0, COUNT)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_one_line(encoder, monkeypatch):
    def full(*_) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(
        UserError, match=r"`freeze_spatial`: 19 described frames take 0\.0 GiB, which .* cannot hold \(No sp"
    ):
        KeptFrames(Images(), encoder, memory=0).rows(0, 1)
    KeptFrames(Images(), encoder, memory=10**6).rows(0, 1)  # what memory holds needs none


def test_described_frames_take_gradients_of_what_joins_them(encoder):
    encoder.freeze(encoder.parts.of_frames)
    described = KeptFrames(Images(), encoder).windows(torch.tensor([0, 5]), 3)
    encoder.train()
    encoder.join(described).sum().backward()
    assert encoder.encoder.temporal.blocks[0].linear1.weight.grad is not None
    assert encoder.encoder.spatial.tokenizer.conv_layers[0][0].weight.grad is None
