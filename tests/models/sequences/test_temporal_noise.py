"""What lasts of the change within a place: its estimate, and steps without what was foreseeable."""

import pytest
import torch

from opticornet.models.sequences.place_pairs import PlacePairs
from opticornet.models.sequences.temporal_noise import (
    CAUTION,
    Persistence,
    TemporalDifferencing,
    autocorrelations,
    correlation,
)


def lasting_change(share: float, persistence: float, count: int = 4000, dims: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    new, fresh = (torch.randn(count, dims, generator=generator, dtype=torch.float64) for _ in range(2))
    slow = [fresh[0]]
    for step in fresh[1:]:
        slow.append(persistence * slow[-1] + (1 - persistence**2) ** 0.5 * step)
    return share**0.5 * torch.stack(slow) + (1 - share) ** 0.5 * new


def pairs_with(change: torch.Tensor) -> PlacePairs:
    places = torch.randn(change.shape, generator=torch.Generator().manual_seed(2))
    return PlacePairs.of_one_drive(places + change.float(), places)


def test_correlation_by_hand():
    found = correlation(torch.tensor(0.5), torch.tensor(0.8), 3)
    torch.testing.assert_close(found, torch.tensor([[1, 0.4, 0.32], [0.4, 1, 0.4], [0.32, 0.4, 1]]))
    assert correlation(torch.tensor(0.0), torch.tensor(0.0), 2).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(("share", "persistence"), [(0.5, 0.8), (0.3, 0.95), (1.0, 0.5)])
def test_what_lasts_is_estimated_from_pairs_in_a_row(share, persistence):
    found = Persistence.of(pairs_with(lasting_change(share, persistence)), torch.eye(8, dtype=torch.float64))
    assert found.share * CAUTION == pytest.approx(share, abs=0.1)
    assert found.persistence == pytest.approx(persistence, abs=0.06)


def test_nothing_lasts_where_no_pair_follows_another():
    pairs = pairs_with(lasting_change(0.5, 0.8, 50))
    alone = PlacePairs(pairs.queries, pairs.references, torch.full((50,), -1), pairs.near)
    assert Persistence.of(alone, torch.eye(8, dtype=torch.float64)) == Persistence(0.0, 0.0)


def test_autocorrelations_follow_the_pairs_and_not_the_rows():
    rows = torch.tensor([[1.0], [5.0], [2.0], [7.0]])
    following = torch.tensor([2, -1, 1, -1])  # 1, 2, 5
    found = autocorrelations(rows, following, 5)
    expected = [(1 * 2 + 2 * 5) / ((1 + 4) * (4 + 25)) ** 0.5, 5 / (1 * 25) ** 0.5]
    assert found.tolist() == pytest.approx(expected)


def test_differencing_leaves_white_noise_of_the_change():
    expected = Persistence(0.6, 0.9)
    layer = TemporalDifferencing()
    layer.start(expected)
    matrix = layer.matrix(5).detach()
    assert torch.equal(matrix, matrix.tril())
    white = matrix @ expected.correlation(5).float() @ matrix.T
    torch.testing.assert_close(white, torch.eye(5), rtol=0, atol=1e-5)


def test_the_first_steps_of_a_longer_window_are_those_of_a_shorter_one():
    layer = TemporalDifferencing()
    torch.testing.assert_close(layer.matrix(7)[:3, :3], layer.matrix(3))
    assert layer.matrix(1).tolist() == [[1.0]]


def test_an_autoregressive_change_is_differenced_with_the_step_before_alone():
    layer = TemporalDifferencing()
    layer.start(Persistence(1.0, 0.5))
    deviation = (1 - 0.25) ** 0.5
    expected = torch.tensor([[1, 0, 0], [-0.5 / deviation, 1 / deviation, 0], [0, -0.5 / deviation, 1 / deviation]])
    torch.testing.assert_close(layer.matrix(3), expected, rtol=0, atol=2e-2)  # a share of 1 is kept at .999


def test_differencing_learns():
    layer = TemporalDifferencing()
    (layer.matrix(4) @ torch.randn(2, 4, 3)).square().sum().backward()
    assert all(parameter.grad.abs() > 0 for parameter in layer.parameters())
