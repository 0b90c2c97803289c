import shutil

import numpy as np
import pytest

from opticornet.datasets.catalogue import load_dataset, split_names
from opticornet.datasets.seqnet.structs import read_bounds, read_split_indices, read_struct
from opticornet.utils.errors import UserError

REFERENCE, QUERY = "oxford_2015-03-17-11-08-44_stereo_left", "oxford_2014-12-16-18-44-24_stereo_left"
DIMS = 4


@pytest.fixture
def structs(shared):
    return shared / "data" / "seqnet-structs"


def save(data_path, name: str, count: int) -> np.ndarray:
    """Descriptors where row i begins with i, so that a row tells where it comes from."""
    folder = data_path / "descData" / "netvlad-pytorch"
    folder.mkdir(parents=True, exist_ok=True)
    values = np.ones((count, DIMS), np.float32)
    values[:, 0] = np.arange(count)
    np.save(folder / f"{name}.npy", values)
    return values


@pytest.mark.parametrize(
    ("name", "seasons"), [("nordland-sw", ("summer", "winter")), ("nordland-sf", ("spring", "fall"))]
)
def test_nordland_needs_no_struct_file(tmp_path, name, seasons):
    for season in seasons:
        save(tmp_path, f"nordland-clean-{season}", 21200)
    dataset = load_dataset(name, data_path=tmp_path, struct_path=tmp_path / "none")
    assert dataset.name == name
    found = {
        split.name: (split.reference.name, split.query.name, split.positive_radius, split.negative_radius)
        for split in dataset.splits.values()
    }
    assert found == {
        "train": (*seasons, 10, 40),
        "val": (*seasons, 1, None),
        "test": (*seasons, 1, None),
    }
    for split, (start, stop) in (("train", (0, 15000)), ("val", (18200, 21200)), ("test", (15100, 18100))):
        for traverse in (dataset.splits[split].reference, dataset.splits[split].query):
            assert len(traverse) == stop - start
            assert traverse.positions[[0, -1], 0].tolist() == [start, stop - 1]
            assert traverse.descriptors[[0, -1], 0].tolist() == [start, stop - 1]
            assert traverse.bounds[0].tolist() == [0, stop - start]
            assert traverse.units == "frames"
            assert traverse.names is None


def test_nordland_is_what_its_struct_files_say(tmp_path, structs):
    for season in ("summer", "winter"):
        save(tmp_path, f"nordland-clean-{season}", 27592)
    dataset = load_dataset("nordland-sw", data_path=tmp_path, struct_path=structs)
    for path in structs.glob("nordland_*.db"):
        struct = read_struct(path)
        split = dataset.splits[struct.split]
        np.testing.assert_array_equal(split.reference.positions, struct.reference_positions)
        np.testing.assert_array_equal(split.query.positions, struct.query_positions)
        assert split.reference.names == struct.reference_names
        if struct.split == "train":
            assert (split.positive_radius, split.negative_radius) == (struct.training_positive_radius, struct.radius)
        else:
            assert split.positive_radius == struct.radius


def test_nordland_with_too_few_rows(tmp_path):
    for season in ("summer", "winter"):
        save(tmp_path, f"nordland-clean-{season}", 1000)
    with pytest.raises(UserError, match="1000 descriptors; the test split takes rows 15100 to 18100"):
        load_dataset("nordland-sw", splits=("test",), data_path=tmp_path)


def test_missing_descriptors_are_named(tmp_path, structs):
    for name, file in (
        ("nordland-sf", "nordland-clean-spring"),
        ("oxford-pnv", REFERENCE),
        ("msls", "msls_austin_database"),
    ):
        with pytest.raises(UserError, match=rf"{file}\.npy: no such descriptor file"):
            load_dataset(name, splits=("test",), data_path=tmp_path, struct_path=structs)


@pytest.mark.parametrize(
    ("name", "test_radius", "train_counts", "test_counts"),
    [("oxford-v1.0", 10, (2981, 2931), (1574, 1576)), ("oxford-pnv", 25, (3029, 2971), (1570, 1579))],
)
def test_oxford(tmp_path, structs, name, test_radius, train_counts, test_counts):
    save(tmp_path, REFERENCE, 4599)
    save(tmp_path, QUERY, 4550)
    dataset = load_dataset(name, data_path=tmp_path, struct_path=structs)
    counts = {split: (len(s.reference), len(s.query)) for split, s in dataset.splits.items()}
    assert counts == {"train": train_counts, "val": test_counts, "test": test_counts}
    train, test = dataset.splits["train"], dataset.splits["test"]
    assert (train.positive_radius, train.negative_radius) == (5, 20)
    assert (test.positive_radius, test.negative_radius) == (test_radius, None)
    assert dataset.splits["val"].positive_radius == test_radius
    for split in dataset.splits.values():
        rows = read_split_indices(structs / f"{name}_splitInds.npz", f"{split.name}Inds")
        for traverse, expected in zip((split.reference, split.query), rows, strict=True):
            np.testing.assert_array_equal(np.asarray(traverse.descriptors)[:, 0], expected)
            assert traverse.units == "metres"
            assert traverse.bounds[-1].tolist() == [0, len(traverse)]
    assert test.reference.names[0].startswith("2015-03-17-11-08-44/stereo/left/")


