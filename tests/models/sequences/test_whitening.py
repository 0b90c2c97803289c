"""The closed-form start: whitening in space and time, its order, and what it gives an encoder."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from opticornet.models.sequences.base import SequenceEncoder
from opticornet.models.sequences.dsdnet import DSDNet
from opticornet.models.sequences.place_pairs import PlacePairs
from opticornet.models.sequences.scatter import Scatter
from opticornet.models.sequences.seqnet import SeqNet
from opticornet.models.sequences.temporal_noise import Persistence
from opticornet.models.sequences.whitening import (
    FEW_PAIRS_TOLERANCE,
    MOTION,
    SHRINKAGES,
    WhitenedFrames,
    choose_shrinkage,
    place_whitening,
    space_time_axes,
)


def pairs(count: int = 400, dims: int = 6) -> PlacePairs:
    """Places seen twice; the season adds an offset and a strong change along the first axis."""
    return PlacePairs.of_one_drive(*frames(count, dims))


def frames(count: int = 400, dims: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    places = torch.randn(count, dims, generator=generator)
    change = 0.1 * torch.randn(count, dims, generator=generator)
    change[:, 0] += 5 * torch.randn(count, generator=generator) + 2
    return places + change + 1, places + 1


def test_whitening_makes_changes_within_a_place_round():
    query, reference = frames()
    found = place_whitening(pairs(), shrinkage=0.0)
    change = (query - reference).double() @ found.matrix.T
    within = change.T @ change / len(change)
    torch.testing.assert_close(within, within.diagonal().mean() * torch.eye(6).double(), rtol=0, atol=1e-8)
    centred = (torch.cat([query, reference]).double() - found.mean) @ found.matrix.T
    assert centred.mean(0).abs().max() < 1e-6
    assert centred.square().sum(1).mean().item() == pytest.approx(1, abs=1e-6)


def test_whitening_orders_axes_by_the_variance_between_places():
    query, reference = frames()
    found = place_whitening(pairs())
    between = ((query + reference).double() / 2 @ found.matrix.T).var(0, correction=0)
    assert (between.diff() <= 1e-9).all()
    torch.testing.assert_close(found.spread, between)


def test_the_motion_between_frames_of_one_place_is_whitened_too():
    query, reference = frames()
    plain = pairs()
    near = PlacePairs(query, reference, plain.following, plain.following >= 0)
    found = place_whitening(near, shrinkage=0.0)
    change, moved = (query - reference).double(), (query[1:] - reference[:-1]).double()
    wanted = (1 - MOTION) * change.T @ change / 400 + MOTION * moved.T @ moved / 399
    gram = found.matrix.T @ found.matrix
    torch.testing.assert_close(gram / gram.trace(), wanted.inverse() / wanted.inverse().trace())


@pytest.mark.parametrize("count", [3, 6, 11])
def test_rows_above_the_dimension_keep_distances(count):
    found = place_whitening(pairs())
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
    found = place_whitening(PlacePairs.of_one_drive(query, reference), shrinkage=0.1)
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


@pytest.mark.parametrize("dims", [12, 95])
def test_shrinkage_is_chosen_by_the_rank_of_the_right_place(dims):
    query, reference = frames(90, dims)
    scores = torch.zeros(len(SHRINKAGES), dtype=torch.float64)
    for number, shrinkage in enumerate(SHRINKAGES):
        for fold in range(3):
            out = torch.arange(90) // 30 == fold
            found = place_whitening(PlacePairs.of_one_drive(query[~out], reference[~out]), shrinkage)
            q, r = (normalize((x[out].double() - found.mean) @ found.matrix.T, dim=1) for x in (query, reference))
            similarity = q @ r.T
            scores[number] += (1 / (similarity >= similarity.diagonal()[:, None]).sum(1).double()).mean() / 3
    chosen = choose_shrinkage(pairs(90, dims))
    if dims == 12:
        assert chosen == SHRINKAGES[int(scores.argmax())]
    else:  # fewer pairs than dimensions: the nearest to the identity that loses little
        assert chosen == SHRINKAGES[int((scores >= scores.max() - FEW_PAIRS_TOLERANCE).nonzero().max())]


def test_a_change_that_tells_nothing_wants_most_shrinkage():
    generator = torch.Generator().manual_seed(5)
    places = torch.randn(40, 30, generator=generator)
    query, reference = (places + torch.randn(40, 30, generator=generator) for _ in range(2))
    assert choose_shrinkage(PlacePairs.of_one_drive(query, reference)) >= 1
    few = PlacePairs.of_one_drive(query[:5], reference[:5])
    assert choose_shrinkage(few) == SHRINKAGES[-1]  # too few to tell


def test_whitening_refuses_what_holds_no_change():
    same = torch.randn(9, 4)
    with pytest.raises(ValueError, match="nothing changes"):
        place_whitening(PlacePairs.of_one_drive(same, same))
    with pytest.raises(ValueError, match="as many queries"):
        place_whitening(PlacePairs.of_one_drive(same, same[:3]))
    with pytest.raises(ValueError, match="found 0"):
        place_whitening(PlacePairs.of_one_drive(same[:0], same[:0]))


def test_all_axes_of_space_and_time_whiten_whole_windows():
    found, noise = place_whitening(pairs(), shrinkage=0.0), Persistence(0.4, 0.7)
    axes = space_time_axes(found, noise, pairs(), 18, 3).flatten(1)  # (18, 6 * 3)
    in_space, in_time = found.matrix.T @ found.matrix, noise.correlation(3).inverse()
    expected = torch.einsum("ij,kl->ikjl", in_space, in_time).reshape(18, 18)
    torch.testing.assert_close(axes.T @ axes, expected)
    more = space_time_axes(found, noise, pairs(), 25, 3).flatten(1)
    torch.testing.assert_close(more.T @ more, expected)


def test_few_axes_of_space_and_time_are_those_along_which_places_differ_most():
    generator = torch.Generator().manual_seed(0)
    slow = torch.randn(300, 4, generator=generator).cumsum(0) / 4  # places that change slowly along the route
    change = 0.1 * torch.randn(300, 4, generator=generator)
    places = PlacePairs.of_one_drive(slow + change, slow)
    axes = space_time_axes(place_whitening(places), Persistence(0.0, 0.0), places, 4, 3)
    assert (axes.sum(2).abs().amax(1) > 3 * axes.diff(dim=2).abs().amax((1, 2))).all()  # means over the window


def test_a_layer_takes_whitened_frames():
    layer, found = WhitenedFrames(6, 4), place_whitening(pairs())
    assert layer.start(pairs()) == Persistence.of(pairs(), found.matrix)
    rows = frames()[0]
    expected = ((rows.double() - found.mean) @ found.matrix.T)[:, :4].float()
    torch.testing.assert_close(layer(rows[:, None])[:, 0], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", [DSDNet, SeqNet])
def test_initialised_encoder_finds_places_across_a_strong_change(method):
    torch.manual_seed(0)
    query, reference = frames()
    net = method(6, 6, 1)
    before = recall_at_1(net, query, reference)
    net.initialise(pairs().stretch(0, 200))
    after = recall_at_1(net, query, reference)
    assert before < 0.3
    assert after > 0.6


def recall_at_1(net: SequenceEncoder, query: torch.Tensor, reference: torch.Tensor) -> float:
    """Share of the second half of the places whose nearest reference is their own."""
    with torch.no_grad():
        similarity = net(query[200:, None]) @ net(reference[200:, None]).T
    return (similarity.argmax(1) == torch.arange(len(similarity))).float().mean().item()


@pytest.mark.parametrize(("method", "channels", "w"), [(DSDNet, 64, 1), (SeqNet, 320, 5)])
def test_windows_of_a_real_drive_are_found_after_initialising_alone(shared, method, channels, w):
    """Places of one Nordland season found in the other, where matching the same frames in sequence finds .685."""
    summer, winter = (
        torch.from_numpy(np.load(shared / "data" / "nordland-1k" / f"{season}.npy")) for season in ("summer", "winter")
    )
    places = PlacePairs.of_one_drive(winter[:600], summer[:600])
    net = method(64, channels, w)
    net.initialise(replace(places, near=places.following >= 0))
    starts = (torch.arange(200) - 2).clamp(0, 195)
    with torch.no_grad():
        query, reference = (net.encode_traverse(season[800:], starts, 5) for season in (winter, summer))
    found = (query @ reference.T).argmax(1)
    assert ((found - torch.arange(200)).abs() <= 1).float().mean() >= 0.72
