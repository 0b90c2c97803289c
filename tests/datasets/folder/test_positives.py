import numpy as np
import pytest

from opticornet.datasets.folder.positives import read_positives, write_positives
from opticornet.datasets.positives import Positives
from opticornet.utils.errors import UserError


def write(path, text):
    path.write_text(text)
    return path


def test_row_numbers_with_both_ends_correct(tmp_path):
    path = write(tmp_path / "p.csv", "query,first,last\n0,0,2\n2,3,3\n3,,\n")
    assert read_positives(path, 4, 5).ranges() == [(0, 0, 2), (2, 3, 3)]


def test_names(tmp_path):
    path = write(tmp_path / "p.csv", "last,query,first\nr2,q1,r1\n")
    assert read_positives(path, ("q0", "q1"), ("r0", "r1", "r2")).ranges() == [(1, 1, 2)]


def test_a_query_on_several_lines_has_several_ranges(tmp_path):
    path = write(tmp_path / "p.csv", "query,first,last\n1,7,8\n0,0,1\n1,0,2\n1,2,4\n")
    assert read_positives(path, 3, 9).ranges() == [(0, 0, 1), (1, 0, 4), (1, 7, 8)]


def test_pairs_of_query_and_reference(tmp_path):
    path = write(tmp_path / "p.csv", "query,reference\nb,y\na,z\nb,x\na,z\n")
    assert read_positives(path, ("a", "b", "c"), ("x", "y", "z")).ranges() == [(0, 2, 2), (1, 0, 1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query,first\n0,0\n", "columns query, first; a table of positives has query, first, last or"),
        ("query,first,last,reference\n0,0,0,0\n", "columns query, first, last, reference; a table"),
        ("query,first,last\n7,0,0\n", "line 2: no query frame '7'; wanted a row from 0 to 3"),
        ("query,first,last\n0,0,5\n", "line 2: no reference frame '5'; wanted a row from 0 to 4"),
        ("query,reference\n0,5\n", "line 2: no reference frame '5'; wanted a row from 0 to 4"),
        ("query,first,last\n0,-1,2\n", "no reference frame '-1'"),
        ("query,first,last\n0,,2\n", "no reference frame ''"),
        ("query,first,last\n0,3,2\n", "first '3' comes after last '2'"),
    ],
)
def test_wrong_tables(tmp_path, text, message):
    with pytest.raises(UserError) as caught:
        read_positives(write(tmp_path / "p.csv", text), 4, 5)
    assert message in str(caught.value)


def test_row_numbers_do_not_stand_for_names(tmp_path):
    path = write(tmp_path / "p.csv", "query,first,last\n0,0,0\n")
    with pytest.raises(UserError, match="no query frame '0'; wanted one of its frame names"):
        read_positives(path, ("q0", "q1"), 5)


def objects(path, *rows):
    table = np.empty((len(rows), 2), object)
    for row, values in enumerate(rows):
        table[row] = values
    np.save(path, table)
    return path


def test_lists_of_a_npy_by_row_number_whatever_the_names(tmp_path):
    path = objects(tmp_path / "p.npy", [2, [4, 0, 1]], [0, []], [1, [3]])
    assert read_positives(path, ("a", "b", "c"), 5).ranges() == [(1, 3, 3), (2, 0, 1), (2, 4, 4)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([3, [0]], "no query frame 3, the first of 1 such row; wanted 0 to 2"),
        ([-1, [0]], "no query frame -1"),
        ([0, [0, 5, 9]], "no reference frame 5, the first of 2 such rows; wanted 0 to 4"),
        ([0, [-2]], "no reference frame -2"),
    ],
)
def test_a_list_of_rows_that_are_not_there_is_refused(tmp_path, row, message):
    with pytest.raises(UserError) as caught:
        read_positives(objects(tmp_path / "p.npy", row), 3, 5)
    assert message in str(caught.value)


@pytest.mark.parametrize("names", [None, tuple("abcd")])
def test_what_is_written_is_read_back(tmp_path, names):
    positives = Positives.of_lists([[0, 1, 3], [], [2], [0, 3]])
    write_positives(tmp_path / "p.csv", positives, names, names)
    assert read_positives(tmp_path / "p.csv", names or 4, names or 4).ranges() == positives.ranges()