def test_oxford_with_too_few_rows(tmp_path, structs):
    save(tmp_path, REFERENCE, 3000)
    save(tmp_path, QUERY, 4550)
    with pytest.raises(UserError, match=r"3000 descriptors, but .* asks for row 3983"):
        load_dataset("oxford-v1.0", splits=("test",), data_path=tmp_path, struct_path=structs)


def test_msls(tmp_path, structs):
    for city, counts in (("melbourne", (4973, 4474)), ("austin", (4927, 1732)), ("amman", (953, 835))):
        save(tmp_path, f"msls_{city}_database", counts[0])
        save(tmp_path, f"msls_{city}_query", counts[1])
    where = {"data_path": tmp_path, "struct_path": structs}
    dataset = load_dataset("msls", **where)
    train, val = dataset.splits["train"], dataset.splits["val"]
    assert (train.reference.name, train.query.name) == ("melbourne-database", "melbourne-query")
    assert (val.reference.name, val.query.name) == ("austin-database", "austin-query")
    assert (train.positive_radius, train.negative_radius) == (10, 10)
    assert (val.positive_radius, val.negative_radius) == (10, None)
    bounds = read_bounds(structs / "seqBoundsFiles" / "msls_melbourne_query_seqBounds.txt")
    np.testing.assert_array_equal(train.query.bounds, bounds)
    where |= {"msls_train_city": "nowhere", "msls_val_city": "amman"}
    amman = load_dataset("msls", splits=("test",), **where).splits["test"]
    assert (len(amman.reference), len(amman.query)) == (953, 835)


def test_msls_cities_to_test_on(tmp_path, structs):
    for city, counts in (("austin", (4927, 1732)), ("amman", (953, 835))):
        save(tmp_path, f"msls_{city}_database", counts[0])
        save(tmp_path, f"msls_{city}_query", counts[1])
    where = {"data_path": tmp_path, "struct_path": structs}
    assert split_names("msls", msls_test_city=("amman", "austin")) == ("train", "val", "test-amman", "test-austin")
    both = load_dataset("msls", splits=("test-amman", "test-austin"), msls_test_city=("amman", "austin"), **where)
    assert [len(split.query) for split in both.splits.values()] == [835, 1732]
    (one,) = load_dataset("msls", splits=("test",), msls_test_city=("amman",), **where).splits.values()
    assert one.reference.name == "amman-database"
    with pytest.raises(UserError, match="no split 'test'; it has train, val, test-amman, test-austin"):
        load_dataset("msls", splits=("test",), msls_test_city=("amman", "austin"), **where)


def test_msls_city_without_files(tmp_path, structs):
    with pytest.raises(UserError) as caught:
        load_dataset("msls", splits=("test",), struct_path=structs, msls_val_city="atlantis")
    assert "no file matches msls_atlantis_*.db; wanted seqNet's struct file there" in str(caught.value)
    assert "make a dataset folder from the images: mode prepare, `source` msls" in str(caught.value)


def test_msls_with_a_descriptor_too_few(tmp_path, structs):
    save(tmp_path, "msls_amman_database", 952)
    save(tmp_path, "msls_amman_query", 835)
    with pytest.raises(UserError, match=r"952 descriptors, but .*msls_amman_d-20_d2-5\.db has 953 frames"):
        load_dataset("msls", splits=("test",), data_path=tmp_path, struct_path=structs, msls_val_city="amman")


def test_two_struct_files_for_one_city(tmp_path, structs):
    source = structs / "msls_amman_d-20_d2-5.db"
    for name in ("msls_amman_d-10_d2-10.db", "msls_amman_d-20_d2-5.db"):
        shutil.copy(source, tmp_path / name)
    with pytest.raises(UserError, match=r"2 files match msls_amman_\*\.db"):
        load_dataset("msls", splits=("test",), struct_path=tmp_path, msls_val_city="amman")
