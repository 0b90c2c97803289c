import numpy as np
import pytest

from opticornet.datasets.folder.reading import load_folder
from opticornet.datasets.prepare.sources.utm_names import UtmNames
from opticornet.datasets.prepare.writing import write_prepared
from opticornet.utils.errors import UserError


def read(root, **options):
    return UtmNames(**options).read(root)


def image(easting, northing, zone="17", note="", letter="T"):
    return f"@{easting}@{northing}@{zone}@{letter}@40.44@-79.99@pano@@90@@@@201401@{note}@.jpg"


def fill(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_splits_positions_and_order(tmp_path):
    for part in ("train", "val", "test"):
        fill(tmp_path / "images" / part / "database", image("584500.5", "4477000.25"), image("584510.0", "4477001.00"))
        fill(tmp_path / "images" / part / "queries", image("0584502.0", "4477003.00"))
    prepared = read(tmp_path)
    names = [f"{part}-{role}" for part in ("train", "val", "test") for role in ("database", "queries")]
    assert [traverse.name for traverse in prepared.traverses] == names
    assert prepared.traverses[0].positions["x"].tolist() == [584500.5, 584510.0]
    assert prepared.traverses[0].positions["y"].tolist() == [4477000.25, 4477001.0]
    assert prepared.traverses[1].positions["x"].tolist() == [584502.0]
    assert prepared.traverses[0].placed == "the names of the images; all 2 have one"
    assert prepared.units == "metres"
    assert [(s.name, s.positive_radius, s.negative_radius) for s in prepared.splits] == [
        ("train", 10.0, 25.0),
        ("val", 25.0, None),
        ("test", 25.0, None),
    ]


def test_a_lone_pair_is_the_test_split_and_folders_are_sequences(tmp_path):
    fill(tmp_path / "database", "s1/" + image(1, 2), "s1/" + image(2, 2), "s2/" + image(3, 2))
    fill(tmp_path / "query", "@5@6@.jpg")  # only a position
    prepared = read(tmp_path, positive_radius=5.0)
    assert prepared.traverses[0].sequence_numbers().tolist() == [0, 0, 1]
    assert prepared.traverses[1].sequence_numbers().tolist() == [0]
    assert [(s.name, s.reference[0].drive, s.query[0].drive, s.positive_radius) for s in prepared.splits] == [
        ("test", "test-database", "test-query", 5.0)
    ]


def refused(root):
    with pytest.raises(UserError) as error:
        read(root)
    return str(error.value)


def test_bad_input(tmp_path):
    assert "no folders database and queries" in refused(tmp_path)
    fill(tmp_path / "database", image(1, 2), "plain.jpg", "@x@2@.jpg", "@nan@2@.jpg")
    (tmp_path / "queries").mkdir()
    assert "3 of 4 names hold no position, first @nan@2@.jpg" in refused(tmp_path)
    for name in ("plain.jpg", "@x@2@.jpg", "@nan@2@.jpg"):
        (tmp_path / "database" / name).unlink()
    assert f"no images in {tmp_path / 'queries'}" in refused(tmp_path)
    fill(tmp_path / "queries", image(1, 2, "17"), image(1, 2, "18"))
    assert "positions in UTM zones 17 and 18" in refused(tmp_path)


def edge_image(number, latitude=49.5):
    """Frames 10 m apart eastwards along a parallel, across the edge of zones 31 and 32 at 6 degrees east."""
    longitude = 6 + (number - 5) * 10 / (111_320 * np.cos(np.radians(latitude)))
    zone, easting = (31, 717_000 + 10 * number) if longitude < 6 else (32, 283_000 + 10 * number)
    return f"@{easting:.2f}@5487000.00@{zone}@U@{latitude:.6f}@{longitude:.6f}@@@@@@@@@{number}@.jpg"


def test_a_split_across_the_edge_of_a_zone_has_right_metres(tmp_path):
    fill(tmp_path / "root" / "database", *(edge_image(number) for number in range(10)))
    fill(tmp_path / "root" / "queries", *(edge_image(number) for number in (3, 8)))
    prepared = read(tmp_path / "root")
    assert [list(traverse.positions) for traverse in prepared.traverses] == [["lat", "lon"]] * 2
    write_prepared(tmp_path / "out", "edge", prepared)
    split = load_folder(tmp_path / "out").splits["test"]
    numbers = [int(name.split("@")[-2]) for side in (split.reference, split.query) for name in side.names]
    metres = np.concatenate([split.reference.positions, split.query.positions])
    distances = np.linalg.norm(metres[:, None] - metres, axis=2)
    np.testing.assert_allclose(distances, 10 * np.abs(np.subtract.outer(numbers, numbers)), rtol=0.005, atol=0.15)


def test_names_that_cross_a_zone_without_usable_degrees(tmp_path):
    fill(tmp_path / "database", *(edge_image(number) for number in range(10)))
    fill(tmp_path / "queries", "@1@2@32@U@@@.jpg")
    assert "@1@2@32@U@@@.jpg holds no latitude and longitude of its zone; prepare each alone" in refused(tmp_path)
    (tmp_path / "queries" / "@1@2@32@U@@@.jpg").rename(tmp_path / "queries" / "@1@2@32@U@6.000001@49.500001@.jpg")
    assert "holds no latitude and longitude of its zone" in refused(tmp_path)


def test_positions_that_cannot_be_compared(tmp_path):
    fill(tmp_path / "zones" / "database", image(1, 2, "17"))
    fill(tmp_path / "zones" / "queries", image(1, 2, "18"))
    assert "positions in UTM zones 17 and 18, between which distances mean nothing" in refused(tmp_path / "zones")
    assert "longitudes have 2 decimals, wanted 5, a metre" in refused(tmp_path / "zones")
    fill(tmp_path / "equator" / "database", image(1, 9999999, letter="M"))
    fill(tmp_path / "equator" / "queries", image(1, 1, letter="N"))
    assert "both sides of the equator (UTM letters M, N)" in refused(tmp_path / "equator")
    fill(tmp_path / "bands" / "database", image(1, 2, letter="U"))
    fill(tmp_path / "bands" / "queries", image(1, 2, letter="T"), "@1@2@.jpg")
    assert len(read(tmp_path / "bands").traverses[1]) == 2
