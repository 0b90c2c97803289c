import numpy as np
import pytest

from opticornet.datasets.prepare.sources import msls
from opticornet.datasets.prepare.sources.msls import SUBTASKS, Msls
from opticornet.datasets.seqnet.structs import read_bounds, read_image_names, read_struct
from opticornet.utils.errors import UserError


def read(root, **options):
    return Msls(**options).read(root)


def write(path, header, rows):
    lines = [("", *header), *((i, *row) for i, row in enumerate(rows))]
    path.write_text("\n".join(",".join(map(str, line)) for line in lines))


def make(
    root,
    city="x",
    role="database",
    keys="abcdef",
    sequences="ssstts",
    numbers=(0, 1, 2, 0, 1, 4),
    easting=None,
    northing=None,
    pano=None,
    subtask=None,
    images=None,
):
    """One role of a city, as shipped. Tables hold columns that prepare does not read, too."""
    folder = root / "train_val" / city / role
    (folder / "images").mkdir(parents=True)
    count = len(keys)
    for key in keys if images is None else images:
        (folder / "images" / f"{key}.jpg").touch()
    east = np.arange(count) * 1.5 if easting is None else easting
    north = np.arange(count) * -2.25 if northing is None else northing
    pano = [False] * count if pano is None else pano
    write(folder / "seq_info.csv", ("key", "sequence_key", "frame_number"), zip(keys, sequences, numbers, strict=True))
    write(
        folder / "postprocessed.csv",
        ("key", "easting", "northing", "night", "view_direction"),
        [(key, float(e), float(n), False, "Forward") for key, e, n in zip(keys, east, north, strict=True)],
    )
    write(
        folder / "raw.csv",
        ("key", "lon", "lat", "ca", "captured_at", "pano"),
        [(key, 0, 0, 0, "2019-01-01", p) for key, p in zip(keys, pano, strict=True)],
    )
    if subtask is not None:
        write(folder / "subtask_index.csv", ("all", "d2n"), [(True, s) for s in subtask])
    return folder


def both(root, **changes):
    return [make(root, role=role, **changes) for role in ("database", "query")]


def test_order_positions_and_sequences(tmp_path):
    both(tmp_path, keys="fbcaed", sequences="tssstt", numbers=(7, 2, 0, 1, 5, 6))
    prepared = read(tmp_path, test_city=("x",))
    database = prepared.traverses[0]
    # t comes first in the table; in it 5, 6, 7; then s with 0, 1, 2
    assert database.names == ("e", "d", "f", "c", "a", "b")
    assert database.positions["x"].tolist() == [6.0, 7.5, 0.0, 3.0, 4.5, 1.5]
    assert database.positions["y"].tolist() == [-9.0, -11.25, 0.0, -4.5, -6.75, -2.25]
    assert database.sequence_numbers().tolist() == [0, 0, 0, 1, 1, 1]
    assert database.placed == "x, y of postprocessed.csv, by key; all 6 images have one"
    assert database.images[0] == str(tmp_path / "train_val" / "x" / "database" / "images" / "e.jpg")
    (split,) = prepared.splits
    assert (split.name, split.reference[0].drive, split.query[0].drive) == ("test", "x_database", "x_query")
    assert (split.positive_radius, split.negative_radius) == (10.0, None)


def test_missing_frame_numbers(tmp_path):
    both(tmp_path)  # sequence s has frames 0, 1, 2, 4
    assert read(tmp_path, test_city=("x",)).traverses[0].sequence_numbers().tolist() == [0, 0, 0, 0, 1, 1]
    assert read(tmp_path, test_city=("x",), break_gaps=True).traverses[0].sequence_numbers().tolist() == [
        0,
        0,
        0,
        1,
        2,
        2,
    ]


def test_a_city_a_split(tmp_path):
    both(tmp_path, city="melbourne")
    both(tmp_path, city="austin")
    prepared = read(tmp_path, train_city="melbourne", val_city="austin", test_city=("austin",), negative_radius=25.0)
    assert [t.name for t in prepared.traverses] == [
        "melbourne_database",
        "melbourne_query",
        "austin_database",
        "austin_query",
    ]
    assert [(s.name, s.query[0].drive, s.positive_radius, s.negative_radius) for s in prepared.splits] == [
        ("train", "melbourne_query", 10.0, 25.0),
        ("val", "austin_query", 10.0, None),
        ("test", "austin_query", 10.0, None),
    ]


