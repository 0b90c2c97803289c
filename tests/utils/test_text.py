import pytest

from opticornet.utils.errors import UserError
from opticornet.utils.text import counted, number_or_text, read_lines


@pytest.mark.parametrize(("number", "text"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames")])
def test_one_of_a_kind_is_not_many(number, text):
    assert counted(number, "frame") == text


@pytest.mark.parametrize(("text", "value"), [("3", 3), ("0.5", 0.5), ("1e3", 1000.0), ("gem", "gem")])
def test_a_text_that_is_a_number_is_one(text, value):
    assert number_or_text(text) == value
    assert type(number_or_text(text)) is type(value)


def test_lines_are_stripped_and_empty_ones_passed_over(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes("\ufeffa b \r\n\n ü\n".encode())
    assert read_lines(path, "one name a line") == ["a b", "ü"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; check the path"),
        (b"\xff\xfe", "cannot be read as UTF-8 text"),
        (b" \n", "empty; wanted one name a line"),
    ],
)
def test_a_file_without_lines_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(UserError, match=f"list.txt: {message}"):
        read_lines(tmp_path / "list.txt", "one name a line")
