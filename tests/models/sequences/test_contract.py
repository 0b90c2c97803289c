"""The contract every sequence encoder keeps, and the helpers they share."""

import pytest
import torch

from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.models.sequences.base import SequenceEncoder, moving_mean
from opticornet.models.sequences.delta_lstm import DeltaLSTM
from opticornet.utils.options import option_fields
from opticornet.utils.registry import entry

D, LENGTH = 12, 7
OF_DESCRIPTORS = [name for name in SEQUENCE_ENCODERS if entry(SEQUENCE_ENCODERS, name).takes == "descriptors"]


def build(name: str) -> SequenceEncoder:
    torch.manual_seed(0)
    kind = entry(SEQUENCE_ENCODERS, name)
    options = {"out_dims": 9, "w": 3}
    return kind(**{key: options[key] for key in options if key in option_fields(kind)}).build(D, LENGTH).eval()


@pytest.fixture
def frames():
    return torch.nn.functional.normalize(torch.randn(40, D, generator=torch.Generator().manual_seed(1)), dim=1)


@pytest.mark.parametrize("name", OF_DESCRIPTORS)
def test_rows_have_unit_length(name, frames):
    encoded = build(name)(frames.unfold(0, LENGTH, 1).transpose(1, 2))
    torch.testing.assert_close(encoded.norm(dim=1), torch.ones(len(frames) - LENGTH + 1))


@pytest.mark.parametrize("name", OF_DESCRIPTORS)
@pytest.mark.parametrize("starts", [[0, 0, 0, 1, 2, 17, 33, 33], [5], []])
def test_a_traverse_encodes_as_its_windows(name, starts, frames):
    encoder, starts = build(name), torch.tensor(starts, dtype=torch.int64)
    windows = frames[starts[:, None] + torch.arange(LENGTH)]
    with torch.no_grad():
        expected, found = encoder(windows), encoder.encode_traverse(frames, starts, LENGTH)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", OF_DESCRIPTORS)
@pytest.mark.parametrize("shape", [(2, LENGTH), (2, LENGTH, D + 1)])
def test_windows_of_another_shape_are_refused(name, shape):
    with pytest.raises(ValueError, match=r"wanted \(B, L, 12\)"):
        build(name)(torch.zeros(shape))


@pytest.mark.parametrize("name", ["seqnet", "dsdnet", "delta", "delta-lstm"])
def test_a_window_below_the_minimum_is_refused(name):
    encoder = build(name)
    with pytest.raises(ValueError, match=f"L >= {encoder.min_length}"):
        encoder(torch.zeros(2, encoder.min_length - 1, D))


@pytest.mark.parametrize("name", [name for name in OF_DESCRIPTORS if name != "delta-lstm"])
def test_a_traverse_shorter_than_its_windows_is_refused(name):
    with pytest.raises(ValueError, match="L <= N"):
        build(name).encode_traverse(torch.zeros(4, D), torch.tensor([0]), 5)


@pytest.mark.parametrize("name", ["single", "smooth", "delta", "seqnet", "dsdnet"])
@pytest.mark.parametrize("length", [3, 4, 5, 10])
def test_weights_do_not_depend_on_the_length(name, length, frames):
    encoded = build(name)(frames[None, :length])
    assert encoded.isfinite().all()
    assert encoded.norm().item() == pytest.approx(1)


def test_delta_lstm_takes_its_own_length_only():
    with pytest.raises(ValueError, match="these weights are for 5"):
        DeltaLSTM(D, D, 5)(torch.zeros(1, 6, D))


def test_moving_mean_by_hand():
    rows = torch.tensor([[0.0], [3.0], [6.0], [0.0]])
    torch.testing.assert_close(moving_mean(rows, 3), torch.tensor([[3.0], [3.0]]))
    torch.testing.assert_close(moving_mean(rows, 1), rows)


def test_moving_mean_keeps_its_precision_over_a_long_traverse():
    rows = torch.rand(50_000, 1, generator=torch.Generator().manual_seed(0)) + 100
    exact = rows.double().unfold(0, 5, 1).mean(2)
    assert (moving_mean(rows, 5) - exact).abs().max() < 2e-5