def test_panoramas_and_subtasks(tmp_path):
    both(tmp_path, pano=[False, True, False, False, False, False], subtask=[True, True, True, False, True, False])
    prepared = read(tmp_path, train_city="x", test_city=("x",), subtask="day2night")
    by_name = {t.name: t.names for t in prepared.traverses}
    assert by_name["x_database"] == ("a", "c", "f", "d", "e")  # training takes all subtasks
    assert by_name["x_database_d2n"] == by_name["x_query_d2n"] == ("a", "c", "e")
    assert "x_database: 1 panoramas left out" in prepared.notes


def test_subtasks_are_the_columns_of_the_shipped_table():
    assert sorted(SUBTASKS.values()) == ["all", "d2n", "n2d", "n2o", "o2n", "s2w", "w2s"]


def test_tables_in_another_order_are_joined_by_key(tmp_path):
    folder, _ = both(tmp_path)
    expected = read(tmp_path, test_city=("x",)).traverses[0]
    lines = (folder / "postprocessed.csv").read_text().splitlines()
    (folder / "postprocessed.csv").write_text("\n".join([lines[0], *lines[:0:-1]]))
    found = read(tmp_path, test_city=("x",)).traverses[0]
    assert found.positions["x"].tolist() == expected.positions["x"].tolist()


def test_root_may_be_train_val_itself(tmp_path):
    both(tmp_path)
    assert len(read(tmp_path / "train_val", test_city=("x",)).traverses[0]) == 6


@pytest.mark.parametrize("city", ["amman", "austin", "melbourne"])
def test_seqnets_bounds_order_and_positions(shared, tmp_path, city, monkeypatch):
    """seqNet's frames, laid out as MSLS ships a city: other frames between them, sequences by random key."""
    structs = shared / "data" / "seqnet-structs"
    struct = read_struct(next(structs.glob(f"msls_{city}_*.db")))
    for role, positions in (("database", struct.reference_positions), ("query", struct.query_positions)):
        listed = read_image_names(structs / "imageNamesFiles" / f"msls_{city}_{role}_imageNames.txt")
        bounds = read_bounds(structs / "seqBoundsFiles" / f"msls_{city}_{role}_seqBounds.txt")
        keys = [name.split("/")[-1].removesuffix(".jpg") for name in listed]
        extra = [f"extra{i}" for i in range(50)]
        labels = [f"sequence{7919 * low % 10007}-{low}" for low in bounds[:, 0]]
        make(
            tmp_path,
            city,
            role,
            [*keys, *extra],
            [*labels, *["other"] * 50],
            [*(np.arange(len(keys)) - bounds[:, 0]), *range(50)],
            np.append(positions[:, 0], np.zeros(50)),
            np.append(positions[:, 1], np.zeros(50)),
            images=(),
        )
    every = {
        role: read_image_names(structs / "imageNamesFiles" / f"msls_{city}_{role}_imageNames.txt")
        for role in ("database", "query")
    }
    unpacked = {
        role: [*(name.split("/")[-1] for name in names), *(f"extra{i}.jpg" for i in range(50))]
        for role, names in every.items()
    }
    monkeypatch.setattr(msls, "images_of", lambda folder: unpacked[folder.parent.name])
    pattern = str(structs / "imageNamesFiles" / "msls_{traverse}_imageNames.txt")
    for frame_list in ("", pattern):
        prepared = read(tmp_path, test_city=(city,), frame_list=frame_list)
        for traverse, role, positions in zip(
            prepared.traverses, ("database", "query"), (struct.reference_positions, struct.query_positions), strict=True
        ):
            count = len(positions)
            bounds = read_bounds(structs / "seqBoundsFiles" / f"msls_{city}_{role}_seqBounds.txt")
            assert len(traverse) == count + (0 if frame_list else 50)
            found = np.stack([traverse.positions["x"], traverse.positions["y"]], axis=1)
            np.testing.assert_array_equal(found[:count], positions)
            np.testing.assert_array_equal(np.diff(traverse.sequence_numbers()[:count]) != 0, np.diff(bounds[:, 0]) != 0)


