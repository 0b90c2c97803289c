"""OptiCorNet's encoder: its parts by hand, its size, what initialising gives, and how it degrades."""

import pytest
import torch
from torch import nn
from torch.nn.functional import linear, normalize

from opticornet.models.sequences.dsdnet import DSDNet, DSDNetOptions
from opticornet.models.sequences.place_pairs import PlacePairs
from opticornet.models.sequences.temporal_noise import CAUTION, Persistence


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


def differences_of(net: DSDNet, x: torch.Tensor) -> torch.Tensor:
    steps = steps_of(net, x)
    return net.differencing.matrix(steps.shape[1]) @ steps


@pytest.mark.parametrize("length", [4, 5, 6, 9, 10])
def test_every_part_equals_the_plain_formula(length):
    net, x = encoder(), windows(length)
    d = differences_of(net, x)
    lstm = nn.LSTM(16, net.lstm.hidden_size, batch_first=True)
    lstm.load_state_dict({f"{name}_l0": value for name, value in net.lstm.state_dict().items()})
    later = d[:, 1:] + net.proj(lstm(d[:, 1:])[0])
    expected = normalize(torch.cat([d[:, :1], later], dim=1).flatten(1), dim=1)
    torch.testing.assert_close(net(x), expected)


def test_the_lstm_sees_a_sequence():
    net = encoder()
    differences, gates = torch.zeros(4, 2, 16), torch.randn(4, 2, 4 * net.lstm.hidden_size)
    last = [net.refine(differences, torch.cat([gates[:1], later]))[-1] for later in (gates[1:], gates[1:].flip(0))]
    assert (last[0] - last[1]).abs().max() > 1e-3


def test_what_lasts_is_taken_out_of_later_steps():
    net = encoder(lstm=False)
    net.differencing.start(Persistence(0.999, 0.999))  # what changes stays
    x = windows(8)
    offset = torch.randn(6, generator=torch.Generator().manual_seed(9))
    plain, shifted = (differences_of(net, frames) for frames in (x, x + offset))
    assert (plain - shifted)[:, 0].abs().max() > 0.1
    assert (plain - shifted)[:, 1:].abs().max() < 0.1 * (plain - shifted)[:, 0].abs().max()


def test_parts_can_be_left_out():
    x = windows(5)
    y, d = steps_of(encoder(), x), differences_of(encoder(), x)
    torch.testing.assert_close(encoder(delta=False)(x), normalize(y.flatten(1), dim=1))
    torch.testing.assert_close(encoder(lstm=False)(x), normalize(d.flatten(1), dim=1))
    torch.testing.assert_close(encoder(lstm=False, fusion="sum")(x), normalize(d.sum(1), dim=1))
    assert encoder(lstm=False).lstm is None
    assert encoder(delta=False).lstm is None
    assert encoder(delta=False).differencing is None


def test_without_the_residual_later_steps_hold_the_lstm_alone():
    net, x = encoder(residual=False), windows(5)
    nn.init.zeros_(net.proj.weight)
    assert net(x)[:, :16].any()
    assert not net(x)[:, 16:].any()


@pytest.mark.parametrize(("length", "dims"), [(3, 16), (4, 32), (10, 128)])
def test_encoding_dimensions(length, dims):
    net = encoder()
    assert net(windows(length)).shape[1] == net.encoding_dims(length) == dims
    assert encoder(fusion="sum").encoding_dims(length) == 16


def test_weights_do_not_depend_on_the_length_of_windows():
    def shapes(length: int) -> dict:
        return {name: value.shape for name, value in DSDNetOptions().build(6, length).state_dict().items()}

    assert shapes(2) == shapes(5) == shapes(20)


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


def test_initialising_sets_convolution_and_differencing():
    generator = torch.Generator().manual_seed(0)
    places, lasting = torch.randn(500, 6, generator=generator), torch.randn(6, generator=generator)
    change = 0.5 * lasting + 0.1 * torch.randn(500, 6, generator=generator)
    net = DSDNet(6, 6, 1)
    net.initialise(PlacePairs.of_one_drive(places + change, places))
    assert net.differencing.share.sigmoid().item() == pytest.approx(1 / 6 / CAUTION, abs=0.03)  # one of six axes
    assert net.differencing.persistence.sigmoid() > 0.9


def test_unknown_fusion_is_refused():
    with pytest.raises(ValueError, match="fusion 'product'"):
        DSDNet(4, 4, 3, fusion="product")


def test_windows_of_one_step_leave_differencing_and_lstm_as_they_are():
    net = encoder()
    net(windows(net.w)).sum().backward()
    untouched = {name for name, parameter in net.named_parameters() if parameter.grad is None}
    assert {name.split(".")[0] for name in untouched} == {"differencing", "lstm", "proj"}
    assert all(parameter.grad is not None for parameter in net.conv.parameters())
