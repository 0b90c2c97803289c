"""VPR-Bench's lists, and files that would do something when unpickled: none of them ever does."""

import io
import os
import pickle
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opticornet.datasets.folder.object_lists import read_object_lists
from opticornet.utils.errors import UserError


def npy_of(pickled, shape="(1, 2)"):
    """A .npy file of objects with some pickle behind its header."""
    header = f"{{'descr': '|O', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + pickled


def saved(table, protocol=4):
    file = io.BytesIO()
    if protocol == 4:
        np.save(file, table)
        return file.getvalue()
    return npy_of(pickle.dumps(table, protocol), str(table.shape))


def rows_of(*rows):
    table = np.empty((len(rows), 2), object)
    for row, values in enumerate(rows):
        table[row] = values
    return table


def read(tmp_path, content):
    path = tmp_path / "ground_truth_new.npy"
    path.write_bytes(content)
    table = read_object_lists(path)
    return list(zip(table.numbers.tolist(), [one.tolist() for one in table.lists], strict=True))


ROWS = rows_of([2, [5, 0]], [np.int32(0), np.array([7, 300], np.int16)], [1, []], [np.int64(3), (np.uint8(9),)])
EXPECTED = [(2, [5, 0]), (0, [7, 300]), (1, []), (3, [9])]


@pytest.mark.parametrize("protocol", [3, 4])
def test_numbers_lists_and_arrays(tmp_path, protocol):
    assert read(tmp_path, saved(ROWS, protocol)) == EXPECTED
    assert read(tmp_path, saved(np.asfortranarray(ROWS), protocol)) == EXPECTED


def test_a_row_may_be_one_object(tmp_path):
    table = np.empty(2, object)
    table[0], table[1] = [1, [2, 3]], np.array([0, [4]], object)
    assert read(tmp_path, saved(table)) == [(1, [2, 3]), (0, [4])]


def test_names_of_older_numpy(tmp_path):
    content = pickle.dumps(ROWS, 3).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert b"cnumpy.core.multiarray\n" in content
    assert read(tmp_path, npy_of(content, "(4, 2)")) == EXPECTED


def test_whole_numbers_are_pairs(tmp_path):
    assert read(tmp_path, saved(np.array([[1, 5], [0, 6]]))) == [(1, [5]), (0, [6])]


class Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, call):
        self.call = call

    def __reduce__(self):
        return self.call


def hostile(mark):
    """Pickles that make the file ``mark`` where something of them is executed."""
    touch = f"touch {mark}"
    yield pickle.dumps(rows_of([0, Runs((os.system, (touch,)))]), 4)
    yield pickle.dumps(rows_of([0, Runs((exec, (f"open({str(mark)!r}, 'w')",)))]), 3)
    yield pickle.dumps(Runs((open, (str(mark), "w"))), 2)
    yield f"cos\nsystem\n(S'{touch}'\ntR.".encode()
    yield f"(S'{touch}'\nios\nsystem\n.".encode()
    yield f"cnumpy\nload\n(S'{mark}'\ntR.".encode()
    yield f"cnumpy.core.multiarray\nfromfile\n(S'{mark}'\ntR.".encode()
    yield f"cbuiltins\ngetattr\n(cnumpy\nndarray\nS'tofile'\ntR(S'{mark}'\ntR.".encode()
    yield f"\x80\x04\x8c\x05numpy\x8c\x0andarray.tofile\x93(S'{mark}'\ntR.".encode("latin1")
    yield f"cnumpy\nndarray\n)R(S'tofile'\nS'{mark}'\ntb.".encode()


def test_nothing_in_a_hostile_file_is_executed(tmp_path):
    mark = tmp_path / "mark"
    for content in hostile(mark):
        with pytest.raises(UserError) as caught:
            read(tmp_path, npy_of(content))
        assert "not read as rows of [number, [numbers]]" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not mark.exists()


def test_numbers_in_a_file_cannot_fill_the_memory(tmp_path):
    huge_memo = b"]r\xff\xff\xff\x7f."
    huge_buffer = b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b"."
    huge_bytes = b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b"."
    for content in (huge_memo, huge_buffer, huge_bytes):
        with pytest.raises(UserError, match="not read as rows"):
            read(tmp_path, npy_of(content))


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (rows_of([0.5, [1]]), "type float"),
        (rows_of([0, [1.0]]), "type float"),
        (rows_of([0, np.array([1.5])]), "values of type f8"),
        (rows_of([0, [[1]]]), "type list"),
        (rows_of([0, "1"]), "type str"),
        (rows_of([True, [1]]), "type bool"),
        (rows_of([0, [None]]), "type NoneType"),
        (np.zeros((3, 2)), "float64 of shape"),
        (np.zeros((3, 3), int), "int64 of shape"),
        (np.empty((2, 3), object), "shape"),
    ],
)
def test_other_values_are_refused(tmp_path, table, reason):
    with pytest.raises(UserError, match=reason):
        read(tmp_path, saved(table))


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match="no such table"):
        read_object_lists(tmp_path / "ground_truth_new.npy")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10_000), value=st.binary(max_size=3), drop=st.integers(0, 3))
def test_damaged_bytes_are_read_or_refused_in_one_line(tmp_path, place, value, drop):
    content = saved(ROWS)
    place %= len(content)
    with suppress(UserError):  # and nothing else
        read(tmp_path, content[:place] + value + content[place + drop :])
