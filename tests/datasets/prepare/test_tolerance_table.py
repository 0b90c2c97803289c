import csv

import pytest

from opticornet.datasets.prepare.tolerance_table import ToleranceTable
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
    assert (split.name, split.reference, split.query, split.positive_radius) == ("test", "ref", "query", None)
    assert split.positives.tolist() == [[0, 3], [0, 0], [0, 0], [4, 6]]
    assert (len(split.reference_rows), len(split.query_rows), prepared.units) == (6, 4, "frames")


def test_other_folders(tmp_path):
    assert [t.name for t in read(make(tmp_path, ["0,0,0"], "database", "queries")).traverses] == ["database", "queries"]
    make(tmp_path, ["0,1,2"], "day", "night")
    assert [t.name for t in read(tmp_path, reference="day", query="night").traverses] == ["day", "night"]


def test_corridor(shared):
    folder = shared / "data" / "corridor"
    prepared = read(folder)
    with open(folder / "ground_truth.csv", newline="") as file:
        expected = [[int(row["first_reference"]), int(row["last_reference"]) + 1] for row in csv.DictReader(file)]
    assert prepared.splits[0].positives.tolist() == expected
    assert [t.names[110] for t in prepared.traverses] == ["0000110.jpg"] * 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["0,0,6"], "1 of 1 rows match no image, first last_reference 6: ref has frames 0 to 5"),
        (["4,0,1"], "first query 4: query has frames 0 to 3"),
        (["0,-1,1"], "first first_reference -1"),
        (["0,0.5,1"], "first first_reference 0.5"),
        (["0,3,2"], "a range that ends before it begins"),
        (["0,1,2", "0,2,3"], "a query with two rows"),
        (["0,,"], "no query has a correct reference"),
        (["0,1,"], "line 2: last_reference is ''; wanted a finite number"),
        ([], "no rows; wanted a header"),
    ],
)
def test_bad_tables(tmp_path, rows, message):
    with pytest.raises(UserError, match=message):
        read(make(tmp_path, rows))


def test_missing_parts(tmp_path):
    with pytest.raises(UserError, match="no folder ref or reference or database; it has none"):
        read(tmp_path)
    make(tmp_path, ["0,0,0"], header="query,first,last")
    with pytest.raises(UserError, match="no column first_reference, last_reference; it has query, first, last"):
        read(tmp_path)
    (tmp_path / "ground_truth.csv").unlink()
    with pytest.raises(UserError, match=r"ground_truth\.csv: no such table"):
        read(tmp_path)
