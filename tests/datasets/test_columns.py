import numpy as np
import pytest

from opticornet.datasets.column_names import SYNONYMS, column_called, unit_in
from opticornet.datasets.columns import read_columns, read_known_columns
from opticornet.utils.errors import UserError


def write(tmp_path, text):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    return tmp_path / "t.csv"


def refused(path, **options):
    with pytest.raises(UserError) as caught:
        read_known_columns(path, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        *((h, "name") for h in ("filename", "File", "IMAGE_NAME", "img name", "Name", "file_name")),
        *((h, "image") for h in ("image", "img", "Image Path", "path")),
        *((h, "x") for h in ("x", "X", "easting", "utm_east", "UTM Easting", "x [m]", "p_RS_R_x [m]", "pos_x")),
        *((h, "y") for h in ("y", "Northing", "utm_north", "field.pose.position.y")),
        *((h, "lat") for h in ("lat", "Latitude", "latitude (deg)", "gps_lat", "lat_deg")),
        *((h, "lon") for h in ("lon", "lng", "Long", "LONGITUDE")),
        *(
            (h, "timestamp")
            for h in ("time", "Timestamp", "#timestamp [ns]", "timestamp_ns", "t", "%time", "time (s)", "Time (UTC)")
        ),
        *((h, "frame") for h in ("frame", "Frame_Number", "frame id")),
        *((h, "sequence") for h in ("sequence", "Seq", "sequence_id")),
        *((h, "") for h in ("weather", "", "xx", "names of streets")),
    ],
)
def test_what_a_column_is_called_elsewhere(header, name):
    assert column_called(header) == name


def test_no_name_means_two_things():
    every = [name for ours, synonyms in SYNONYMS.items() for name in (ours, *synonyms)]
    assert len(every) == len(set(every))


def test_units_of_headers():
    headers = ("#timestamp [ns]", "time (s)", "timestamp_us", "t", "Latitude", "Time (UTC)")
    assert [unit_in(header) for header in headers] == ["ns", "s", "us", "", "", ""]


def test_columns_are_understood_in_any_case_and_order(tmp_path):
    table = read_known_columns(write(tmp_path, "Northing, FileName ,EASTING\n2,b.jpg,1\n4,a.jpg,3\n"))
    assert table.position_columns() == ("x", "y")
    assert table.positions().tolist() == [[1, 2], [3, 4]]
    assert table["name"] == ["b.jpg", "a.jpg"]
    assert table.headers == {"y": "Northing", "name": "FileName", "x": "EASTING"}
    assert len(table) == 2


def test_a_path_and_a_name_may_both_be_there(tmp_path):
    table = read_known_columns(write(tmp_path, "name,image\na,day/1.jpg\n"))
    assert (table["name"], table["image"]) == (["a"], ["day/1.jpg"])


def test_two_columns_that_mean_the_same_are_both_named(tmp_path):
    path = write(tmp_path, "filename,file,x,y\na,b,1,2\n")
    assert "columns 'filename' and 'file' both mean name; remove one, or name it in `ignore_columns`" in refused(path)
    assert read_known_columns(path, ignore=("File",))["name"] == ["a"]


def test_what_is_not_understood_is_an_error_that_lists_what_was(tmp_path):
    path = write(tmp_path, "filename,Easting,northing,weather,road\na,1,2,rain,A1\n")
    assert (
        "columns 'weather', 'road' are not understood; understood: filename as name, Easting as x, northing as y; "
        "wanted name, x, y, z" in refused(path)
    )
    assert "column 'road' is not understood" in refused(path, ignore=("weather",))
    table = read_known_columns(path, ignore=("WEATHER", "road", "speed"))
    assert table.ignored == ("weather", "road")
    assert "weather" not in table


def test_a_table_without_a_header(tmp_path):
    assert "'a.jpg', '1.5', '2.5' are not understood (is there a header?)" in refused(
        write(tmp_path, "a.jpg,1.5,2.5\nb.jpg,3,4\n")
    )


def test_orientations_and_a_column_of_row_numbers_are_not_needed(tmp_path):
    table = read_known_columns(
        write(tmp_path, ",name,x,y,qx,qy,qz,qw,Heading\n0,a,1,2,0,0,0,1,90\n1,b,3,4,0,0,0,1,91\n")
    )
    assert list(table.cells) == ["name", "x", "y"]
    assert "column '' is not understood" in refused(write(tmp_path, ",x,y\n7,1,2\n"))


def test_cells_without_a_number(tmp_path):
    path = write(tmp_path, "x,y\n1,2\n\n,5\n3,NaN\n-,null\n7,8\n")
    table = read_known_columns(path)
    np.testing.assert_array_equal(
        table.positions(empty=True), [[1, 2], [np.nan] * 2, [np.nan] * 2, [np.nan] * 2, [7, 8]]
    )
    with pytest.raises(UserError, match="line 4: x is ''; wanted a finite number"):  # line 3 is blank
        table.positions()
    with pytest.raises(UserError, match="line 3: y is 'inf'; wanted a finite number"):
        read_known_columns(write(tmp_path, "x,y\n1,2\n3,inf\n")).positions(empty=True)


def test_flags(tmp_path):
    table = read_columns(write(tmp_path, "a,b\nTrue,1\nfalse,0\n"))
    assert table.flags("a").tolist() == table.flags("b").tolist() == [True, False]


def test_tables_of_public_datasets_keep_what_is_not_asked_for(tmp_path):
    table = read_columns(write(tmp_path, "key,weather,x,X\nk,rain,1,2\n"), ("key",))
    assert (table["weather"], table["x"], table["X"]) == (["rain"], ["1"], ["2"])
    with pytest.raises(UserError, match="no column easting; it has key, weather, x, X"):
        read_columns(tmp_path / "t.csv", ("key", "easting"))


def test_rows_of_another_length_are_named_by_their_line(tmp_path):
    assert "line 2 has 1 cells, the header has 2" in refused(write(tmp_path, "x,y\n1\n2,3\n"))
    assert "line 4 has 3 cells" in refused(write(tmp_path, 'name,x\n"a\nb",1\nc,2,3\n'))
