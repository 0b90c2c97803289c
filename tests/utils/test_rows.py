import errno
import os

import numpy as np
import pytest

from opticornet.utils.errors import UserError
from opticornet.utils.rows import RowWriter

ROWS = np.arange(60, dtype=np.float32).reshape(20, 3)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_appended_rows_are_an_ordinary_npy(tmp_path, dtype):
    writer = RowWriter(tmp_path / "r.npy", (3,), dtype)
    for start in range(0, 20, 7):
        writer.append(ROWS[start : start + 7])
    writer.append(ROWS[:0])
    writer.sync()
    writer.close()
    found = np.load(tmp_path / "r.npy", allow_pickle=False)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, ROWS)


def test_rows_beyond_the_certain_ones_are_cut(tmp_path):
    writer = RowWriter(tmp_path / "r.npy", (3,), "float32")
    writer.append(ROWS)
    writer.close()  # as if killed: the header still says no rows
    again = RowWriter(tmp_path / "r.npy", (3,), "float32", rows=5)
    again.append(-ROWS[:2])
    again.sync()
    again.close()
    np.testing.assert_array_equal(np.load(tmp_path / "r.npy"), np.concatenate([ROWS[:5], -ROWS[:2]]))
    with pytest.raises(UserError, match="shorter than the 8 rows"):
        RowWriter(tmp_path / "r.npy", (3,), "float32", rows=8)


def test_a_full_disk_is_one_line_and_keeps_what_was_written(tmp_path, monkeypatch):
    writer = RowWriter(tmp_path / "r.npy", (3,), "float32")
    writer.append(ROWS[:4])

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match="the disk is full"):
        writer.append(ROWS[4:])
    writer.sync()
    writer.close()
    np.testing.assert_array_equal(np.load(tmp_path / "r.npy"), ROWS[:4])
