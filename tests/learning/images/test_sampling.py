import copy
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from opticornet.datasets.places.place_set import PlaceSet
from opticornet.learning.images.sampling import PlaceSampler
from opticornet.utils.errors import UserError


def place_set(counts, groups=None, **attributes):
    """Places of so many images each, whose rows alternate as far as they go."""
    place = np.array([p for turn in range(max(counts)) for p, count in enumerate(counts) if turn < count])
    group = np.zeros(len(counts), int) if groups is None else np.array(groups)
    images = tuple(f"/images/{row}.jpg" for row in range(len(place)))
    return PlaceSet("made", images, place, tuple(map(str, range(len(counts)))), group, **attributes)


def rows(sampler, epoch, done=0):
    return [batch.rows.tolist() for batch in sampler.batches(epoch, done)]


def test_a_batch_holds_k_different_images_of_p_places_place_by_place():
    places = place_set([4, 5, 6, 4, 9, 4, 4])
    batches = list(PlaceSampler(places, 3, 4, seed=1).batches(0))
    assert [len(batch) for batch in batches] == [12, 12]  # the seventh place is alone, and left out
    for batch in batches:
        assert batch.places.reshape(3, 4).std(axis=1).max() == 0
        assert (places.place[batch.rows] == batch.places).all()
        assert len(set(batch.rows.tolist())) == 12
    assert len({place for batch in batches for place in batch.places.tolist()}) == 6


def test_a_last_batch_of_two_places_is_kept():
    sampler = PlaceSampler(place_set([4] * 8), 3, 4)
    assert [len(batch) for batch in sampler.batches(0)] == [12, 12, 8]
    assert sampler.known_batches(0) == 3


def test_places_of_fewer_images_are_dropped_and_counted():
    sampler = PlaceSampler(place_set([4, 3, 4, 1]), 4, 4)
    assert {place for batch in sampler.batches(0) for place in batch.places.tolist()} == {0, 2}
    assert sampler.notes == ("made: 2 of 4 places have fewer than 4 images and are left out, with 4 of 12 images",)
    assert PlaceSampler(place_set([4, 4]), 4, 4).notes == ()


def test_shuffled_mixes_groups_and_changes_from_epoch_to_epoch():
    sampler = PlaceSampler(place_set([2] * 40, groups=[0] * 20 + [1] * 20), 8, 2)
    first, second = ([batch.places.tolist() for batch in sampler.batches(epoch)] for epoch in (0, 1))
    assert first != second
    assert all(0 < np.mean(np.array(batch) < 20) < 1 for batch in first)
    assert sorted(np.ravel(first)) == sorted(np.ravel(second))


def test_published_keeps_one_order_group_after_group():
    sampler = PlaceSampler(place_set([2] * 40, groups=[1, 0] * 20), 8, 2, order="published", seed=5)
    first, second = ([place for batch in sampler.batches(epoch) for place in batch.places] for epoch in (0, 3))
    assert first == second
    assert [place % 2 for place in first] == [1] * 40 + [0] * 40
    assert first != sorted(first, key=lambda place: (place % 2 == 0, place))


def test_published_takes_places_as_the_first_rows_of_shuffled_tables():
    places = place_set([3, 2, 4, 3, 2], groups=[0, 0, 0, 1, 1])
    state = np.random.RandomState(7)
    expected = []
    for group in (0, 1):
        table = [row for row in range(len(places)) if places.group[places.place[row]] == group]
        shuffled = [table[number] for number in state.permutation(len(table))]
        expected += dict.fromkeys(places.place[row] for row in shuffled)
    batches = PlaceSampler(places, 5, 2, order="published", seed=7).batches(0)
    assert [place for batch in batches for place in batch.places[::2]] == expected


def test_random_images_change_and_first_ones_stay():
    rank = np.array([3, 0, 2, 5, 1, 4, 9, 8, 7, 6])  # of place 0 at even rows, of place 1 at odd ones
    places = place_set([5, 5], rank=rank)
    first = PlaceSampler(places, 2, 3, choice="first", order="published")
    assert rows(first, 0) == rows(first, 1)
    chosen = {batch.places[0]: batch.rows[:3].tolist() for batch in first.batches(0)}
    assert chosen in ({0: [4, 2, 0]}, {1: [1, 5, 3]})
    assert sorted(rows(first, 0)[0]) == [0, 1, 2, 3, 4, 5]
    random = PlaceSampler(places, 2, 3, order="published")
    assert len({tuple(sorted(rows(random, epoch)[0])) for epoch in range(9)}) > 3


def test_every_image_is_drawn_in_the_long_run():
    sampler = PlaceSampler(place_set([6, 6]), 2, 2)
    drawn = Counter(row for epoch in range(60) for batch in rows(sampler, epoch) for row in batch)
    assert len(drawn) == 12
    assert min(drawn.values()) >= 8  # 20 expected


