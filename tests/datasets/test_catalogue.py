import os
from dataclasses import replace

import numpy as np
import pytest

from opticornet.datasets.catalogue import check_split, load_dataset, split_names
from opticornet.datasets.folder.writing import write_dataset
from opticornet.datasets.positives import Positives
from opticornet.datasets.traverse import Dataset, Split, Traverse
from opticornet.utils.errors import UserError


def drive(count: int = 6, dims: int = 3, units: str = "metres", axes: int = 2) -> Traverse:
    rng = np.random.default_rng(count)
    values = rng.standard_normal((count, dims)).astype(np.float32)
    return Traverse("drive", values, rng.standard_normal((count, axes)), units, np.tile([0, count], (count, 1)))


def split_of(**changes) -> Split:
    return replace(Split("train", drive(6), drive(7), 2.0, 8.0), **changes)


def test_built_in_synthetic_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert list(load_dataset("synthetic").splits) == ["train", "val", "test"]
    assert list(load_dataset("synthetic", splits=("test",)).splits) == ["test"]
    assert os.listdir(tmp_path) == []


def test_folder(tmp_path):
    write_dataset(tmp_path / "set", Dataset("made", {"train": split_of(), "test": split_of(name="test")}))
    assert split_names(str(tmp_path / "set")) == ("train", "test")
    split = load_dataset(str(tmp_path / "set"), splits=("test",)).splits["test"]
    assert (len(split.reference), len(split.query)) == (6, 7)


def test_unknown_name_lists_the_known_ones(tmp_path):
    for call in (load_dataset, split_names):
        with pytest.raises(UserError) as caught:
            call(str(tmp_path / "nordland"))
        for name in ("synthetic", "nordland-sw", "nordland-sf", "oxford-v1.0", "oxford-pnv", "msls", "dataset.toml"):
            assert name in str(caught.value)


def test_a_sound_split_passes():
    check_split("made", split_of())
    check_split("made", split_of(negative_radius=2.0))  # positives within 2 inclusive, negatives beyond: MSLS
    check_split("made", split_of(positive_radius=None, positives=Positives.of_lists([[]] * 7)))
    check_split("made", split_of(positive_radius=None))  # no ground truth


def of_images(count: int) -> Traverse:
    return replace(drive(count), descriptors=None, images=tuple(f"{number}.png" for number in range(count)))


def test_images_in_the_place_of_descriptors_pass():
    check_split("made", split_of(reference=of_images(6), query=of_images(7)))
    check_split("made", split_of(query=of_images(7)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query": replace(of_images(7), images=None)}, "drive has neither descriptors nor images"),
        ({"query": replace(of_images(7), images=("a.png",))}, "has 1 images but other position rows"),
        ({"query": drive(7, dims=4)}, "drive has 3-D descriptors and drive 4-D; extract both with the same method"),
        ({"query": drive(7, units="frames")}, "positions of drive and drive are of different kinds"),
        ({"query": drive(7, axes=3)}, "positions of drive and drive are of different kinds"),
        ({"query": drive(7).cut(2, 2)}, "has no frames"),
        ({"query": replace(drive(7), positions=np.zeros((6, 2)))}, "7 descriptors but other position rows"),
        ({"query": replace(drive(7), bounds=np.tile([0, 6], (7, 1)))}, "do not hold their own frames"),
        ({"positive_radius": 0.0}, "positive radius 0 metres; wanted a number above 0"),
        ({"positive_radius": float("nan")}, "positive radius nan metres"),
        ({"positive_radius": float("inf")}, "positive radius inf metres"),
        ({"negative_radius": -1.0}, "negative radius -1 metres"),
        ({"negative_radius": 1.0}, "negative radius 1 lies below the positive radius 2"),
        ({"positives": np.zeros((7, 2), np.int64)}, "a positive radius and a table of positives"),
    ],
)
def test_unsound_splits(changes, message):
    with pytest.raises(UserError) as caught:
        check_split("made", split_of(**changes))
    assert str(caught.value).startswith("dataset made, split train: ")
    assert message in str(caught.value)


def test_different_dimensions_in_a_folder(tmp_path):
    write_dataset(tmp_path / "set", Dataset("made", {"test": split_of(name="test", query=drive(7, dims=5))}))
    with pytest.raises(UserError, match="3-D descriptors and test-query 5-D"):
        load_dataset(str(tmp_path / "set"))
