import os
import pickle
import zipfile

import numpy as np
import pytest
from scipy.io import savemat

from opticornet.datasets.seqnet.structs import read_bounds, read_image_names, read_split_indices, read_struct
from opticornet.utils.errors import UserError

# (file, split, reference frames, query frames, P, radius, training positive radius)
REAL = [
    ("nordland_train_d-40_d2-10.db", "train", 15000, 15000, 1, 40, 10),
    ("nordland_val_d-1_d2-1.db", "val", 3000, 3000, 1, 1, 1),
    ("nordland_test_d-1_d2-1.db", "test", 3000, 3000, 1, 1, 1),
    ("oxford-v1.0_2015-03-17-11-08-44_2014-12-16-18-44-24_train_d-20_d2-5.db", "train", 2981, 2931, 2, 20, 5),
    ("oxford-v1.0_2015-03-17-11-08-44_2014-12-16-18-44-24_test_d-10_d2-5.db", "test", 1574, 1576, 2, 10, 5),
    ("oxford-pnv_2015-03-17-11-08-44_2014-12-16-18-44-24_train_d-20_d2-5.db", "train", 3029, 2971, 2, 20, 5),
    ("oxford-pnv_2015-03-17-11-08-44_2014-12-16-18-44-24_test_d-25_d2-5.db", "test", 1570, 1579, 2, 25, 5),
    ("msls_melbourne_d-20_d2-5.db", "train", 4973, 4474, 2, 10, 10),
    ("msls_austin_d-20_d2-5.db", "val", 4927, 1732, 2, 10, 10),
    ("msls_amman_d-20_d2-5.db", "test", 953, 835, 2, 10, 10),
]


@pytest.mark.parametrize(("name", "split", "references", "queries", "dims", "radius", "positive"), REAL)
def test_seqnets_struct_files(shared, name, split, references, queries, dims, radius, positive):
    struct = read_struct(shared / "data" / "seqnet-structs" / name)
    assert struct.split == split
    assert struct.reference_positions.shape == (references, dims)
    assert struct.query_positions.shape == (queries, dims)
    assert (len(struct.reference_names), len(struct.query_names)) == (references, queries)
    assert (struct.radius, struct.training_positive_radius) == (radius, positive)
    assert struct.units == ("frames" if dims == 1 else "metres")
    assert (struct.reference_gps is not None) == name.startswith("nordland")


def test_every_real_struct_file_is_tested(shared):
    files = {path.name for path in (shared / "data" / "seqnet-structs").glob("*.db")}
    assert files == {row[0] for row in REAL}


def test_golden_struct_files_hold_the_golden_positions(shared):
    for case in ("plain", "bounded"):
        struct = read_struct(shared / "golden" / "seqnet" / f"{case}.db")
        golden = np.load(shared / "golden" / "seqnet" / f"{case}.npz")
        np.testing.assert_array_equal(struct.reference_positions, golden["utmDb"])
        np.testing.assert_array_equal(struct.query_positions, golden["utmQ"])
        assert struct.radius == 5


@pytest.mark.parametrize("name", ["oxford-v1.0", "oxford-pnv"])
def test_seqnets_split_indices(shared, name):
    folder = shared / "data" / "seqnet-structs"
    for key, part in (("trainInds", "train"), ("valInds", "test"), ("testInds", "test")):
        struct = read_struct(next(folder.glob(f"{name}_*_{part}_*.db")))
        reference, query = read_split_indices(folder / f"{name}_splitInds.npz", key)
        assert (len(reference), len(query)) == (len(struct.reference_names), len(struct.query_names))


@pytest.mark.parametrize("city", ["melbourne", "austin", "amman"])
def test_seqnets_bounds_and_image_names(shared, city):
    folder = shared / "data" / "seqnet-structs"
    struct = read_struct(folder / f"msls_{city}_d-20_d2-5.db")
    for role, names in (("database", struct.reference_names), ("query", struct.query_names)):
        bounds = read_bounds(folder / "seqBoundsFiles" / f"msls_{city}_{role}_seqBounds.txt")
        assert len(bounds) == len(names)
        assert read_image_names(folder / "imageNamesFiles" / f"msls_{city}_{role}_imageNames.txt") == names


def struct_fields(**changes):
    fields = {
        "whichSet": "test",
        "dataset": "made",
        "dbImageFns": np.array(["a", "b", "c"], dtype=object).reshape(-1, 1),
        "qImageFns": np.array(["d", "e"], dtype=object).reshape(-1, 1),
        "numImages": 3,
        "numQueries": 2,
        "posDistThr": 5.0,
        "posDistSqThr": 25.0,
        "nonTrivPosDistSqThr": 4.0,
        "utmDb": np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
        "utmQ": np.array([[0.0, 1.0], [2.0, 3.0]]),
    }
    fields |= changes
    return {name: value for name, value in fields.items() if value is not None}


