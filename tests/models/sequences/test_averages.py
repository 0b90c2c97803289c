"""The parameter-free encoders against values worked out by hand and the original's."""

import numpy as np
import pytest
import torch

from opticornet.models.sequences.averages import Delta, Single, Smooth, delta_weights

WINDOW = torch.tensor([[[3.0, 0.0], [0.0, 4.0], [0.0, 1.0]]])  # (1, 3, 2)


def test_smooth_is_the_direction_of_the_mean():
    torch.testing.assert_close(Smooth(2)(WINDOW), torch.tensor([[3.0, 5.0]]) / 34**0.5)


def test_single_is_the_centre_frame():
    torch.testing.assert_close(Single(2)(WINDOW), torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(Single(2)(WINDOW[:, :1]), torch.tensor([[1.0, 0.0]]))


def test_delta_is_later_minus_earlier():
    # weights -2/3, 2/3, 2/3: (-2, 10/3) before the norm
    torch.testing.assert_close(Delta(2)(WINDOW), torch.tensor([[-3.0, 5.0]]) / 34**0.5)


def test_delta_weights_balance_for_even_lengths_only():
    torch.testing.assert_close(delta_weights(4), torch.tensor([-0.5, -0.5, 0.5, 0.5]))
    assert delta_weights(5).sum().item() == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("case", "encoder", "length"),
    [
        ("single", Single, 1),
        ("smooth5", Smooth, 5),
        ("smooth4", Smooth, 4),
        ("delta5", Delta, 5),
        ("delta6", Delta, 6),
    ],
)
def test_descriptors_of_the_original(shared, case, encoder, length):
    golden = np.load(shared / "golden" / "seqnet" / "plain.npz", allow_pickle=False)
    expected = torch.from_numpy(golden[f"{case}/desc"])
    found = torch.cat([encode(encoder(24), golden[name], length) for name in ("dbDesc", "qDesc")])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def encode(encoder, frames: np.ndarray, length: int) -> torch.Tensor:
    """Each frame's centred window, shifted back inside the traverse."""
    starts = (torch.arange(len(frames)) - length // 2).clamp(0, len(frames) - length)
    return encoder.encode_traverse(torch.from_numpy(frames), starts, length)
