"""Splits of several reference and query drives, as dataset.toml names them."""

import json

import numpy as np
import pytest

from opticornet.datasets.catalogue import check_split, load_dataset
from opticornet.datasets.descriptors.identity import Comparison, of_data
from opticornet.datasets.folder.reading import load_folder
from opticornet.datasets.folder.toml import FolderEntry, SplitEntry, TraverseEntry, format_toml, read_toml, write_toml
from opticornet.utils.errors import UserError

SEASONS = {"summer": 10, "fall": 10, "winter": 10, "spring": 8}


def make(folder, split: str, units: str = "frames", more: str = "", **tables: str):
    """Four drives of 3-D descriptors, whose first number is the drive's and second the row's."""
    lines = [f'name = "seasons"\nunits = "{units}"\n{more}']
    for number, (name, count) in enumerate(SEASONS.items()):
        values = np.stack([np.full(count, number), np.arange(count), np.ones(count)], axis=1).astype(np.float32)
        np.save(folder / f"{name}.npy", values)
        lines.append(f'[traverses.{name}]\ndescriptors = "{name}.npy"')
        if name in tables:
            (folder / f"{name}.csv").write_text(tables[name])
            lines.append(f'frames = "{name}.csv"')
    lines.append(f"[splits.test]\n{split}")
    (folder / "dataset.toml").write_text("\n".join(lines))
    return folder


def opened(folder, split: str, **more):
    return load_folder(make(folder, split, **more)).splits["test"]


