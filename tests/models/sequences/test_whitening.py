"""The closed-form start: whitening, its order, the temporal profiles, and what it gives an encoder."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from opticornet.models.sequences.base import SequenceEncoder
from opticornet.models.sequences.dsdnet import DSDNet
from opticornet.models.sequences.seqnet import SeqNet
from opticornet.models.sequences.whitening import (
    SHRINKAGES,
    Scatter,
    choose_shrinkage,
    place_whitening,
    profile_shares,
    temporal_profiles,
)


def pairs(count: int = 400, dims: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Places seen twice; the season adds an offset and a strong change along the first axis."""
    generator = torch.Generator().manual_seed(3)
    places = torch.randn(count, dims, generator=generator)
    change = 0.1 * torch.randn(count, dims, generator=generator)
    change[:, 0] += 5 * torch.randn(count, generator=generator) + 2
    return places + change + 1, places + 1


def test_whitening_makes_changes_within_a_place_round():
    query, reference = pairs()
    found = place_whitening(query, reference, shrinkage=0.0)
    change = (query - reference).double() @ found.matrix.T
    within = change.T @ change / len(change)
    torch.testing.assert_close(within, within.diagonal().mean() * torch.eye(6).double(), rtol=0, atol=1e-8)
    centred = (torch.cat([query, reference]).double() - found.mean) @ found.matrix.T
    assert centred.mean(0).abs().max() < 1e-6
    assert centred.square().sum(1).mean().item() == pytest.approx(1, abs=1e-6)


def test_whitening_orders_axes_by_the_variance_between_places():
    query, reference = pairs()
    found = place_whitening(query, reference)
    between = ((query + reference).double() / 2 @ found.matrix.T).var(0)
    assert (between.diff() <= 1e-9).all()


@pytest.mark.parametrize("count", [3, 6, 11])
def test_rows_above_the_dimension_keep_distances(count):
    found = place_whitening(*pairs())
    rows = found.rows(count)
    assert rows.shape == (count, 6)
    if count > 6:
        torch.testing.assert_close(rows.T @ rows, found.matrix.T @ found.matrix)


