import pytest

from opticornet.utils.text import counted


@pytest.mark.parametrize(("number", "text"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames")])
def test_one_of_a_kind_is_not_many(number, text):
    assert counted(number, "frame") == text
