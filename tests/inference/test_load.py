"""Trained encoders loaded again: whatever they hold beside their weights is there."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from opticornet.inference.load import build_encoder, load_encoder
from opticornet.inference.runs import write_flags
from opticornet.models.images.base import Preprocess
from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.models.sequences.base import ImageSequenceEncoder, SequenceEncoder, SequenceEncoderOptions
from opticornet.utils.checkpoints import BEST, save_checkpoint
from opticornet.utils.errors import UserError
from opticornet.utils.registry import entry


class Bell(SequenceEncoder):
    """Frames weighted by a bell that no state dict holds: a buffer, and a plain tensor."""

    def __init__(self, in_dims: int, length: int) -> None:
        super().__init__(in_dims, in_dims)
        self.map = nn.Linear(in_dims, in_dims)
        self.register_buffer("bell", torch.linspace(-1, 1, length).square().neg().exp(), persistent=False)
        self.plain = torch.full((1,), 0.5)

    def forward(self, windows: Tensor) -> Tensor:
        return normalize(self.map(torch.einsum("bld,l->bd", windows, self.bell)) + self.plain, dim=1)


@dataclass(frozen=True, kw_only=True)
class BellOptions(SequenceEncoderOptions):
    """``bell``."""

    def build(self, in_dims: int, length: int) -> Bell:
        return Bell(in_dims, length)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """An encoder, its run and its options."""
    monkeypatch.setitem(SEQUENCE_ENCODERS, "bell", BellOptions)
    method = entry(SEQUENCE_ENCODERS, "bell")()
    encoder = method.build(6, 5).eval()
    (tmp_path / "checkpoints").mkdir()
    save_checkpoint({"state_dict": encoder.state_dict(), "in_dims": 6, "epoch": 1}, tmp_path / "checkpoints" / BEST)
    write_flags(tmp_path, {"dataset": "route"})
    return encoder, tmp_path, method


def test_what_the_state_dict_leaves_out_is_there(trained):
    encoder, run, method = trained
    loaded = load_encoder(method, "bell", 6, 5, run=run).encoder
    windows = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(0))
    assert "bell" not in encoder.state_dict()
    assert torch.equal(loaded(windows), encoder(windows))
    assert not loaded.training


class Colour(ImageSequenceEncoder):
    """The mean colour of a window's images."""

    def __init__(self) -> None:
        super().__init__(Preprocess(size=(4, 4)), out_dims=3)

    def join(self, described: Tensor) -> Tensor:
        return normalize(described.mean((1, 3, 4)), dim=1)


@dataclass(frozen=True, kw_only=True)
class ColourOfDescriptors(SequenceEncoderOptions):
    """Forgets to say that its encoder takes images."""

    def build(self, in_dims: int, length: int) -> Colour:
        return Colour()


@dataclass(frozen=True, kw_only=True)
class BellOfImages(BellOptions):
    """Says that it takes images, which its encoder does not."""

    takes: ClassVar[Literal["descriptors", "images"]] = "images"


def test_options_and_encoder_must_take_the_same():
    with pytest.raises(
        UserError, match=r"x: takes is 'descriptors' of ColourOfDescriptors and 'images' of its .* Colour"
    ):
        build_encoder(ColourOfDescriptors(), "x", 6, 5)
    with pytest.raises(UserError, match=r"x: takes is 'images' of BellOfImages and 'descriptors' of its encoder Bell"):
        build_encoder(BellOfImages(), "x", 6, 5)
    with pytest.raises(
        UserError, match=r"x: takes is 'images' of BellOfImages, .* derive it from ImageSequenceEncoder"
    ):
        build_encoder(BellOfImages(), "x", 0, 5)