def refused(folder) -> str:
    with pytest.raises(UserError) as caught:
        load_dataset(str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def values(traverse) -> list[tuple[int, int]]:
    """Number of the drive and row of each frame."""
    return [(int(drive), int(row)) for drive, row, _ in np.asarray(traverse.descriptors)]


def drives(traverse) -> list[tuple[str, int, int]]:
    return [(drive.name, drive.start, drive.stop) for drive in traverse.drives]


def test_a_split_names_several_drives_of_either_side(tmp_path):
    split = opened(tmp_path, 'reference = ["summer", "fall"]\nquery = ["winter"]\npositive_radius = 1')
    assert drives(split.reference) == [("summer", 0, 10), ("fall", 10, 20)]
    assert drives(split.query) == [("winter", 0, 10)]
    assert values(split.reference) == [(drive, row) for drive in (0, 1) for row in range(10)]
    assert split.reference.positions.ravel().tolist() == [*range(10), *range(10)]
    assert [part.source.rsplit("/", 1)[1] for part in split.reference.parts] == ["summer.npy", "fall.npy"]


def test_one_drive_in_a_list_is_that_drive(tmp_path):
    plain = 'reference = "summer"\nquery = "winter"\nreference_rows = [2, 8]\npositive_radius = 1'
    listed = 'reference = ["summer"]\nquery = ["winter"]\nreference_rows = [[2, 8]]\npositive_radius = 1'
    assert read_toml(make(tmp_path, listed)) == read_toml(make(tmp_path, plain))
    split = opened(tmp_path, listed)
    assert (split.reference.name, split.reference.joined) == ("summer", ())


def test_one_range_of_rows_is_of_all_drives_and_a_list_has_one_for_each(tmp_path):
    both = 'reference = ["summer", "fall"]\nquery = "winter"\npositive_radius = 1\n'
    split = opened(tmp_path, both + "reference_rows = [2, 4]")
    assert values(split.reference) == [(0, 2), (0, 3), (1, 2), (1, 3)]
    split = opened(tmp_path, both + "reference_rows = [[2, 4], [5, 6]]")
    assert values(split.reference) == [(0, 2), (0, 3), (1, 5)]
    assert split.reference.drive_rows.tolist() == [2, 3, 5]


def test_scored_frames_are_listed_for_all_drives_or_for_each(tmp_path):
    (tmp_path / "a.txt").write_text("1\n3\n")
    (tmp_path / "b.txt").write_text("2\n")
    both = 'reference = ["summer", "fall"]\nquery = "winter"\npositive_radius = 1\n'
    split = opened(tmp_path, both + 'reference_score = "a.txt"')
    assert np.flatnonzero(split.reference.scored).tolist() == [1, 3, 11, 13]
    split = opened(tmp_path, both + 'reference_score = ["a.txt", "b.txt"]\nreference_rows = [1, 10]')
    assert np.flatnonzero(split.reference.scored).tolist() == [0, 2, 10]


def test_a_table_of_positives_counts_rows_over_all_drives(tmp_path):
    (tmp_path / "p.csv").write_text("query,reference\n3,12\n3,2\n14,5\n")
    both = 'reference = ["summer", "fall"]\nquery = ["winter", "fall"]\npositives = "p.csv"\nreference_rows = [2, 8]\n'
    split = opened(tmp_path, both + "query_rows = [3, 8]")
    lists = [split.positives[row].tolist() for row in range(len(split.query))]
    assert lists == [[0, 6], [], [], [], [], [], [3], [], [], []]


def test_a_table_of_positives_by_names_says_the_drive_where_names_are_equal(tmp_path):
    names = "name\n" + "\n".join(f"{row}.png" for row in range(10))
    (tmp_path / "p.csv").write_text("query,reference\n0.png,summer/4.png\n0.png,fall/5.png\n")
    toml = 'reference = ["summer", "fall"]\nquery = "winter"\npositives = "p.csv"'
    split = opened(tmp_path, toml, summer=names, fall=names, winter=names)
    assert split.positives[0].tolist() == [4, 15]
    (tmp_path / "p.csv").write_text("query,reference\n0.png,4.png\n")
    assert "no reference frame '4.png'; wanted one of its frame names" in refused(tmp_path)


def test_degrees_of_all_drives_are_metres_in_one_plane(tmp_path):
    def degrees(count: int, latitude: float) -> str:
        return "lat,lon\n" + "\n".join(f"{latitude},{6 + row / 1000}" for row in range(count))

    toml = 'reference = ["summer", "fall"]\nquery = "winter"\npositive_radius = 5'
    tables = {"summer": degrees(10, 50), "fall": degrees(10, 50.001), "winter": degrees(10, 50)}
    split = opened(tmp_path, toml, units="metres", **tables)
    assert split.reference.positions.shape == (20, 3)
    assert np.abs(split.reference.positions[:10] - split.query.positions).max() == 0
    north = split.reference.positions[10:, 1] - split.reference.positions[:10, 1]
    assert north == pytest.approx(111.2, abs=0.2)
    assert split.reference.lat_lon[[0, 10], 0].tolist() == [50, 50.001]
    tables["fall"] = "x,y\n" + "\n".join(f"{row},0" for row in range(10))
    make(tmp_path, toml, units="metres", **tables)
    assert "traverse fall and the others of its split do not have the same kind of position" in refused(tmp_path)


def test_rows_are_places_only_where_all_drives_have_equally_many(tmp_path):
    toml = 'reference = ["summer", "spring"]\nquery = "winter"\npositive_radius = 1'
    split = opened(tmp_path, toml)
    assert split.unequal_rows == (("summer", 10), ("spring", 8))
    with pytest.raises(UserError, match="summer has 10 frames and spring 8, none with a position"):
        split.require_places("split test of seasons")
    assert opened(tmp_path, f"{toml}\nrows_are_places = true").unequal_rows is None


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("reference = []", "splits.test.reference is []; wanted text, or a list of texts"),
        ('reference = ["summer", ""]', "splits.test.reference is ['summer', '']; wanted text, or a list"),
        ('reference = ["summer", 3]', "splits.test.reference is ['summer', 3]; wanted text, or a list of"),
        ('reference = ["summer", "summer"]', "splits.test.reference names 'summer' twice; name each drive once"),
        ('reference = ["summer", "autumn"]', "splits.test names traverse 'autumn'; there are flat, seen, summer"),
        ('reference = "summer"\nreference_rows = [[0, 2], [1, 3]]', "reference_rows is given for 2 drives, and refer"),
        ('reference = ["summer", "fall"]\nreference_rows = [[0, 2], [1]]', "reference_rows is [1]; wanted two whole"),
        ('reference = ["summer", "fall"]\nreference_rows = [[0, 2]]', "reference_rows is given for 1 drive, and refer"),
        ('reference = ["summer", "fall"]\nreference_score = ["a.txt"]', "reference_score is given for 1 drive, and"),
        ('reference = ["summer", "fall"]\nreference_rows = []', "reference_rows is []; wanted two whole numbers"),
        ('reference = ["summer", "fall"]\nreference_rows = [8, 11]', "leaves nothing or goes beyond the 10 frames"),
        ('reference = ["summer", "fall"]\nquery_score = ["a.txt", "b.txt"]', "query_score is given for 2 drives"),
        ('reference = ["summer", "flat"]', "splits.test: summer has 3-D descriptors and flat 2-D"),
        ('reference = ["summer", "seen"]', "summer descriptors only; give all drives descriptors or all of them"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_split(tmp_path, split, message):
    np.save(tmp_path / "flat.npy", np.ones((10, 2), np.float32))
    (tmp_path / "seen").mkdir()
    for row in range(10):
        (tmp_path / "seen" / f"{row}.png").touch()
    more = '[traverses.flat]\ndescriptors = "flat.npy"\n[traverses.seen]\nimages = "seen"'
    make(tmp_path, f'{split}\nquery = "winter"\npositive_radius = 1', more=more)
    assert message in refused(tmp_path)


def test_query_and_reference_drives_are_compared_too(tmp_path):
    np.save(tmp_path / "flat.npy", np.ones((10, 2), np.float32))
    more = '[traverses.flat]\ndescriptors = "flat.npy"'
    split = opened(tmp_path, 'reference = ["summer", "fall"]\nquery = "flat"\npositive_radius = 1', more=more)
    with pytest.raises(UserError, match=r"summer \+ fall has 3-D descriptors and flat 2-D"):
        check_split("seasons", split)


def test_what_made_descriptors_is_compared_for_every_drive(tmp_path):
    folder = make(tmp_path, 'reference = ["summer", "fall"]\nquery = "winter"\npositive_radius = 1')
    for name, encoder in (("summer", "hog"), ("fall", "netvlad"), ("winter", "hog")):
        record = {"encoder": encoder, "weights": {"kind": "none"}, "rows": 10, "dims": 3}
        (folder / f"{name}.json").write_text(json.dumps(record))
    made = of_data(load_folder(folder).splits["test"])
    assert list(made) == ["summer (reference of test)", "fall (reference of test)", "winter (query of test)"]
    (difference,) = Comparison.of(made).differences
    assert difference == "encoder hog for summer (reference of test), netvlad for fall (reference of test)"


def test_what_is_written_has_a_list_only_where_there_are_several(tmp_path):
    traverses = {name: TraverseEntry(f"{name}.npy") for name in ("a", "b", "c")}
    splits = {
        "train": SplitEntry(("a", "b"), "c", ((0, 5), (1, 6)), (0, 5), 1.0, 5.0),
        "test": SplitEntry("a", ("b", "c"), None, None, 1.0, query_score=("b.txt", "c.txt")),
    }
    entry = FolderEntry("written", "frames", traverses, splits)
    write_toml(tmp_path, entry)
    assert read_toml(tmp_path) == entry
    text = format_toml(entry)
    assert 'reference = ["a", "b"]\nquery = "c"\nreference_rows = [[0, 5], [1, 6]]\nquery_rows = [0, 5]' in text