@pytest.mark.parametrize("order", ["shuffled", "published"])
def test_near_places_are_never_in_one_batch(order):
    positions = np.arange(60.0)[:, None] * 10
    places = place_set([2] * 60, positions=positions, separation=40.0)
    sampler = PlaceSampler(places, 6, 2, order=order)
    seen = []
    for batch in sampler.batches(0):
        at = np.sort(positions[batch.places[::2], 0])
        assert np.diff(at).min() > 40
        seen += batch.places[::2].tolist()
    assert len(seen) == len(set(seen)) >= 55


def test_places_that_are_all_near_one_another_are_refused():
    places = place_set([2] * 3, positions=np.array([[0.0], [30.0], [60.0]]), separation=60.0)
    with pytest.raises(UserError, match="no two of 3 places are more than 60 apart"):
        PlaceSampler(places, 2, 2)
    assert PlaceSampler(replace(places, separation=59.0), 2, 2).known_batches(0) == 1


def test_a_place_that_is_nowhere_may_be_in_any_batch():
    positions = np.array([[0.0], [1.0], [np.nan], [50.0]])
    sampler = PlaceSampler(place_set([2] * 4, positions=positions, separation=5.0), 4, 2)
    for epoch in range(5):
        for batch in sampler.batches(epoch):
            assert not {0, 1} <= set(batch.places.tolist())


def test_a_run_goes_on_from_any_batch_to_the_bit():
    places = place_set([4] * 11, positions=np.arange(11.0)[:, None], separation=1.0)
    whole = rows(PlaceSampler(places, 3, 2, seed=3), 5)
    again = PlaceSampler(copy.deepcopy(places), 3, 2, seed=3)
    again.restore(PlaceSampler(places, 3, 2, seed=3).state(), "a.ckpt")
    assert len(whole) == again.known_batches(5) > 2
    for done in range(len(whole) + 1):
        assert rows(again, 5, done) == whole[done:]
    assert rows(PlaceSampler(places, 3, 2, seed=4), 5) != whole


def test_a_run_does_not_go_on_with_other_images_or_batches():
    places = place_set([4, 4])
    state = PlaceSampler(places, 2, 2).state()
    moved = replace(places, images=tuple(image.replace("/images/", "/elsewhere/") for image in places.images))
    PlaceSampler(moved, 2, 2).restore(state, "a.ckpt")
    with pytest.raises(UserError, match=r"a\.ckpt: trained on other images or places than those of made"):
        PlaceSampler(place_set([4, 5]), 2, 2).restore(state, "a.ckpt")
    with pytest.raises(UserError, match="trained with `images_per_place` 2, and this is 3"):
        PlaceSampler(places, 2, 3).restore(state, "a.ckpt")
    with pytest.raises(UserError, match="trained with `seed` 0, and this is 1"):
        PlaceSampler(places, 2, 2, seed=1).restore(state, "a.ckpt")


RANKED = place_set([4, 4, 4], rank=np.tile(np.arange(4), 3), positions=np.arange(3.0)[:, None], separation=0.5)


@pytest.mark.parametrize(
    ("changes", "options", "is_other"),
    [
        ({"rank": np.tile(np.arange(4)[::-1], 3)}, {"choice": "first"}, True),
        ({"rank": np.tile(np.arange(4)[::-1], 3)}, {}, False),  # nothing is drawn by it
        ({"group": np.array([0, 0, 1])}, {"order": "published"}, True),
        ({"group": np.array([0, 0, 1])}, {}, False),
        ({"separation": 1.5}, {}, True),
        ({"separation": 0.6}, {}, False),  # no other places are near
    ],
)
def test_a_run_does_not_go_on_where_other_batches_would_be_drawn(changes, options, is_other):
    state = PlaceSampler(RANKED, 2, 2, **options).state()
    changed = PlaceSampler(replace(RANKED, **changes), 2, 2, **options)
    with pytest.raises(UserError, match="other images or places") if is_other else nullcontext():
        changed.restore(state, "a.ckpt")


@pytest.mark.parametrize(
    ("counts", "options", "message"),
    [
        ([4, 4], {"places_per_batch": 1}, "`places_per_batch` 1: wanted at least 2"),
        ([4, 4], {"images_per_place": 1}, "`images_per_place` 1: wanted at least 2"),
        ([4, 4], {"choice": "first"}, "made has no ranks; add a column rank, or choose random"),
        ([4, 3], {"images_per_place": 4}, "1 of 2 places have the 4 images that `images_per_place` wants"),
        ([4, 4], {"order": "published", "seed": 2**32}, "`seed` 4294967296: the published order takes one below"),
    ],
)
def test_too_little_to_learn_from(counts, options, message):
    with pytest.raises(UserError) as caught:
        PlaceSampler(place_set(counts), **({"places_per_batch": 2, "images_per_place": 2} | options))
    assert message in str(caught.value)
