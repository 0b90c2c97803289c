import pytest

from opticornet.datasets.cells import read_cells, read_header
from opticornet.datasets.columns import read_known_columns
from opticornet.utils.errors import UserError

PLAIN = "name,x,y\na,1.5,2\nb,-3,4\n"


def write(folder, content, encoding="utf-8"):
    path = folder / "t.csv"
    path.write_bytes(content.encode(encoding))
    return path


@pytest.mark.parametrize("separator", [";", "\t", ", "])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_the_same_table_as_programs_of_several_countries_write_it(tmp_path, separator, encoding, line_end):
    path = write(tmp_path, PLAIN.replace(",", separator).replace("\n", line_end), encoding)
    assert read_cells(path) == (["name", "x", "y"], [["a", "b"], ["1.5", "-3"], ["2", "4"]], (2, 3))
    assert read_header(path) == ["name", "x", "y"]


def test_numbers_with_a_decimal_comma(tmp_path):
    table = read_known_columns(write(tmp_path, "Name;Lat;Lon\na 1,5;48,137154;11,576\nb;48,2;-0,25\n"))
    assert table.positions().tolist() == [[48.137154, 11.576], [48.2, -0.25]]
    assert table["name"] == ["a 1,5", "b"]


def test_a_comma_that_may_be_of_thousands_is_no_number(tmp_path):
    with pytest.raises(UserError, match="line 2: x is '1,250'; wanted a finite number"):
        read_known_columns(write(tmp_path, "x;y\n1,250;7\n2,500;8\n")).positions()
    table = read_known_columns(write(tmp_path, "x;y\n1,250;7,5\n2,500;8\n"))  # y shows what commas are
    assert table.positions().tolist() == [[1.25, 7.5], [2.5, 8]]


def test_decimal_commas_and_points_in_one_column_are_no_numbers(tmp_path):
    with pytest.raises(UserError, match="x is '1,5'"):
        read_known_columns(write(tmp_path, "x;y\n1,5;7\n2.5;8\n")).positions()


def test_remarks_above_the_header_are_passed_over(tmp_path):
    for above in ("# by me\n", "\n# a, b\n# c\n\n", "#\n"):
        header, columns, lines = read_cells(write(tmp_path, above + PLAIN))
        assert (header, columns[0], lines[0]) == (["name", "x", "y"], ["a", "b"], above.count("\n") + 2)
    assert read_header(write(tmp_path, f"#{PLAIN}"))[0] == "#name"  # a header that is marked so


def test_a_comma_at_the_end_of_each_line(tmp_path):
    table = read_known_columns(write(tmp_path, PLAIN.replace("\n", ",\n")))
    assert list(table.cells) == ["name", "x", "y"]


def test_a_line_break_in_quotes(tmp_path):
    _, columns, lines = read_cells(write(tmp_path, 'name,x\n"a\r\nb",1\nc,2\n'))
    assert (columns[0], lines) == (["a\r\nb", "c"], (3, 4))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\xff\xfea", b"\xef\xbb\xbf", b"#", b"\n\n", b"\0", b"\xff"])
def test_what_is_no_table(tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"no rows; wanted|cannot be read as a UTF-8 CSV table .*save it as one"):
        read_cells(tmp_path / "t.csv")
