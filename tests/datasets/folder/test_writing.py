import numpy as np
import pytest

from opticornet.datasets.drives import join_drives
from opticornet.datasets.folder.reading import load_folder
from opticornet.datasets.folder.writing import write_dataset
from opticornet.datasets.positives import Positives
from opticornet.datasets.traverse import Dataset, Split, Traverse
from opticornet.utils.errors import UserError


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("units", ["metres", "frames"])
def test_dataset_is_written_as_it_is_read(tmp_path, units, names):
    rng = np.random.default_rng(0)

    def drive(name: str, count: int) -> Traverse:
        return Traverse(
            name=name,
            descriptors=rng.standard_normal((count, 3)).astype(np.float16),
            positions=rng.standard_normal((count, 2 if units == "metres" else 1)),
            units=units,
            bounds=np.repeat([[0, 4], [4, count]], [4, count - 4], axis=0),
            names=tuple(f"{name}-{row}" for row in range(count)) if names else None,
            timestamps=rng.standard_normal(count),
        )

    table = Positives.of_lists([[0, 1, 2], [], [4], [0, 1, 4, 5], [], [], []])
    unplaced = drive("f", 7)
    unplaced.positions[:] = np.nan
    splits = {
        "train": Split("train", drive("a", 6), drive("b", 7), 2.0, 8.0),
        "test": Split("test", drive("c", 6), drive("d", 7), None, None, table),
        "val": Split("val", drive("e", 6), unplaced, None),
    }
    write_dataset(tmp_path / "new", Dataset("made", splits))
    read = load_folder(tmp_path / "new")
    assert read.name == "made"
    for name, split in splits.items():
        back = read.splits[name]
        assert (back.positive_radius, back.negative_radius) == (split.positive_radius, split.negative_radius)
        for one, other in ((split.reference, back.reference), (split.query, back.query)):
            for field in ("descriptors", "positions", "bounds", "timestamps"):
                np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
            assert one.names == other.names
    assert read.splits["test"].positives.ranges() == table.ranges()
    with pytest.raises(UserError, match="holds a dataset already"):
        write_dataset(tmp_path / "new", read)


def test_what_is_scored_usable_and_placed_is_written_as_it_is_read(tmp_path):
    positions = np.arange(6.0)[:, None]
    positions[2] = np.nan
    flags = {"scored": np.arange(6) % 2 == 0, "usable": np.arange(6) != 3}
    drive = Traverse(
        "a", np.eye(6, dtype=np.float32), positions, "frames", np.tile([0, 6], (6, 1)), source="x", **flags
    )
    write_dataset(tmp_path / "set", Dataset("made", {"test": Split("test", drive, drive, 1.0)}))
    back = load_folder(tmp_path / "set").splits["test"].query
    np.testing.assert_array_equal(back.positions, positions)
    for name, values in flags.items():
        np.testing.assert_array_equal(getattr(back, name), values)


@pytest.mark.parametrize("named", [True, False])
def test_several_drives_are_written_one_by_one(tmp_path, named):
    """Frames of all drives have the same names, and the table of positives means those of one drive."""
    rng = np.random.default_rng(0)

    def drive(name: str) -> Traverse:
        values, bounds = rng.standard_normal((4, 3)).astype(np.float32), np.array([[0, 2], [0, 2], [2, 4], [2, 4]])
        names = tuple("abcd") if named else None
        return Traverse(name, values, np.arange(4.0)[:, None], "frames", bounds, names)

    reference = join_drives([drive("summer"), drive("fall")], "here")
    query = join_drives([drive("rain"), drive("snow")], "here")
    table = Positives.of_lists([[3, 4], [], [7], [0], [], [1, 2], [], [6]])
    write_dataset(tmp_path / "set", Dataset("seasons", {"test": Split("test", reference, query, None, None, table)}))
    split = load_folder(tmp_path / "set").splits["test"]
    assert [one.name for one in split.reference.drives] == ["test-reference-summer", "test-reference-fall"]
    assert np.array_equal(split.positives.rows, table.rows)
    assert np.array_equal(split.positives.offsets, table.offsets)
    for side, before in ((split.reference, reference), (split.query, query)):
        assert np.array_equal(np.asarray(side.descriptors), np.asarray(before.descriptors))
        assert np.array_equal(side.bounds, before.bounds)
        assert side.names == before.names
