"""The released temporal difference module, number for number."""

import numpy as np
import pytest
import torch

from opticornet.models.sequences.delta_lstm import DeltaLSTM


@pytest.mark.parametrize(
    ("case", "length", "out_dims", "layers", "residual"),
    [
        ("L5_same", 5, 16, 1, True),
        ("L6_proj", 6, 12, 1, True),
        ("L4_nores", 4, 12, 1, False),
        ("L5_two", 5, 20, 2, True),
    ],
)
def test_outputs_of_the_original(shared, case, length, out_dims, layers, residual):
    golden = np.load(shared / "golden" / "opticornet" / "delta.npz", allow_pickle=False)
    prefix = f"{case}/sd/"
    weights = {
        name.removeprefix(prefix): torch.from_numpy(golden[name]) for name in golden.files if name.startswith(prefix)
    }
    encoder = DeltaLSTM(16, out_dims, length, layers=layers, residual=residual)
    torch.testing.assert_close(encoder.weight, weights["weight"])  # the fixed weights are the released ones
    encoder.load_state_dict(weights)
    windows = torch.from_numpy(golden[f"{case}/in_x"])
    with torch.no_grad():
        before = encoder.refine(torch.einsum("bld,l->bd", windows, encoder.weight))
        after = encoder(windows)
    torch.testing.assert_close(before, torch.from_numpy(golden[f"{case}/out_y"]), rtol=0, atol=1e-5)
    torch.testing.assert_close(after, torch.from_numpy(golden[f"{case}/out_l2"]), rtol=0, atol=1e-5)


def test_the_differencing_is_not_trained():
    assert "weight" not in dict(DeltaLSTM(4, 4, 6).named_parameters())
