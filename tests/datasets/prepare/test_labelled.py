import numpy as np
import pytest

from opticornet.datasets.prepare.labelled import PlaceSource, SourceImages
from opticornet.utils.errors import UserError


class Given(PlaceSource):
    def read(self, root):
        raise NotImplementedError


def labelled(places: str, groups: str | None = None) -> SourceImages:
    """An image for each letter, the name of its place; groups likewise."""
    names = tuple(f"{number}.jpg" for number in range(len(places)))
    group = np.array(list(groups or "g" * len(places)))
    images = tuple(f"/images/{name}" for name in names)
    return SourceImages("made", images, names, np.array(list(places)), group, {"rank": list(range(len(places)))})


def pairs(prepared, split="val"):
    """Queries of a split with the references that are correct."""
    (found,) = (one for one in prepared.splits if one.name == split)
    names = {traverse.name: traverse.names for traverse in prepared.traverses}
    reference, query = names[f"{split}-reference"], names[f"{split}-query"]
    return {query[row]: [reference[one] for one in found.positives[row]] for row in range(len(query))}


def test_without_held_out_groups_all_images_are_trained_on():
    found = Given().prepared(labelled("aabb"), ("a note",))
    assert (found.traverses, found.splits, found.notes) == ((), (), ("a note",))
    (places,) = found.places
    assert places.images == tuple(f"/images/{number}.jpg" for number in range(4))
    assert places.columns == {"place": list("aabb"), "rank": [0, 1, 2, 3]}


def test_held_out_groups_are_splits_of_the_halves_of_each_place():
    found = Given(val_groups=("n",), test_groups=("o",)).prepared(labelled("abcabcabcbd", "mnomnomnonn"))
    (places,) = found.places
    assert places.columns == {"place": ["a"] * 3, "rank": [0, 3, 6]}
    assert [traverse.name for traverse in found.traverses] == [
        *("val-reference", "val-query", "test-reference", "test-query"),
    ]
    assert pairs(found) == {"7.jpg": ["1.jpg", "4.jpg"], "9.jpg": ["1.jpg", "4.jpg"]}  # b: 1, 4 | 7, 9; d: 10
    assert found.traverses[0].names == ("1.jpg", "4.jpg", "10.jpg")
    assert pairs(found, "test") == {"8.jpg": ["2.jpg", "5.jpg"]}  # the odd one is a reference


def test_every_other_image_may_be_a_query():
    found = Given(val_groups=("n",), held_out="alternate").prepared(labelled("aaaaab", "nnnnnm"))
    assert pairs(found) == {query: ["0.jpg", "2.jpg", "4.jpg"] for query in ("1.jpg", "3.jpg")}


def test_a_pattern_may_say_which_images_are_queries():
    found = Given(val_groups=("n",), query_pattern="^[03]").prepared(labelled("abaab", "nnnnm"))
    assert pairs(found) == {"0.jpg": ["2.jpg"], "3.jpg": ["2.jpg"]}


def test_a_query_whose_place_has_no_reference_has_no_positive():
    found = Given(val_groups=("n",), query_pattern="^[01]").prepared(labelled("aba", "nnn"))
    assert pairs(found) == {"0.jpg": ["2.jpg"], "1.jpg": []}
    assert found.places == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_groups": ("x",)}, "made: `val_groups` x: no such group; there are m, n"),
        ({"test_groups": ("n", "y")}, "`test_groups` y: no such group"),
        ({"val_groups": ("n",), "test_groups": ("m", "n")}, "`val_groups` and `test_groups` both name n"),
        ({"val_groups": ("n",), "query_pattern": "("}, "`query_pattern` '(': no regular expression"),
        (
            {"val_groups": ("n",), "query_pattern": "x"},
            "the val split has 0 query images and 2 reference images, and none of a place that both have",
        ),
    ],
)
def test_what_cannot_be_held_out(options, message):
    with pytest.raises(UserError) as caught:
        Given(**options).prepared(labelled("aabb", "mmnn"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_images_may_be_left_out_by_name():
    found = Given(leave_out="[13]").prepared(labelled("aabbc"))
    assert found.places[0].columns["place"] == ["a", "b", "c"]
    assert found.notes == ("made: 2 images left out by `leave_out`",)
    for pattern, message in (("x", "is found in no name; correct it"), ("jpg", "is found in every name")):
        with pytest.raises(UserError, match=message):
            Given(leave_out=pattern).prepared(labelled("aab"))


def test_many_groups_are_not_all_listed():
    with pytest.raises(UserError, match="there are a, b, c, d, e, f, g, h, i, j, k, l and 3 more"):
        Given(val_groups=("z",)).prepared(labelled("abcdefghijklmno", "abcdefghijklmno"))


def test_options_that_change_nothing():
    assert Given().unused().keys() == {"held_out", "query_pattern"}
    assert Given(val_groups=("a",)).unused() == {}
    assert Given(val_groups=("a",), query_pattern="n").unused() == {
        "held_out": "`query_pattern` says which are queries"
    }
