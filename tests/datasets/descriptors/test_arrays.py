import zipfile

import h5py
import numpy as np
import pytest

from opticornet.datasets.descriptors.arrays import LazyRows, check_finite, iterate_blocks, open_descriptors, take_rows
from opticornet.datasets.traverse import Traverse
from opticornet.utils.errors import UserError

VALUES = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32)


def traverse_of(descriptors, names=None) -> Traverse:
    count = len(descriptors)
    bounds = np.tile([0, count], (count, 1))
    return Traverse("winter", descriptors, np.arange(count)[:, None], "frames", bounds, names, source="winter.npy")


def refused(location) -> str:
    with pytest.raises(UserError) as caught:
        open_descriptors(location)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_npy_is_mapped(tmp_path, dtype):
    np.save(tmp_path / "a.npy", VALUES.astype(dtype))
    opened = open_descriptors(tmp_path / "a.npy")
    assert isinstance(opened, np.memmap)
    assert not opened.flags.writeable
    np.testing.assert_array_equal(opened, VALUES.astype(dtype))


def test_npy_in_column_order(tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray(VALUES))
    np.testing.assert_array_equal(open_descriptors(tmp_path / "a.npy"), VALUES)


def test_npz_member_is_mapped_where_it_is_stored_and_read_where_it_is_compressed(tmp_path):
    np.savez(tmp_path / "stored.npz", other=np.zeros(3), features=VALUES)
    np.savez_compressed(tmp_path / "packed.npz", features=VALUES)
    stored = open_descriptors(f"{tmp_path}/stored.npz:features")
    assert isinstance(stored, np.memmap)
    np.testing.assert_array_equal(stored, VALUES)
    np.testing.assert_array_equal(open_descriptors(f"{tmp_path}/packed.npz:features"), VALUES)


