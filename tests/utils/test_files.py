"""Writing files: whole or not at all."""

import errno
import json

import pytest

from opticornet.utils.errors import UserError
from opticornet.utils.files import atomic_path, write_json


def test_a_finished_file_replaces_the_old_one(tmp_path):
    target = tmp_path / "deep" / "value.json"
    write_json(target, {"a": 1})
    write_json(target, {"a": 2})
    assert json.loads(target.read_text()) == {"a": 2}
    assert [path.name for path in target.parent.iterdir()] == ["value.json"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "value.json"
    write_json(target, "old")

    def fail():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail()
    assert json.loads(target.read_text()) == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("code", "advice"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "no permission")]
)
def test_a_refused_write_is_one_line_that_names_the_file(tmp_path, code, advice):
    target = tmp_path / "value.json"

    def refuse():
        with atomic_path(target):
            raise OSError(code, "refused")

    with pytest.raises(UserError, match=advice) as caught:
        refuse()
    assert str(target) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_where_a_folder_should_be_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file, not a folder"):
        write_json(tmp_path / "file" / "value.json", 1)


def test_nan_is_not_written_as_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "value.json", float("nan"))
    assert not list(tmp_path.iterdir())
