import pytest

from opticornet.datasets.split_names import check_split_name, chosen_splits, test_split_names
from opticornet.utils.errors import UserError

THERE = ("train", "val", "test-rain", "test-sun")


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (("val",), ("val",)),
        (("test-sun", "train"), ("test-sun", "train")),
        (("all",), ("val", "test-rain", "test-sun")),
        (("test",), ("test-rain", "test-sun")),
    ],
)
def test_splits_that_are_wanted(wanted, chosen):
    assert chosen_splits(wanted, THERE, "dataset d") == chosen


def test_a_split_called_test_is_meant_by_its_name():
    assert chosen_splits(("test",), ("test-rain", "test"), "dataset d") == ("test",)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("night",), "dataset d: no split 'night'; it has train, val, test-rain, test-sun"),
        (("all", "val"), "`splits` all val: all stands for all splits; give it alone"),
        (("test", "test-sun"), "`splits` test test-sun: test-sun comes twice"),
    ],
)
def test_splits_that_cannot_be_meant(wanted, message):
    with pytest.raises(UserError) as caught:
        chosen_splits(wanted, THERE, "dataset d")
    assert message in str(caught.value)


def test_all_of_a_dataset_that_only_trains():
    with pytest.raises(UserError, match="`splits` all names none of its splits, train"):
        chosen_splits(("all",), ("train",), "dataset d")


def test_one_city_is_the_test_split_and_several_have_their_names():
    assert test_split_names([]) == {}
    assert test_split_names(["cph"]) == {"test": "cph"}
    assert test_split_names(["cph", "night 2"]) == {"test-cph": "cph", "test-night-2": "night 2"}
    with pytest.raises(UserError, match="the split test-a-b would come twice"):
        test_split_names(["a b", "a/b"])


@pytest.mark.parametrize("name", ["", "all", "a/b", "-x", "a b", "..", "_x"])
def test_names_that_are_refused(name):
    with pytest.raises(UserError, match="a split cannot be called"):
        check_split_name("dataset.toml", name)


@pytest.mark.parametrize("name", ["test", "test-rain", "2015-08", "Nacht_2.b", "雨"])
def test_names_that_are_taken(name):
    check_split_name("dataset.toml", name)