def struct_file(tmp_path, **changes):
    with open(tmp_path / "made.db", "wb") as file:
        savemat(file, {"dbStruct": struct_fields(**changes)})
    return tmp_path / "made.db"


def test_squared_and_plain_radii_are_told_apart(tmp_path):
    struct = read_struct(struct_file(tmp_path))
    assert (struct.radius, struct.training_positive_radius) == (5.0, 2.0)
    assert struct.reference_positions.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert struct.query_positions.tolist() == [[0, 2], [1, 3]]  # (2, 2) is read as (d, N)


def test_rows_first_and_optional_fields(tmp_path):
    struct = read_struct(
        struct_file(
            tmp_path,
            utmDb=np.array([[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]),
            nonTrivPosDistSqThr=None,
            gpsDb=np.array([[51.0, 51.1, 51.2], [1.0, 1.1, 1.2]]),
            gpsQ=np.array([[52.0, 52.1], [2.0, 2.1]]),
            dbTimeStamp=np.array([[10.0, 11.0, 12.0]]),
            qTimeStamp=np.array([[20.0, 21.0]]),
        )
    )
    assert struct.reference_positions.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert struct.training_positive_radius is None
    assert struct.reference_gps.tolist() == [[51.0, 1.0], [51.1, 1.1], [51.2, 1.2]]
    assert struct.query_gps[0].tolist() == [52.0, 2.0]
    assert struct.reference_timestamps.tolist() == [10.0, 11.0, 12.0]
    assert struct.query_timestamps.tolist() == [20.0, 21.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"utmDb": None}, "dbStruct has no field utmDb"),
        ({"utmDb": np.zeros((2, 4))}, r"utmDb has shape \(2, 4\) .* wanted \(d, 3\) numbers"),
        ({"utmQ": np.full((2, 2), np.nan)}, "utmQ of frame 0 is not finite"),
        ({"posDistSqThr": 5.0}, "posDistThr 5 and posDistSqThr 5 contradict each other"),
        ({"posDistThr": "far"}, "posDistThr .* wanted one finite number"),
        ({"posDistThr": np.nan}, "wanted one finite number"),
        ({"dbImageFns": np.array(["a"], dtype=object)}, "dbImageFns names 1 images, wanted 3"),
        ({"whichSet": 3.0}, "whichSet is not text"),
    ],
)
def test_wrong_structs(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        read_struct(struct_file(tmp_path, **changes))


def test_files_that_are_no_structs(tmp_path):
    with pytest.raises(UserError, match="no such struct file; check `struct_path`"):
        read_struct(tmp_path / "none.db")
    whole = struct_file(tmp_path).read_bytes()
    for name, data in (("empty", b""), ("noise", b"\x07" * 400), ("short", whole[: len(whole) // 2])):
        (tmp_path / f"{name}.db").write_bytes(data)
        with pytest.raises(UserError, match="not a MATLAB v5 file with a struct dbStruct"):
            read_struct(tmp_path / f"{name}.db")
    savemat(tmp_path / "other.mat", {"somethingElse": 1})
    with pytest.raises(UserError, match="not a MATLAB v5 file with a struct dbStruct"):
        read_struct(tmp_path / "other.mat")


def index_file(tmp_path, value, protocol: int = 3, key: str = "testInds"):
    """A split-index file as NumPy writes one, around any pickled value."""
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (2,), }"
    with zipfile.ZipFile(tmp_path / "inds.npz", "w") as archive:
        archive.writestr(f"{key}.npy", header.ljust(127) + b"\n" + pickle.dumps(value, protocol))
    return tmp_path / "inds.npz"


def two_arrays(dtype) -> np.ndarray:
    value = np.empty(2, dtype=object)
    value[:] = [np.arange(3, 8, dtype=dtype), np.arange(4, dtype=dtype)]
    return value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dtype", ["<i8", "<i4", "<u2"])
def test_indices_of_every_pickle_protocol(tmp_path, protocol, dtype):
    reference, query = read_split_indices(index_file(tmp_path, two_arrays(dtype), protocol), "testInds")
    assert reference.tolist() == [3, 4, 5, 6, 7]
    assert query.tolist() == [0, 1, 2, 3]
    assert reference.dtype == query.dtype == np.int64


def test_indices_under_the_other_numpys_module_names(tmp_path):
    data = pickle.dumps(two_arrays("<i8"), 2)
    other = data.replace(b"numpy._core", b"numpy.core")
    assert other != data, "this NumPy writes numpy.core itself: turn the replacement round"
    path = index_file(tmp_path, None)
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (2,), }"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("testInds.npy", header.ljust(127) + b"\n" + other)
    assert read_split_indices(path, "testInds")[1].tolist() == [0, 1, 2, 3]


def test_equally_long_splits_are_a_matrix(tmp_path):
    """NumPy makes one (2, N) object array of two equally long lists."""
    path = index_file(tmp_path, np.array([[1, 2, 3], [4, 5, 6]], dtype=object))
    assert [rows.tolist() for rows in read_split_indices(path, "testInds")] == [[1, 2, 3], [4, 5, 6]]


class Malicious:
    def __init__(self, function, *arguments):
        self._call = function, arguments

    def __reduce__(self):
        return self._call


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_malicious_pickle_runs_nothing(tmp_path, protocol):
    mark = tmp_path / "owned"
    for attack in (
        Malicious(os.mkdir, str(mark)),
        Malicious(eval, f"__import__('os').mkdir({str(mark)!r})"),
        Malicious(np.save, str(mark), 1),
        Malicious(np.fromfile, "/etc/hostname"),
        [np.arange(3), Malicious(os.mkdir, str(mark))],
    ):
        with pytest.raises(UserError, match=r"cannot be read as split indices \(it asks for"):
            read_split_indices(index_file(tmp_path, attack, protocol), "testInds")
        assert not mark.exists()


@pytest.mark.parametrize(
    "value",
    [
        np.array([1.5, 2.5]),
        np.array([[1.0, 2.0], [3.0, 4.0]], dtype=object),
        np.array(["a", "b"]),
        np.array([None, None]),
        np.array([[3, 2, 1], [4, 5, 6]], dtype=object),
        np.array([[-1, 2, 3], [4, 5, 6]], dtype=object),
        [1, 2],
        {"a": 1},
        np.arange(6).reshape(3, 2),
    ],
)
def test_pickles_of_something_else(tmp_path, value):
    with pytest.raises(UserError, match=r"inds\.npz:testInds: "):
        read_split_indices(index_file(tmp_path, value), "testInds")


def test_damaged_index_files(tmp_path):
    with pytest.raises(UserError, match="no such split-index file"):
        read_split_indices(tmp_path / "none.npz", "testInds")
    whole = index_file(tmp_path, two_arrays("<i8")).read_bytes()
    for data in (b"", b"PK", whole[:100]):
        (tmp_path / "inds.npz").write_bytes(data)
        with pytest.raises(UserError, match="cannot be read as split indices"):
            read_split_indices(tmp_path / "inds.npz", "testInds")
    with pytest.raises(UserError, match="cannot be read as split indices"):
        read_split_indices(index_file(tmp_path, two_arrays("<i8")), "otherInds")
    np.savez(tmp_path / "inds.npz", testInds=np.zeros((2, 3)))
    with pytest.raises(UserError, match="wanted two arrays, of reference and query"):
        read_split_indices(tmp_path / "inds.npz", "testInds")


def test_bounds(tmp_path):
    (tmp_path / "bounds.txt").write_text("0 2\n0 2\n2 5\n2 5\n2 5\n")
    assert read_bounds(tmp_path / "bounds.txt").tolist() == [[0, 2], [0, 2], [2, 5], [2, 5], [2, 5]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("0 2\n0\n", "wanted two whole numbers per line"),
        ("0 2 3\n0 2 3\n", "wanted two whole numbers per line"),
        ("0 2.5\n0 2.5\n", "wanted two whole numbers per line"),
        ("0 3\n0 3\n", r"row 0 has bounds \[0, 3\]"),
        ("0 1\n0 1\n", r"row 1 has bounds \[0, 1\]"),
        ("-1 1\n1 2\n", r"row 0 has bounds \[-1, 1\]"),
        ("0 3\n1 3\n0 3\n", r"row 1 has bounds \[1, 3\]"),
    ],
)
def test_wrong_bounds(tmp_path, text, message):
    (tmp_path / "bounds.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        read_bounds(tmp_path / "bounds.txt")


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "names.txt").write_text("a.png\nb.png\n", encoding="utf-8-sig")
    assert read_image_names(tmp_path / "names.txt") == ("a.png", "b.png")


def test_missing_text_files(tmp_path):
    for read in (read_bounds, read_image_names):
        with pytest.raises(UserError, match="no such file; check `struct_path`"):
            read(tmp_path / "none.txt")
