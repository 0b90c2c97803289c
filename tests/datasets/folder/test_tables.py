import numpy as np
import pytest

from opticornet.datasets.folder.tables import read_frames, write_frames
from opticornet.utils.errors import UserError


def write(path, text: str):
    path.write_text(text, encoding="utf-8")
    return path


def frames_refused(tmp_path, text: str) -> str:
    with pytest.raises(UserError) as caught:
        read_frames(write(tmp_path / "frames.csv", text))
    return str(caught.value)


def test_every_column(tmp_path):
    table = read_frames(
        write(
            tmp_path / "frames.csv",
            "y,x,z,name,sequence,timestamp,image\n"
            "2,1,3, a ,north,0.5,a.png\n"
            "5,4,6,b,north,1.5,b.png\n"
            "8,7,9,c,south,2.5,c.png\n",
        )
    )
    assert table.position_columns == ("x", "y", "z")
    assert table.positions.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert table.bounds.tolist() == [[0, 2], [0, 2], [2, 3]]
    assert table.names == ("a", "b", "c")
    assert table.images == ("a.png", "b.png", "c.png")
    assert table.timestamps.tolist() == [0.5, 1.5, 2.5]


def test_absent_columns_are_none(tmp_path):
    table = read_frames(write(tmp_path / "frames.csv", "\ufeffframe\r\n3\r\n5\r\n"))
    assert table.position_columns == ("frame",)
    assert table.positions.tolist() == [[3], [5]]
    assert (table.names, table.bounds, table.timestamps, table.images) == (None, None, None, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame,lattitude\n1,2\n", "column 'lattitude' is not understood; understood: frame; wanted name, x, y"),
        ("frame,frame\n1,2\n", "columns 'frame' and 'frame' both mean frame; remove one"),
        ("x,y,frame\n1,2,3\n", "position columns x, y, frame; wanted x, y"),
        ("x\n1\n", "position columns x; wanted x, y"),
        ("lat\n1\n", "position columns lat; wanted"),
        ("x,y\n1,2\n3,inf\n", "line 3: y is 'inf'; wanted a finite number"),
        ("score\n1\nyes\n", "line 3: score is 'yes'; wanted true or false"),
        ("x,y\n1,2\n1,2,3\n", "line 3 has 3 cells, the header has 2"),
        ("lat,lon\n1,2\n91,2\n", "line 3: no such latitude, longitude"),
        ("name\na\na\n", "the name 'a' occurs twice"),
        ("sequence\n1\n2\n1\n", "line 4: sequence '1' comes back after another one"),
        ("sequence\n1\n2\n2\n3\n2\n1\n", "line 7: sequence '1' comes back after another one"),
        ("frame\n", "no rows"),
        ("", "no rows"),
    ],
)
def test_wrong_tables(tmp_path, text, message):
    assert message in frames_refused(tmp_path, text)


def test_missing_or_unreadable_table(tmp_path):
    with pytest.raises(UserError, match="no such table"):
        read_frames(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\x00\x01")
    with pytest.raises(UserError, match="cannot be read as a UTF-8 CSV table"):
        read_frames(tmp_path / "binary.csv")


def test_written_numbers_are_read_back_exactly(tmp_path):
    values = np.random.default_rng(0).standard_normal(20) * 1e6
    write_frames(tmp_path / "a.csv", {"name": [f"f, {i}" for i in range(20)], "x": values.tolist(), "y": range(20)})
    table = read_frames(tmp_path / "a.csv")
    np.testing.assert_array_equal(table.positions[:, 0], values)
    assert table.names[3] == "f, 3"


def test_columns_by_other_names(tmp_path):
    path = write(tmp_path / "frames.csv", "Filename,Latitude,LNG,weather\na.jpg,51,-1,rain\nb.jpg,52,-2,sun\n")
    table = read_frames(path, ignore=("weather",))
    assert table.names == ("a.jpg", "b.jpg")
    assert table.position_columns == ("lat", "lon")
    assert table.positions.tolist() == [[51, -1], [52, -2]]
    with pytest.raises(UserError, match="`ignore_columns` names weather, road; of these it has weather"):
        read_frames(path, ignore=("weather", "road"))


def test_frames_whose_position_is_empty_have_none(tmp_path):
    (tmp_path / "f.csv").write_text("x,y\n1,2\n3,\n,\nnan,nan\n")
    positions = read_frames(tmp_path / "f.csv").positions
    np.testing.assert_array_equal(positions, [[1, 2], *3 * [[np.nan, np.nan]]])


def test_columns_say_which_frames_are_scored_and_usable(tmp_path):
    (tmp_path / "f.csv").write_text("score,usable\n1,true\n0,False\n")
    frames = read_frames(tmp_path / "f.csv")
    assert frames.scored.tolist() == frames.usable.tolist() == [True, False]
    assert frames.count == 2
