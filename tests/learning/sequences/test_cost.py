"""What training on images takes: counted as by hand, said before it starts, refused where it cannot be."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from opticornet.datasets.traverse import Traverse
from opticornet.datasets.windows import Windows
from opticornet.inference.described import DescribedFrames
from opticornet.learning.sequences import cost
from opticornet.learning.sequences.cost import Cost, WindowCost, cost_notes
from opticornet.learning.sequences.sides import Side
from opticornet.models.images.base import Preprocess
from opticornet.models.sequences.base import ImageSequenceEncoder

FRAMES, LENGTH, PIXELS = 20, 3, 3 * 4 * 5
OF_IMAGES = 4 * PIXELS  # a frame, remembered for the gradient of the first product
OF_TOKENS = 4 * LENGTH * 7  # the frames of a window, remembered for that of the second


class Products(ImageSequenceEncoder):
    """A product of each image, to 7 numbers, and one of all those of a window, to 2."""

    describes_frames = True

    def __init__(self) -> None:
        super().__init__(Preprocess((4, 5)), 2)
        self.frame, self.window = nn.Linear(PIXELS, 7), nn.Linear(7 * LENGTH, 2)

    def describe_frames(self, frames: Tensor) -> Tensor:
        return self.frame(frames.flatten(1))

    def join(self, described: Tensor) -> Tensor:
        return self.window(described.flatten(1))


class Images:
    """A ``FrameSource`` of a size, that is never read."""

    block, frame_shape = 4, (3, 4, 5)

    def __len__(self) -> int:
        return FRAMES


@pytest.fixture
def side() -> Side:
    """One drive."""
    rows, bounds = np.zeros((FRAMES, 1), np.float32), np.tile([0, FRAMES], (FRAMES, 1))
    traverse = Traverse("day", rows, np.arange(float(FRAMES))[:, None], "frames", bounds)
    return Side(Windows.of(traverse, LENGTH, 0), Images())


def notes_of(side: Side, memory: int, monkeypatch, *, amp: bool = False) -> list[str]:
    """Of steps of two anchors and three references."""
    monkeypatch.setattr(cost, "memory_of", lambda device: memory)
    source = SimpleNamespace(most_windows=lambda: (2, 3))
    return cost_notes(Products(), source, side, side, amp=amp, device=torch.device("cpu"))


def test_a_window_costs_its_products_and_what_these_remember():
    found = WindowCost.of(Products(), (3, 4, 5), LENGTH, described=False)
    assert found.frame == Cost(2 * PIXELS * 7, OF_IMAGES)
    assert found.window == Cost(2 * 7 * LENGTH * 2, OF_TOKENS)
    assert found.operations == LENGTH * 2 * PIXELS * 7 + 2 * 7 * LENGTH * 2
    assert found.gradient_bytes(2, 5) == 2 * OF_TOKENS + 5 * OF_IMAGES


def test_frames_that_are_described_without_gradients_remember_nothing():
    assert WindowCost.of(Products(), (3, 4, 5), LENGTH, described=True).gradient_bytes(0, 5) == 0


def test_checkpointing_remembers_less_of_sta(tiny_sta):
    encoder = tiny_sta()
    plain = WindowCost.of(encoder, (3, 16, 24), LENGTH, described=False)
    for stack in encoder.parts.stacks:
        stack.checkpointing = True
    less = WindowCost.of(encoder, (3, 16, 24), LENGTH, described=False)
    assert less.operations == plain.operations > 0
    assert less.window.gradient_bytes < plain.window.gradient_bytes / 2
    assert less.frame.gradient_bytes < plain.frame.gradient_bytes


def test_weights_are_neither_moved_nor_changed(tiny_sta):
    encoder = tiny_sta().eval()
    WindowCost.of(encoder, (3, 16, 24), LENGTH, described=False)
    assert not encoder.training
    assert all(
        torch.equal(one, other) for one, other in zip(encoder.parameters(), tiny_sta().parameters(), strict=True)
    )


def test_a_line_says_what_a_step_takes_and_a_second_warns(side, monkeypatch):
    most = 5 * OF_TOKENS + (2 + 3) * LENGTH * OF_IMAGES
    (line,) = notes_of(side, most, monkeypatch)
    assert "at most 2 + 3 windows" in line
    _, warning = notes_of(side, most - 1, monkeypatch)
    assert warning.startswith("warning: that may be more than")
    assert len(notes_of(side, most - 1, monkeypatch, amp=True)) == 1


def test_a_batch_of_anchors_that_memory_cannot_hold_is_one_line(side, monkeypatch):
    least = 2 * OF_TOKENS + 2 * LENGTH * OF_IMAGES
    assert notes_of(side, least, monkeypatch)
    with pytest.raises(cost.UserError, match="`batch_size` 2: the windows of so many anchors alone need"):
        notes_of(side, least - 1, monkeypatch)


def test_of_frames_described_once_the_images_are_what_is_described(side, monkeypatch):
    kept = Side(side.windows, DescribedFrames(side.frames, Products()))
    assert len(notes_of(kept, 5 * OF_TOKENS, monkeypatch)) == 1


def test_of_an_encoder_whose_work_depends_on_values_nothing_is_said(side, monkeypatch):
    monkeypatch.setattr(Products, "join", lambda self, described: described[: int(described.sum())])
    assert notes_of(side, 10**9, monkeypatch) == []