@pytest.mark.parametrize("count", [4, 5, 6, 40])
def test_scatter_of_few_and_of_many_rows_is_the_same_thing(count):
    rows = torch.randn(count, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    root = rows[:3].T @ rows[:3]
    whole = Scatter.of(count, 6, rows.split(7))
    assert whole.summed == (count >= 6)
    for scatter in (whole, Scatter.of(3, 6, [rows[:3]]) + Scatter.of(count - 3, 6, [rows[3:]])):
        torch.testing.assert_close(scatter.sum(), rows.T @ rows)
        torch.testing.assert_close(scatter.through(root).sum(), root @ rows.T @ rows @ root)
        values, vectors = scatter.eigen()
        assert len(values) == min(count, 6)
        assert (values.diff() <= 0).all()
        torch.testing.assert_close(vectors.T @ vectors, torch.eye(len(values), dtype=torch.float64))
        torch.testing.assert_close((vectors * values) @ vectors.T, rows.T @ rows / count)


@pytest.mark.parametrize("count", [8, 40])
def test_fewer_places_than_dimensions_are_whitened_as_the_formula_says(count):
    generator = torch.Generator().manual_seed(4)
    reference = torch.randn(count, 20, generator=generator)
    query = reference + 0.3 * torch.randn(count, 20, generator=generator)
    found = place_whitening(query, reference, shrinkage=0.1)
    change = (query - reference).double()
    change = change.T @ change / count
    change += 0.1 * change.diagonal().mean() * torch.eye(20)
    gram = found.matrix.T @ found.matrix  # distances: the inverse of the change, to a scale
    torch.testing.assert_close(gram / gram.trace(), change.inverse() / change.inverse().trace())
    centre = (query + reference).double() / 2
    seen = (centre - centre.mean(0)) @ found.matrix.T
    between = seen.T @ seen / count
    torch.testing.assert_close(between, between.diagonal().diag(), rtol=0, atol=1e-9)
    assert (between.diagonal().diff() <= 1e-9).all()


@pytest.mark.parametrize("dims", [12, 80])
def test_shrinkage_is_chosen_by_the_rank_of_the_right_place(dims):
    query, reference = pairs(90, dims)
    ranks = []
    for shrinkage in SHRINKAGES:
        score = 0.0
        for fold in range(3):
            out = torch.arange(90) // 30 == fold
            found = place_whitening(query[~out], reference[~out], shrinkage)
            q, r = (normalize((x[out].double() - found.mean) @ found.matrix.T, dim=1) for x in (query, reference))
            similarity = q @ r.T
            score += (1 / (similarity >= similarity.diagonal()[:, None]).sum(1)).mean().item()
        ranks.append(score)
    assert choose_shrinkage(query, reference) == SHRINKAGES[int(torch.tensor(ranks).argmax())]


def test_a_change_that_tells_nothing_wants_most_shrinkage():
    generator = torch.Generator().manual_seed(5)
    places = torch.randn(40, 30, generator=generator)
    query, reference = (places + torch.randn(40, 30, generator=generator) for _ in range(2))
    assert choose_shrinkage(query, reference) >= 1
    assert choose_shrinkage(query[:5], reference[:5]) == SHRINKAGES[-1]  # too few to tell


def test_whitening_refuses_what_holds_no_change():
    same = torch.randn(9, 4)
    with pytest.raises(ValueError, match="nothing changes"):
        place_whitening(same, same)
    with pytest.raises(ValueError, match="as many queries"):
        place_whitening(same, same[:3])
    with pytest.raises(ValueError, match="found 0"):
        place_whitening(same[:0], same[:0])


def test_profiles_are_mean_slope_and_curvature():
    expected = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [0.5, 0.0, -0.5], [0.25, -0.5, 0.25]])
    torch.testing.assert_close(temporal_profiles(3), expected, rtol=0, atol=1e-6)
    assert temporal_profiles(1).tolist() == [[1.0]]
    assert temporal_profiles(2).tolist() == [[0.5, 0.5], [0.5, -0.5]]
    assert temporal_profiles(7)[1:].sum(1).abs().max() < 1e-6


def test_shares_use_every_channel():
    assert profile_shares(7, 1) == [7]
    assert profile_shares(9, 2) == [5, 4]
    assert profile_shares(128, 3) == [64, 32, 32]
    assert profile_shares(3, 3) == [3, 0, 0]


@pytest.mark.parametrize("method", [DSDNet, SeqNet])
def test_initialised_encoder_finds_places_across_a_strong_change(method):
    torch.manual_seed(0)
    query, reference = pairs()
    net = method(6, 6, 1)
    before = recall_at_1(net, query, reference)
    net.initialise(query[:200], reference[:200])
    after = recall_at_1(net, query, reference)
    assert before < 0.3
    assert after > 0.6


def recall_at_1(net: SequenceEncoder, query: torch.Tensor, reference: torch.Tensor) -> float:
    """Share of the second half of the places whose nearest reference is their own."""
    with torch.no_grad():
        similarity = net(query[200:, None]) @ net(reference[200:, None]).T
    return (similarity.argmax(1) == torch.arange(len(similarity))).float().mean().item()


def test_real_drive_after_initialising_alone(shared):
    """Places of one Nordland season found in the other: a far better start than random weights or raw frames."""
    summer, winter = (
        torch.from_numpy(np.load(shared / "data" / "nordland-1k" / f"{season}.npy")) for season in ("summer", "winter")
    )
    torch.manual_seed(0)
    net = DSDNet(64, 192, 3)
    net.initialise(winter[:600], summer[:600])
    starts = (torch.arange(200) - 2).clamp(0, 195)
    with torch.no_grad():
        query, reference = (net.encode_traverse(season[800:], starts, 5) for season in (winter, summer))
    found = (query @ reference.T).argmax(1)
    assert ((found - torch.arange(200)).abs() <= 1).float().mean() >= 0.55
