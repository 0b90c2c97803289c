import numpy as np
import pytest

from opticornet.datasets.places.route import cover, places_of_split
from opticornet.datasets.traverse import Split, Traverse
from opticornet.utils.errors import UserError


def drive(name, positions, **attributes):
    count = len(positions)
    return Traverse(
        name,
        None,
        np.asarray(positions, float).reshape(count, -1),
        "metres",
        np.tile([0, count], (count, 1)),
        images=tuple(f"/{name}/{row}" for row in range(count)),
        **attributes,
    )


def split_of(reference, query, positive=10.0, negative=25.0):
    return Split("train", reference, query, positive, negative)


@pytest.fixture
def crossing():
    """Two drives along a route that crosses itself, 600 m long."""
    generator = np.random.default_rng(1)
    s = np.arange(0, 600, 2.0)
    route = np.stack([100 * np.sin(s / 95), 60 * np.sin(s / 47)], axis=1)
    return split_of(drive("day", route), drive("night", route[::2] + generator.normal(0, 1, (150, 2))))


def test_frames_of_a_place_are_positives_and_frames_of_a_batch_negatives(crossing):
    places = places_of_split(crossing, "route")
    points = np.concatenate([crossing.reference.positions, crossing.query.positions])
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    same = places.place[:, None] == places.place
    assert apart[same].max() <= 10
    centres = np.linalg.norm(places.positions[:, None] - places.positions, axis=2)
    together = centres > places.separation  # may be in one batch
    assert together.any()
    assert apart[together[places.place][:, places.place]].min() > 25


def test_every_frame_is_in_a_place_and_places_hold_both_drives(crossing):
    places = places_of_split(crossing, "route")
    assert len(places) == 450
    assert places.images == crossing.reference.images + crossing.query.images
    assert (np.bincount(places.place[:300]) > 0).all()
    assert np.mean(np.bincount(places.place[300:], minlength=len(places.labels)) > 0) > 0.8


def test_a_straight_route_is_cut_into_lengths_of_the_positive_radius():
    reference = drive("day", np.arange(33))
    places = places_of_split(split_of(reference, drive("night", np.arange(33))), "route")
    assert places.place.tolist() == 2 * ([0] * 11 + [1] * 11 + [2] * 11)
    assert places.positions[:, 0].tolist() == [5, 16, 27]
    assert places.separation == 35


def test_of_places_by_rows_each_row_is_one():
    rows = np.arange(4)
    places = places_of_split(split_of(drive("summer", rows), drive("winter", rows), 1, 5), "rows")
    assert places.place.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert places.separation == 6


def test_first_images_are_of_different_drives_and_near_the_centre():
    places = places_of_split(split_of(drive("day", [0, 1, 2, 3, 4]), drive("night", [1, 2.25, 3]), 8), "route")
    assert places.positions.tolist() == [[4]]
    assert places.rank.tolist() == [7, 6, 4, 2, 0, 5, 3, 1]


def test_frames_that_cannot_be_used_are_left_out():
    positions = [[0.0], [np.nan], [1.0], [2.0]]
    reference = drive("day", positions, usable=np.array([1, 1, 0, 1], bool), scored=np.array([1, 1, 1, 0], bool))
    assert places_of_split(split_of(reference, drive("night", [0.0])), "route").images == ("/day/0", "/night/0")


def test_what_does_not_say_which_places_are_one():
    one = drive("day", [0, 1])
    with pytest.raises(UserError, match="route: no positive_radius, which says what is one place"):
        places_of_split(split_of(one, one, None), "route")
    with pytest.raises(UserError, match="route: no negative_radius"):
        places_of_split(split_of(one, one, 3, None), "route")
    nowhere = drive("day", [np.nan])
    with pytest.raises(UserError, match="no frame with a position"):
        places_of_split(split_of(nowhere, nowhere), "route")


def test_cover_reaches_every_point_with_few_centres():
    points = np.random.default_rng(0).uniform(0, 20, (400, 2))
    centres = cover(points, 3)
    assert np.linalg.norm(points[:, None] - centres, axis=2).min(axis=1).max() <= 3
    assert len(centres) < 45