def test_h5_is_mapped_where_it_is_contiguous(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/features"] = VALUES
    opened = open_descriptors(f"{tmp_path}/a.h5:group/features")
    assert isinstance(opened, np.memmap)
    np.testing.assert_array_equal(opened, VALUES)


def test_chunked_h5_reads_the_rows_asked_for(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("features", data=VALUES, chunks=(8, 6), compression="gzip")
    opened = open_descriptors(f"{tmp_path}/a.h5:features")
    assert isinstance(opened, LazyRows)
    assert isinstance(opened[10:20], LazyRows)
    np.testing.assert_array_equal(np.asarray(opened[10:20]), VALUES[10:20])
    np.testing.assert_array_equal(opened[10:20][3:][np.array([[2, 0], [2, 1]])], VALUES[[[15, 13], [15, 14]]])
    np.testing.assert_array_equal(opened[np.array([49, 0, 49])], VALUES[[49, 0, 49]])
    np.testing.assert_array_equal(opened[7], VALUES[7])
    np.testing.assert_array_equal(opened[-1], VALUES[-1])
    assert opened[np.array([], dtype=int)].shape == (0, 6)


@pytest.mark.parametrize("rows", [[3, 4, 5, 6], [0, 1, 9, 40], [5]])
def test_rows_taken_are_the_rows(rows):
    taken = take_rows(VALUES, np.array(rows))
    np.testing.assert_array_equal(np.asarray(taken, dtype=np.float32), VALUES[rows])
    np.testing.assert_array_equal(np.asarray(taken[1:3]), VALUES[rows][1:3])
    assert taken.shape == (len(rows), 6)


def test_contiguous_rows_are_a_view():
    assert np.shares_memory(take_rows(VALUES, np.arange(3, 9)), VALUES)


def test_missing_file(tmp_path):
    assert refused(tmp_path / "a.npy").endswith("a.npy: no such descriptor file; check the path")


def test_unknown_kind_of_file(tmp_path):
    assert "descriptor files end in .npy, .npz or .h5" in refused(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["a.npz", "a.h5"])
def test_missing_key(tmp_path, name):
    np.savez(tmp_path / "a.npz", features=VALUES)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["features"] = VALUES
    assert f'name one, as "{name}:key"' in refused(tmp_path / name)
    assert "'wrong'; it holds features" in refused(f"{tmp_path / name}:wrong")


@pytest.mark.parametrize("kept", [0, 5, 40, 127, 200])
def test_truncated_npy(tmp_path, kept):
    np.save(tmp_path / "whole.npy", VALUES)
    (tmp_path / "a.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:kept])
    message = refused(tmp_path / "a.npy")
    assert ("truncated" if kept > 127 else "not a NumPy array file") in message


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_truncated_or_damaged_npz(tmp_path, save):
    save(tmp_path / "whole.npz", features=VALUES)
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "short.npz").write_bytes(whole[: len(whole) // 2])
    assert "cannot be read" in refused(f"{tmp_path}/short.npz:features")
    (tmp_path / "noise.npz").write_bytes(b"\x01" * 300)
    assert "cannot be read" in refused(f"{tmp_path}/noise.npz:features")


def test_damaged_compressed_member(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", features=VALUES)
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[200:400] = bytes(200)
    (tmp_path / "a.npz").write_bytes(data)
    assert "a.npz" in refused(f"{tmp_path}/a.npz:features")


def test_damaged_h5(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"not HDF5 at all")
    assert "cannot be read" in refused(f"{tmp_path}/a.h5:features")


def test_pickles_are_refused(tmp_path):
    array = np.array([VALUES, None], dtype=object)
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    assert "pickled Python objects, which are not opened" in refused(tmp_path / "a.npy")
    np.savez(tmp_path / "a.npz", allow_pickle=True, features=array)
    assert "pickled Python objects" in refused(f"{tmp_path}/a.npz:features")
    np.savez_compressed(tmp_path / "b.npz", allow_pickle=True, features=array)
    assert "pickled Python objects" in refused(f"{tmp_path}/b.npz:features")
    (tmp_path / "c.npy").write_bytes(b"\x80\x04cos\nsystem\n.")
    assert "not a NumPy array file" in refused(tmp_path / "c.npy")


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (4,), (2, 2, 2), ()])
def test_wrong_shape(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.float32))
    assert "descriptors are (N, D), one row per frame" in refused(tmp_path / "a.npy")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["features"] = np.zeros(shape, np.float32)
    assert "descriptors are (N, D), one row per frame" in refused(f"{tmp_path}/a.h5:features")


@pytest.mark.parametrize("dtype", ["<f8", "u1", ">f4", "<c8"])
def test_other_types_are_refused_not_converted(tmp_path, dtype):
    np.save(tmp_path / "a.npy", np.ones((3, 4), dtype))
    assert "save them again after .astype('float32')" in refused(tmp_path / "a.npy")


def test_a_member_that_is_no_array(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("features.npy", "hello")
    assert "not a NumPy array file" in refused(f"{tmp_path}/a.npz:features")


def test_blocks_cover_every_row_once():
    blocks = list(iterate_blocks(VALUES.astype(np.float16), block_bytes=7 * 6 * 4))
    assert [start for start, _ in blocks] == list(range(0, 50, 7))
    assert {block.dtype for _, block in blocks} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), VALUES.astype(np.float16))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_first_bad_row_is_named(bad):
    values = VALUES.copy()
    values[[17, 40], [2, 5]] = bad
    with pytest.raises(UserError, match=r"NaN or infinity in 2 of 50 descriptors, first in row 17 \(frame f17\)"):
        check_finite(traverse_of(values, tuple(f"f{row}" for row in range(50))))


def test_opposite_infinities_and_large_finite_values():
    values = VALUES.copy()
    values[0] = np.finfo(np.float32).max  # its sum overflows, though every entry is finite
    check_finite(traverse_of(values))
    values[3, :2] = np.inf, -np.inf
    with pytest.raises(UserError, match=r"in 1 of 50 descriptors, first in row 3 of winter\.npy"):
        check_finite(traverse_of(values))


def test_damaged_chunk_is_found_when_it_is_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("features", data=VALUES, chunks=(25, 6), compression="gzip")
        start, size = dataset.id.get_chunk_info(1).byte_offset, dataset.id.get_chunk_info(1).size
    data = bytearray((tmp_path / "a.h5").read_bytes())
    data[start : start + size] = bytes(size)
    (tmp_path / "a.h5").write_bytes(data)
    opened = open_descriptors(f"{tmp_path}/a.h5:features")
    np.testing.assert_array_equal(opened[np.arange(25)], VALUES[:25])
    with pytest.raises(UserError, match="rows 25 to 49 cannot be read"):
        np.asarray(opened[25:])
