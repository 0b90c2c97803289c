import pytest

from opticornet.datasets.prepare.drives.position_files import PositionFiles
from opticornet.utils.errors import UserError


def make(root, *files):
    for file in (*files, "a/0.jpg", "b/0.jpg"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


def found(root, inside=(), ignore=()):
    """The files of drives a and b; ``inside`` are files in b."""
    files = PositionFiles(root, tuple(ignore))
    of = {"a": files.of("a", ()), "b": files.of("b", inside)}
    files.check_rest(("a", "b"))
    return {drive: path and path.relative_to(root).as_posix() for drive, path in of.items()}


def refused(root, **options):
    with pytest.raises(UserError) as caught:
        found(root, **options)
    return str(caught.value)


@pytest.mark.parametrize("file", ["b.csv", "b.tum", "b.kitti", "b.txt", "B.CSV", "b_gps.csv", "b-positions.txt"])
def test_a_file_beside_the_folder_is_used(tmp_path, file):
    make(tmp_path, file)
    assert found(tmp_path) == {"a": None, "b": file}


@pytest.mark.parametrize("file", ["gps.csv", "poses.txt", "meta/track.tum", "b.txt", "anything.csv"])
def test_a_file_in_the_folder_is_used(tmp_path, file):
    make(tmp_path, f"b/{file}")
    assert found(tmp_path, [file]) == {"a": None, "b": f"b/{file}"}


@pytest.mark.parametrize("file", ["b.json", "b.kml", "b.geojson", "b.srt", "b.csv.gz", "b_gps.xlsx", "b.unheardof"])
def test_a_file_beside_that_is_not_read_is_named(tmp_path, file):
    make(tmp_path, file)
    message = refused(tmp_path)
    assert message.startswith(f"{tmp_path}/{file}: could hold positions of b and is not read; give them as")
    assert message.endswith(f"or leave the file out: `ignore_files` {file}")
    assert found(tmp_path, ignore=[file]) == {"a": None, "b": None}


@pytest.mark.parametrize("file", ["track.kml", "meta.json", "notes.txt", "sub/x.xml", "gps.unheardof"])
def test_a_file_in_the_folder_that_is_not_read_is_named(tmp_path, file):
    make(tmp_path, f"b/{file}")
    assert f"b/{file}: could hold positions of b and is not read" in refused(tmp_path, inside=[file])
    assert found(tmp_path, [file], ["B/*"]) == {"a": None, "b": None}


def test_a_file_per_image_is_left_out_by_a_pattern(tmp_path):
    inside = [f"{i}.json" for i in range(30)]
    make(tmp_path, *(f"b/{file}" for file in inside))
    message = refused(tmp_path, inside=inside)
    assert "b/0.json, and 29 others: could hold positions of b" in message
    assert message.endswith("`ignore_files` '*.json'")
    assert found(tmp_path, inside, ["*.json"]) == {"a": None, "b": None}


@pytest.mark.parametrize(
    "file",
    [
        "positions.csv",
        "poses.txt",
        "gps.gpx",
        "tracks.json",
        "table.csv",
        "poses/b.txt",
        "labels/b.csv",
        "meta/b/0.gpx",
    ],
)
def test_a_file_of_no_drive_is_named(tmp_path, file):
    make(tmp_path, file)
    message = refused(tmp_path)
    assert message.startswith(
        f"{tmp_path}/{file}: could hold positions and belongs to no drive; name it after one (a.csv)"
    )
    assert found(tmp_path, ignore=[file]) == {"a": None, "b": None}


def test_what_holds_no_positions_is_let_be(tmp_path):
    make(
        tmp_path,
        "README.md",
        "LICENSE.txt",
        "docs/how.html",
        "calib/k.yaml",
        "b.zip",
        "b.mp4",
        "b.jpg",
        ".b.csv",
        "c/0.jpg",
        "c.gpx",
        "b/Thumbs.db",
        "b/readme.txt",
        "track/notes.txt",
        "track/0.jpg",
    )
    assert found(tmp_path, ["Thumbs.db", "readme.txt"]) == {"a": None, "b": None}


def test_two_files_for_one_drive(tmp_path):
    make(tmp_path, "b.csv", "b/gps.csv")
    assert "both b.csv and b/gps.csv say where b was; keep one of them" in refused(tmp_path, inside=["gps.csv"])
    assert found(tmp_path, ["gps.csv"], ["b/gps.csv"])["b"] == "b.csv"


def test_a_pattern_that_matches_nothing(tmp_path):
    make(tmp_path, "b.csv")
    assert "`ignore_files` *.gpx: matches no file that could hold positions" in refused(tmp_path, ignore=["*.gpx"])