def refused(root, **arguments):
    with pytest.raises(UserError) as error:
        read(root, **({"test_city": ("x",)} | arguments))
    return str(error.value)


def test_bad_cities(tmp_path):
    both(tmp_path)
    (tmp_path / "test" / "miami").mkdir(parents=True)
    assert "give `train_city`" in refused(tmp_path, test_city=())
    assert "no city 'y' in train_val or test; found x, miami" in refused(tmp_path, test_city=("y",))
    assert "no positions (postprocessed.csv), with which cities" in refused(tmp_path, test_city=("miami",))
    assert "split test-x would come twice" in refused(tmp_path, test_city=("x", "x"))


def published_since_2026(root, city):
    """A city of the test set with its positions."""
    both(root, city=city)
    (root / "test").mkdir(exist_ok=True)
    (root / "train_val" / city).rename(root / "test" / city)


def test_several_cities_to_test_on_are_splits_of_their_own(tmp_path):
    both(tmp_path, city="austin")
    for city in ("cph", "sf"):
        published_since_2026(tmp_path, city)
    prepared = read(tmp_path, val_city="austin", test_city=("cph", "sf"))
    assert [(s.name, s.reference[0].drive, s.query[0].drive) for s in prepared.splits] == [
        ("val", "austin_database", "austin_query"),
        ("test-cph", "cph_database", "cph_query"),
        ("test-sf", "sf_database", "sf_query"),
    ]
    assert prepared.traverses[-1].images[0] == str(tmp_path / "test" / "sf" / "query" / "images" / "a.jpg")


def test_a_city_of_the_test_set_may_lack_the_table_of_panoramas(tmp_path):
    published_since_2026(tmp_path, "cph")
    for role in ("database", "query"):
        (tmp_path / "test" / "cph" / role / "raw.csv").unlink()
    prepared = read(tmp_path, test_city=("cph",))
    assert [len(traverse) for traverse in prepared.traverses] == [6, 6]
    assert prepared.traverses[0].positions["x"].tolist()[:3] == [0.0, 1.5, 3.0]


def test_bad_tables(tmp_path):
    folder, _ = both(tmp_path)
    good = (folder / "raw.csv").read_text()
    (folder / "raw.csv").write_text(good.replace("False", "no"))
    assert "line 2: pano is 'no'; wanted true or false" in refused(tmp_path)
    (folder / "raw.csv").write_text(good.replace("\n0,a", "\n0,z"))
    assert "raw.csv: 1 keys of seq_info.csv are missing, first a" in refused(tmp_path)
    (folder / "raw.csv").write_text(good.replace("pano", "panorama"))
    assert "no column pano; it has key, lon" in refused(tmp_path)
    (folder / "raw.csv").write_text(good + ",1")
    assert "line 7 has 8 cells, the header has 7" in refused(tmp_path)
    (folder / "raw.csv").unlink()
    assert "raw.csv: no such table" in refused(tmp_path)
    (folder / "raw.csv").write_text(good)
    table = (folder / "postprocessed.csv").read_text()
    (folder / "postprocessed.csv").write_text(table.replace("1.5", "east"))
    assert "line 3: easting is 'east'; wanted a finite number" in refused(tmp_path)
    (folder / "postprocessed.csv").write_text(table.splitlines()[0])
    assert "no rows; wanted a header" in refused(tmp_path)


def test_bad_subtasks(tmp_path):
    folder, _ = both(tmp_path, subtask=[False] * 6)
    assert "no frame is left of 6 for subtask day2night" in refused(tmp_path, subtask="day2night")
    write(folder / "subtask_index.csv", ("d2n",), [(True,)] * 5)
    assert "5 rows, seq_info.csv has 6" in refused(tmp_path, subtask="day2night")


def test_images_that_were_not_unpacked(tmp_path):
    both(tmp_path, images="abcf")
    assert "2 of 6 rows match no image, first d.jpg; unpack all parts" in refused(tmp_path)
