import csv

import numpy as np
import pytest

from opticornet.datasets.prepare.sources.tolerance_table import ToleranceTable
from opticornet.utils.errors import UserError


def read(root, **options):
    return ToleranceTable(**options).read(root)


def make(root, rows, reference="ref", query="query", header="query,first_reference,last_reference"):
    for name, count in ((reference, 6), (query, 4)):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            (root / name / f"{i}.jpg").touch()
    (root / "ground_truth.csv").write_text("\n".join([header, *rows]))
    return root


def test_ranges(tmp_path):
    prepared = read(make(tmp_path, ["3,4,5", "0,0,2", "1,,"]))
    (split,) = prepared.splits
    assert (split.name, split.positive_radius) == ("test", None)
    assert [one.drive for one in split.drives] == ["ref", "query"]
    assert split.positives.ranges() == [(0, 0, 2), (3, 4, 5)]
    assert (len(split.reference[0].rows), len(split.query[0].rows), prepared.units) == (6, 4, "frames")


def test_folders_within_a_drive_are_sequences(tmp_path):
    make(tmp_path, ["0,0,2"])
    (tmp_path / "ref" / "run2").mkdir()
    (tmp_path / "ref" / "run2" / "9.jpg").touch()
    (tmp_path / "ref" / "10.avif").touch()
    prepared = read(tmp_path)
    assert prepared.traverses[0].sequence_numbers().tolist() == [0] * 6 + [1]
    assert prepared.notes == ("ref: passed over 1 .avif",)


def test_other_folders(tmp_path):
    assert [t.name for t in read(make(tmp_path, ["0,0,0"], "database", "queries")).traverses] == ["database", "queries"]
    make(tmp_path, ["0,1,2"], "day", "night")
    assert [t.name for t in read(tmp_path, reference="day", query="night").traverses] == ["day", "night"]


def test_corridor(shared):
    folder = shared / "data" / "corridor"
    prepared = read(folder)
    with open(folder / "ground_truth.csv", newline="") as file:
        expected = [tuple(map(int, row.values())) for row in csv.DictReader(file)]
    assert prepared.splits[0].positives.ranges() == expected
    assert [t.names[110] for t in prepared.traverses] == ["0000110.jpg"] * 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["0,0,6"], "line 2: no reference frame '6'; wanted a row from 0 to 5"),
        (["4,0,1"], "no query frame '4'; wanted a row from 0 to 3"),
        (["0,-1,1"], "no reference frame '-1'"),
        (["0,0.5,1"], "no reference frame '0.5'"),
        (["0,3,2"], "first '3' comes after last '2'"),
        (["0,,"], "no query has a correct reference"),
        (["0,1,"], "no reference frame ''"),
        ([], "no rows"),
    ],
)
def test_bad_tables(tmp_path, rows, message):
    with pytest.raises(UserError, match=message):
        read(make(tmp_path, rows))


def test_a_query_may_have_several_ranges(tmp_path):
    assert read(make(tmp_path, ["0,1,2", "0,4,5"])).splits[0].positives.ranges() == [(0, 1, 2), (0, 4, 5)]


def rows_of_objects(path, *rows):
    table = np.empty((len(rows), 2), object)
    for row, values in enumerate(rows):
        table[row] = values
    np.save(path, table)


def test_the_list_that_vpr_bench_ships_is_read(tmp_path):
    make(tmp_path, [])
    (tmp_path / "ground_truth.csv").unlink()
    rows_of_objects(tmp_path / "ground_truth_new.npy", [2, [5, 0, 1]], [0, [3]], [1, []])
    assert read(tmp_path).splits[0].positives.ranges() == [(0, 3, 3), (2, 0, 1), (2, 5, 5)]


def test_two_lists_that_disagree_are_refused(tmp_path):
    make(tmp_path, ["0,3,4"])
    rows_of_objects(tmp_path / "ground_truth_new.npy", [0, [3, 4]])
    assert read(tmp_path).splits[0].positives.ranges() == [(0, 3, 4)]
    rows_of_objects(tmp_path / "ground_truth_new.npy", [0, [3, 5]])
    with pytest.raises(UserError, match=r"ground_truth_new.npy and ground_truth.csv list different references"):
        read(tmp_path)


def test_missing_parts(tmp_path):
    with pytest.raises(UserError, match="no folder ref or reference or database; it has none"):
        read(tmp_path)
    make(tmp_path, ["0,0"], header="query,first")
    with pytest.raises(UserError, match="columns query, first; a table of positives has query, first, last or"):
        read(tmp_path)
    (tmp_path / "ground_truth.csv").unlink()
    with pytest.raises(UserError, match=r"no ground_truth_new\.npy or ground_truth\.csv"):
        read(tmp_path)
