"""SeqNet against the convolution it abbreviates and the original's descriptors."""

import numpy as np
import pytest
import torch
from torch.nn.functional import conv1d, normalize

from opticornet.models.sequences.seqnet import SeqNet


@pytest.mark.parametrize(("length", "w"), [(5, 3), (10, 5), (4, 4), (1, 1)])
def test_equals_the_mean_of_a_convolution(length, w):
    torch.manual_seed(0)
    encoder, windows = SeqNet(6, 8, w), torch.randn(3, length, 6)
    steps = conv1d(windows.transpose(1, 2), encoder.conv.weight, encoder.conv.bias)  # (B, O, T)
    torch.testing.assert_close(encoder(windows), normalize(steps.mean(2), dim=1))


def test_gradients_equal_those_of_the_mean_of_a_convolution():
    torch.manual_seed(0)
    encoder, windows, direction = SeqNet(6, 8, 3), torch.randn(3, 5, 6), torch.randn(3, 8)
    steps = conv1d(windows.transpose(1, 2), encoder.conv.weight, encoder.conv.bias)
    expected = torch.autograd.grad((normalize(steps.mean(2), dim=1) * direction).sum(), encoder.conv.weight)
    found = torch.autograd.grad((encoder(windows) * direction).sum(), encoder.conv.weight)
    torch.testing.assert_close(found, expected)


def test_state_dict_has_the_names_of_the_original():
    shapes = {name: tuple(value.shape) for name, value in SeqNet(6, 8, 3).state_dict().items()}
    assert shapes == {"pool.0.conv.weight": (8, 6, 3), "pool.0.conv.bias": (8,)}


@pytest.mark.parametrize(("case", "length", "w", "out_dims"), [("seqnet_s5", 5, 3, 16), ("seqnet_s1", 1, 1, 24)])
def test_descriptors_of_the_original(shared, case, length, w, out_dims):
    golden = np.load(shared / "golden" / "seqnet" / "plain.npz", allow_pickle=False)
    encoder = SeqNet(24, out_dims, w)
    prefix = f"weights_{case}/"
    names = [name for name in golden.files if name.startswith(prefix)]
    encoder.load_state_dict({name.removeprefix(prefix): torch.from_numpy(golden[name]) for name in names})
    found = []
    for traverse in ("dbDesc", "qDesc"):
        frames = torch.from_numpy(golden[traverse])
        starts = (torch.arange(len(frames)) - length // 2).clamp(0, len(frames) - length)
        with torch.no_grad():
            found += [encoder.encode_traverse(frames, starts, length)]
            direct = encoder(frames[starts[:, None] + torch.arange(length)])
        torch.testing.assert_close(found[-1], direct, rtol=0, atol=1e-6)
    torch.testing.assert_close(torch.cat(found), torch.from_numpy(golden[f"{case}/desc"]), rtol=0, atol=1e-5)
