import numpy as np
import pytest

from opticornet.datasets.folder.reading import load_folder
from opticornet.datasets.prepare.sources.utm_sequences import UtmSequences
from opticornet.datasets.prepare.writing import write_prepared
from opticornet.utils.errors import UserError


def fill(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def msls(number, sequence="s1", city="cph", east=300000.0, north=6170000.0):
    return f"{sequence}/@{east + 4 * number:.2f}@{north:.2f}@{sequence}@{number}@key{number}@{city}@20190101@.jpg"


def robotcar(number, date="2014-12-16"):
    return f"sequence/@{5735000 + 2 * number:.3f}@{620000 + number:.3f}@{date}@{number}@{1418721355000 + number}@.jpg"


def nordland(number, season="spring"):
    return f"@{number}@0@{season}@{number}@image{number}@.png"


def pair(folder, names, queries=None):
    fill(folder / "database", *names)
    fill(folder / "queries", *(queries or names))


def refused(root, **options):
    with pytest.raises(UserError) as error:
        UtmSequences(**options).read(root)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_frames_are_in_the_order_of_their_numbers_and_sequences_end_at_missing_ones(tmp_path):
    numbers = (8, 9, 10, 100, 101, 102)  # by name, 10 and 100 come before 8
    names = [msls(number, "s2") for number in (3, 4)] + [msls(number) for number in numbers]
    for part in ("train", "val", "test"):
        pair(tmp_path / "in" / part, names, [msls(1)])
    prepared = UtmSequences().read(tmp_path / "in")
    assert [traverse.name for traverse in prepared.traverses] == [
        f"{part}-{role}" for part in ("train", "val", "test") for role in ("database", "queries")
    ]
    assert [(split.name, split.positive_radius, split.negative_radius) for split in prepared.splits] == [
        ("train", 10.0, 25.0),
        ("val", 10.0, None),
        ("test", 10.0, None),
    ]
    database = prepared.traverses[0]
    assert list(database.names) == [msls(number) for number in numbers] + [msls(3, "s2"), msls(4, "s2")]
    assert database.sequence_numbers().tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert (
        f"train-database: 89 frame numbers missing in 1 place of 2 folders, first after {msls(10)}; sequences end there"
        in prepared.notes
    )
    write_prepared(tmp_path / "out", "set", prepared)
    reference = load_folder(tmp_path / "out").splits["test"].reference
    assert reference.bounds[:, 0].tolist() == [0, 0, 0, 3, 3, 3, 6, 6]
    assert reference.images[0] == str(tmp_path / "in" / "test" / "database" / msls(8))


def test_northing_comes_first_in_names_of_robotcar(tmp_path):
    pair(tmp_path, [robotcar(3), robotcar(4)])
    prepared = UtmSequences().read(tmp_path)
    assert prepared.units == "metres"
    assert prepared.traverses[0].positions["x"].tolist() == [620003, 620004]
    assert prepared.traverses[0].positions["y"].tolist() == [5735006, 5735008]
    assert prepared.traverses[0].placed == "the names of the images (northing first); all 2 have one"
    assert prepared.notes == ()


@pytest.mark.parametrize("folder", ["", "sequence/"])
def test_nordland_is_in_frame_numbers_with_or_without_folders_of_sequences(tmp_path, folder):
    numbers = (9, 10, 11, 20)
    pair(tmp_path, [folder + nordland(number) for number in numbers])
    prepared = UtmSequences(positive_radius=2.0).read(tmp_path)
    assert prepared.units == "frames"
    assert prepared.traverses[0].positions["frame"].tolist() == list(numbers)
    assert prepared.traverses[0].sequence_numbers().tolist() == [0, 0, 0, 1]
    assert prepared.splits[0].positive_radius == 2.0


def test_coordinates_that_names_do_not_tell_are_asked_for(tmp_path):
    near_equator = [msls(number, north=35000.0) for number in (1, 2)]
    pair(tmp_path, near_equator)
    message = refused(tmp_path)
    assert (
        "names do not tell whether easting or northing comes first (300004 to 300008, then 35000 to 35000)" in message
    )
    assert "give `coordinates` easting-first" in message
    given = UtmSequences(coordinates="easting-first").read(tmp_path)
    assert given.traverses[0].positions["x"].tolist() == [300004, 300008]
    assert UtmSequences(coordinates="northing-first").read(tmp_path).traverses[0].positions["y"][0] == 300004
    assert UtmSequences(coordinates="frame-numbers").read(tmp_path).units == "frames"


def test_splits_of_both_orders_of_coordinates_are_not_mixed(tmp_path):
    pair(tmp_path, [msls(1)], [robotcar(1)])
    assert "names do not tell whether" in refused(tmp_path)


def test_cities(tmp_path):
    names = [msls(1), msls(2), msls(1, "s2", "sf", east=550000.0), msls(2, "s2", "sf", east=550000.0)]
    pair(tmp_path, names)
    both = UtmSequences().read(tmp_path)
    assert "test-database: positions of 2 cities are compared as if of one UTM zone; `cities` takes some" in both.notes
    some = UtmSequences(cities=("sf",)).read(tmp_path)
    assert some.traverses[1].names == tuple(names[2:])
    assert some.notes == ()
    assert len(UtmSequences(cities=("sf", "cph")).read(tmp_path).traverses[0]) == 4
    assert "no image of `cities` manila; it has cph, sf" in refused(tmp_path, cities=("manila",))


def test_bad_input(tmp_path):
    assert "no folders database and queries" in refused(tmp_path)
    pair(tmp_path, [msls(1), "s1/plain.jpg", "s1/@300000@6170000@s1@1.5@.jpg", "s1/@300000@6170000@.jpg"])
    assert "3 of 4 names hold no position and whole frame number, first s1/@300000@6170000@.jpg" in refused(tmp_path)
    twice = tmp_path / "twice"
    pair(twice, [msls(1), msls(1).replace("key", "other")])
    assert "are both frame 1 of their sequence, so their order is not known" in refused(twice)


def test_windows_never_reach_over_a_missing_frame(tmp_path):
    rng = np.random.default_rng(0)
    numbers = np.flatnonzero(rng.random(60) < 0.8)
    pair(tmp_path / "in", [msls(number) for number in numbers])
    write_prepared(tmp_path / "out", "set", UtmSequences().read(tmp_path / "in"))
    bounds = load_folder(tmp_path / "out").splits["test"].reference.bounds
    for low, high in np.unique(bounds, axis=0):
        assert numbers[high - 1] - numbers[low] == high - 1 - low
        assert high == len(numbers) or numbers[high] > numbers[high - 1] + 1
