"""Result records: written, read, and read as earlier versions wrote them."""

import json

import pytest

from opticornet.evaluation.records import FORMAT, load_record
from opticornet.utils.errors import UserError


@pytest.fixture
def written(tmp_path):
    """Writes a record's JSON."""

    def write(**fields):
        path = tmp_path / "record.json"
        path.write_text(json.dumps({"recall": {"1": 0.5}, "format": FORMAT} | fields))
        return path

    return write


def test_memory_of_earlier_versions_was_in_mebibytes_too(written):
    assert load_record(written(peak_memory_mb=12.5))["peak_memory_mib"] == 12.5
    assert load_record(written(peak_memory_mib=12.5))["peak_memory_mib"] == 12.5


def test_what_is_no_record_is_refused(written, tmp_path):
    with pytest.raises(UserError, match="no such result record"):
        load_record(tmp_path / "none.json")
    with pytest.raises(UserError, match="newer than"):
        load_record(written(format=FORMAT + 1))
    (tmp_path / "record.json").write_text("[]")
    with pytest.raises(UserError, match="is not a result record"):
        load_record(tmp_path / "record.json")
