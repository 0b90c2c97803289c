"""OptiCorNet's encoder: its parts by hand, its size, what initialising gives, and how it degrades."""

import pytest
import torch
from torch import nn
from torch.nn.functional import linear, normalize

from opticornet.models.sequences.dsdnet import DSDNet


def windows(length: int, batch: int = 4, dims: int = 6) -> torch.Tensor:
    return torch.randn(batch, length, dims, generator=torch.Generator().manual_seed(length))


def encoder(**parts) -> DSDNet:
    torch.manual_seed(0)
    built = DSDNet(6, 16, 3, **parts)
    if built.proj is not None:
        nn.init.normal_(built.proj.weight)  # it may start at zero, where an LSTM could be wrong unseen
    return built


def steps_of(net: DSDNet, x: torch.Tensor) -> torch.Tensor:
    return net.conv(x.transpose(1, 2)).transpose(1, 2)  # (B, T, C)


@pytest.mark.parametrize("length", [5, 6, 9, 10])
def test_every_part_equals_the_plain_formula(length):
    net, x = encoder(), windows(length)
    y = steps_of(net, x)
    lag = y.shape[1] // 2
    d = torch.stack([y[:, t + lag] - y[:, t] for t in range(y.shape[1] - lag)], dim=1)
    lstm = nn.LSTM(16, net.lstm.hidden_size, batch_first=True)
    lstm.load_state_dict({f"{name}_l0": value for name, value in net.lstm.state_dict().items()})
    dsd = (d + net.proj(lstm(d)[0])).mean(1)
    expected = normalize(torch.cat([y.mean(1), dsd], dim=1), dim=1)
    torch.testing.assert_close(net(x), expected)


def test_the_lstm_sees_a_sequence():
    net = encoder()
    d = torch.randn(2, 3, 16)
    forwards, backwards = net.refine(net.gates(d)), net.refine(net.gates(d.flip(1)))
    assert (forwards - backwards).abs().max() > 1e-3


@pytest.mark.parametrize("lstm", [True, False])
@pytest.mark.parametrize("length", [4, 5, 6, 7, 10])
def test_a_constant_added_to_every_frame_leaves_the_dsd_output(length, lstm):
    net, x = encoder(lstm=lstm), windows(length)
    offset = torch.randn(6, generator=torch.Generator().manual_seed(9))
    plain, shifted = net(x), net(x + offset)
    assert (plain[:, :16] - shifted[:, :16]).abs().max() > 0.1  # the embedding sees it
    dsd = [normalize(encoding[:, 16:], dim=1) for encoding in (plain, shifted)]  # both halves share one length
    torch.testing.assert_close(*dsd, rtol=0, atol=1e-5)


def test_even_steps_difference_is_half_minus_half():
    net = encoder(lstm=False)
    y = steps_of(net, windows(6))  # T = 4
    dsd = y[:, 2:].mean(1) - y[:, :2].mean(1)
    torch.testing.assert_close(net(windows(6)), normalize(torch.cat([y.mean(1), dsd], dim=1), dim=1))


def test_parts_can_be_left_out():
    x = windows(5)
    y = steps_of(encoder(), x)
    torch.testing.assert_close(encoder(delta=False)(x), normalize(y.mean(1), dim=1))
    plain = encoder(lstm=False)
    torch.testing.assert_close(encoder(residual=False)(x)[:, :16].norm(dim=1) > 0, torch.ones(4, dtype=torch.bool))
    summed = encoder(lstm=False, fusion="sum")(x)
    embedding, dsd = y.mean(1), (y[:, 1:] - y[:, :-1]).mean(1)
    torch.testing.assert_close(summed, normalize(embedding + dsd, dim=1))
    assert plain.lstm is None
    assert encoder(delta=False).lstm is None


def test_without_the_residual_only_the_lstm_is_left():
    net, x = encoder(residual=False), windows(5)
    nn.init.zeros_(net.proj.weight)
    assert not net(x)[:, 16:].any()


@pytest.mark.parametrize(("length", "dims"), [(3, 16), (4, 32), (10, 32)])
def test_encoding_dimensions(length, dims):
    net = encoder()
    assert net(windows(length)).shape[1] == net.encoding_dims(length) == dims
    assert encoder(fusion="sum").encoding_dims(length) == 16


def test_one_frame_is_encoded_by_a_linear_map():
    torch.manual_seed(0)
    net, x = DSDNet(6, 16, 1), windows(1)
    expected = normalize(linear(x[:, 0], net.conv.weight[:, :, 0], net.conv.bias), dim=1)
    torch.testing.assert_close(net(x), expected)


@pytest.mark.parametrize("parts", [{}, {"fusion": "sum"}, {"residual": False}, {"lstm": False}, {"delta": False}])
@pytest.mark.parametrize("length", [3, 4, 5, 8])
def test_a_traverse_encodes_as_its_windows(parts, length):
    net, frames = encoder(**parts), windows(30, batch=1)[0]
    starts = torch.tensor([0, 0, 1, 7, 30 - length])
    with torch.no_grad():
        direct = net(frames[starts[:, None] + torch.arange(length)])
        torch.testing.assert_close(net.encode_traverse(frames, starts, length), direct, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("in_dims", "out_dims", "w"),
    [(64, 64, 3), (64, 192, 3), (64, 64, 1), (4096, 4096, 5), (4096, 8192, 3), (4096, 8192, 1)],
)
def test_the_lstm_is_smaller_than_the_convolution(in_dims, out_dims, w):
    with torch.device("meta"):
        net = DSDNet(in_dims, out_dims, w)
    size = sum(p.numel() for part in (net.lstm, net.proj) for p in part.parameters())
    assert size < net.conv.weight.numel()


def test_every_weight_gets_a_gradient():
    net = encoder()
    net(windows(5))[:, 0].sum().backward()
    missing = [name for name, p in net.named_parameters() if p.grad is None]
    assert not missing
    net.zero_grad()
    net(windows(5))[:, -1].sum().backward()
    assert all(p.grad.any() for p in net.parameters())


def test_unknown_fusion_is_refused():
    with pytest.raises(ValueError, match="fusion 'product'"):
        DSDNet(4, 4, 3, fusion="product")
