"""Trained encoders loaded again: whatever they hold beside their weights is there."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from opticornet.inference.load import load_encoder
from opticornet.inference.runs import write_flags
from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.models.sequences.base import SequenceEncoder, SequenceEncoderOptions
from opticornet.utils.checkpoints import BEST, save_checkpoint
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
