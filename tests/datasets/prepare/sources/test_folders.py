import numpy as np
import pytest

from opticornet.datasets.folder.reading import load_folder
from opticornet.datasets.geodesy import local_metres
from opticornet.datasets.prepare.sources.folders import Folders
from opticornet.datasets.prepare.writing import write_prepared
from opticornet.utils.errors import UserError


def read(root, **options):
    return Folders(**options).read(root)


def images(root, name, files):
    (root / name).mkdir(parents=True, exist_ok=True)
    for file in files:
        (root / name / file).touch()


def numbered(count, start=0):
    return [f"{i}.jpg" for i in range(start, start + count)]


def pair(root, count=20, tables=None):
    for name in ("ref", "query"):
        images(root, name, numbered(count))
        if tables is not None:
            (root / f"{name}.csv").write_text(tables)


def table(header, rows):
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)])


def test_without_positions_frames_are_numbered_in_natural_order(tmp_path):
    pair(tmp_path, 60)
    prepared = read(tmp_path)
    assert prepared.units == "frames"
    for traverse in prepared.traverses:
        assert list(traverse.names) == numbered(60)
        assert traverse.positions["frame"].tolist() == list(range(60))
    drives = {s.name: (s.reference[0].drive, s.query[0].drive) for s in prepared.splits}
    assert {s.name: (*drives[s.name], s.positive_radius, s.negative_radius) for s in prepared.splits} == {
        "train": ("ref", "query", 1.0, 5.0),
        "val": ("ref", "query", 1.0, None),
        "test": ("ref", "query", 1.0, None),
    }
    train, test = (next(s.reference[0].rows for s in prepared.splits if s.name == name) for name in ("train", "test"))
    assert np.abs(train[:, None] - test[None]).min() >= 5


def test_table_by_name(tmp_path):
    rows = [(f"{i}.jpg", 3.0 * i, -i, "s" if i < 8 else "t", 100 + i) for i in reversed(range(15))]
    pair(tmp_path, tables=table("name,x,y,sequence,timestamp", rows))
    prepared = read(tmp_path, fractions=(0.5, 0, 0.5), gap=0, positive_radius=4.0, negative_radius=9.0)
    reference = prepared.traverses[0]
    assert list(reference.names) == numbered(15)
    assert reference.positions["x"].tolist() == [3.0 * i for i in range(15)]
    assert reference.positions["y"].tolist() == [-i for i in range(15)]
    assert reference.sequence_numbers().tolist() == [0] * 8 + [1] * 7
    assert reference.timestamps.tolist() == [100 + i for i in range(15)]
    assert prepared.units == "metres"
    assert [(s.name, s.positive_radius, s.negative_radius) for s in prepared.splits] == [
        ("train", 4.0, 9.0),
        ("test", 4.0, None),
    ]
    assert prepared.notes[0] == "ref: 5 of 20 images left out: ref.csv has no row for 5"


def test_names_without_suffix_and_other_columns(tmp_path):
    pair(tmp_path, tables=table("image,frame,exposure", [(i, 10 * i, 0.1) for i in range(20)]))
    with pytest.raises(UserError, match="column 'exposure' is not understood; understood: image, frame; wanted name"):
        read(tmp_path, gap=0)
    prepared = read(tmp_path, gap=0, ignore_columns=("EXPOSURE",))
    assert prepared.traverses[1].positions["frame"].tolist() == [10 * i for i in range(20)]
    with pytest.raises(UserError, match="`ignore_columns` gain: no table of positions has such a column"):
        read(tmp_path, gap=0, ignore_columns=("exposure", "gain"))


def test_table_by_order(tmp_path):
    pair(tmp_path, tables=table("x,y,z", [(i, 2 * i, 3 * i) for i in range(20)]))
    assert read(tmp_path, gap=0).traverses[0].positions["z"].tolist() == [3 * i for i in range(20)]


def test_degrees_are_split_by_metres(tmp_path):
    degrees = np.stack([51.75 + 1e-4 * np.arange(20), np.full(20, -1.25)], axis=1)  # 11 m apart
    pair(tmp_path, tables=table("lat,lon", degrees.tolist()))
    prepared = read(tmp_path)
    assert prepared.units == "metres"
    assert prepared.traverses[0].positions["lat"].tolist() == degrees[:, 0].tolist()
    metres = local_metres(degrees, degrees[0])
    rows = {s.name: s.reference[0].rows for s in prepared.splits}
    between = np.linalg.norm(metres[rows["train"]][:, None] - metres[rows["test"]][None], axis=2)
    assert 25.0 <= between.min() < 50.0


def test_table_by_time(tmp_path):
    for name in ("ref", "query"):
        images(tmp_path, name, [f"{1_700_000_000 + i}.5.png" for i in range(10)])
        (tmp_path / f"{name}.csv").write_text(
            table("timestamp,x,y", [(1_700_000_000 + 0.25 * i, 0.5 * i, 0) for i in range(30)])
        )
    prepared = read(tmp_path, gap=0, fractions=(0, 0, 1))
    traverse = prepared.traverses[0]
    assert traverse.positions["x"].tolist() == [1.0 + 2 * i for i in range(7)]
    assert traverse.timestamps.tolist() == [1_700_000_000.5 + i for i in range(7)]
    assert prepared.notes[0].startswith("ref: 3 of 10 images left out")


@pytest.mark.parametrize("digits", [13, 16, 19])
@pytest.mark.parametrize("by_name", [True, False])
def test_times_of_tables_in_other_units_than_seconds(tmp_path, digits, by_name):
    times = [(17_000_000_000 + 5 * i) * 10 ** (digits - 11) for i in range(20)]
    header, label = ("name,timestamp,x,y", "{0}.png,{0}") if by_name else ("timestamp,x,y", "{0}")
    for name in ("ref", "query"):
        images(tmp_path, name, [f"{t}.png" for t in times])
        (tmp_path / f"{name}.csv").write_text(table(header, [(label.format(t), 2 * i, 0) for i, t in enumerate(times)]))
    traverse = read(tmp_path, gap=0).traverses[0]
    np.testing.assert_allclose(traverse.timestamps, 1_700_000_000 + 0.5 * np.arange(20), rtol=1e-15)
    np.testing.assert_allclose(traverse.positions["x"], 2 * np.arange(20))


def test_names_in_folders_that_a_table_does_not_tell_apart(tmp_path):
    for name in ("ref", "query"):
        images(tmp_path, f"{name}/left", numbered(20))
        images(tmp_path, f"{name}/right", numbered(20))
        (tmp_path / f"{name}.csv").write_text(table("name,x,y", [(i, i, 0) for i in range(20)]))
    with pytest.raises(UserError, match=r"do not tell left/0\.jpg and right/0\.jpg apart"):
        read(tmp_path)
    for name in ("ref", "query"):
        rows = [(f"{side}/{i}.jpg", i, 0) for side in ("left", "right") for i in range(20)]
        (tmp_path / f"{name}.csv").write_text(table("name,x,y", rows))
    assert len(read(tmp_path, gap=0).traverses[0]) == 40


def test_trajectories(tmp_path):
    images(tmp_path, "ref", [f"{i}.00.png" for i in range(10)])
    (tmp_path / "ref.tum").write_text("\n".join(f"{i} {2 * i} {i} 0.5 0 0 0 1" for i in range(10)))
    images(tmp_path, "query", numbered(10))
    (tmp_path / "query.kitti").write_text("\n".join(f"1 0 0 {2 * i} 0 1 0 {i} 0 0 1 0.5" for i in range(10)))
    reference, query = read(tmp_path, gap=0).traverses
    for column in "xyz":
        assert reference.positions[column].tolist() == query.positions[column].tolist()
    assert reference.positions["x"].tolist() == [2 * i for i in range(10)]
    assert reference.timestamps.tolist() == list(range(10))
    assert query.timestamps is None


def test_list_of_frames(tmp_path):
    pair(tmp_path / "root", tables=table("name,frame", [(f"{i}.jpg", i) for i in range(20)]))
    for name in ("ref", "query"):
        (tmp_path / f"{name}.txt").write_text("\n".join(numbered(20, 0)[::2]))
    with pytest.raises(UserError, match=r"10 of 20 rows match no image of .*ref, first '1\.jpg'"):
        read(tmp_path / "root", frame_list=str(tmp_path / "{traverse}.txt"))
    for name in ("ref", "query"):
        (tmp_path / "root" / f"{name}.csv").unlink()
    prepared = read(tmp_path / "root", frame_list=str(tmp_path / "{traverse}.txt"), gap=0)
    assert list(prepared.traverses[1].names) == numbered(20)[::2]


def test_which_is_the_reference(tmp_path):
    for name in ("monday", "sunday"):
        images(tmp_path, name, numbered(60))
    with pytest.raises(UserError, match="it has monday, sunday; give `reference` and `query`"):
        read(tmp_path)
    assert [t.name for t in read(tmp_path, reference=("sunday",), query=("monday",)).traverses] == ["sunday", "monday"]
    with pytest.raises(UserError, match=r"tuesday: no such folder of images; .* has monday, sunday"):
        read(tmp_path, reference=("sunday",), query=("tuesday",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,speed\n0.jpg,3", "no position columns; wanted x, y.* it has name$"),
        ("name,x,y\n0.jpg,3,4\nz.jpg,3,4", "1 of 2 rows match no image of .*ref, first 'z.jpg'"),
        ("name,x,y\n0.jpg,3,4\n0.jpg,3,4", "name '0.jpg' occurs twice"),
        ("name,x,y\n0.jpg,3,four", "line 2: y is 'four'; wanted a finite number"),
        ("name,x,y\n0.jpg,3,inf", "line 2: y is 'inf'; wanted a finite number"),
        ("x,y\n3,4", "1 rows for 20 images of .*ref; wanted one row per image"),
        ("x,y,x\n3,4,5", "columns 'x' and 'x' both mean x; remove one"),
        ("name;x;y\n0.jpg;3", "line 2 has 2 cells, the header has 3"),
        ("frame,lat,lon\n20,3,4", "1 of 1 rows match no image of .*ref, first '20'"),
        ("x,y,z,lat,lon\n0,3,4,5,6", "position columns x, y, z, lat, lon; wanted"),
        ("name,lon,lat\n0.jpg,45,170", r"line 2: no such latitude, longitude: \[170.0, 45.0\]"),
        ("name,lat,lon\n0.jpg,45,180.001", "no such latitude, longitude"),
        ("name,x,y\n", "no rows; wanted a header"),
        ("", "no rows; wanted a header"),
        ("timestamp,x,y\n1600000000,3,4", r"file names only count \(0.jpg ...\) and are no times"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    pair(tmp_path, tables=text)
    with pytest.raises(UserError, match=message):
        read(tmp_path)


def test_a_binary_table(tmp_path):
    pair(tmp_path)
    (tmp_path / "ref.csv").write_bytes(b"\xff\x00\x80")
    with pytest.raises(UserError, match=r"ref\.csv: cannot be read as a UTF-8 CSV table"):
        read(tmp_path)


def test_images_are_only_paired_by_number_where_there_are_as_many(tmp_path):
    pair(tmp_path / "root")
    images(tmp_path / "root", "ref", numbered(5, start=20))
    message = "ref has 25 images, query 20, and neither has positions: image i of both would be taken as the same place"
    with pytest.raises(UserError, match=message):
        read(tmp_path / "root", gap=0)
    for name in ("ref", "query"):
        (tmp_path / f"{name}.txt").write_text("\n".join(numbered(10)))
    assert len(read(tmp_path / "root", gap=0, frame_list=str(tmp_path / "{traverse}.txt")).traverses[0]) == 10
    (tmp_path / "root" / "ref.csv").write_text(table("frame", [(i - 5,) for i in range(25)]))  # says which is which
    assert [len(traverse) for traverse in read(tmp_path / "root", gap=0).traverses] == [25, 20]


def test_positions_of_the_query_only(tmp_path):
    pair(tmp_path)
    (tmp_path / "query.csv").write_text(table("x,y", [(i, i) for i in range(20)]))
    with pytest.raises(UserError, match=r"ref has no positions, query has x, y; add ref\.csv with the same"):
        read(tmp_path)


def test_heights_of_one_drive_are_left_out(tmp_path):
    pair(tmp_path, tables=table("x,y", [(i, i) for i in range(20)]))
    (tmp_path / "query.csv").write_text(table("x,y,z", [(i, i, 7) for i in range(20)]))
    found = read(tmp_path, gap=0)
    assert [tuple(one.positions) for one in found.traverses] == [("x", "y"), ("x", "y")]
    assert "query: z is left out, as ref has x, y only" in found.notes


def test_positions_that_contradict(tmp_path):
    pair(tmp_path, tables=table("x,y", [(i, i) for i in range(20)]))
    (tmp_path / "query.csv").write_text(table("lat,lon", [(i, i) for i in range(20)]))
    with pytest.raises(UserError, match="ref has positions in x, y, query in lat, lon; give both the same"):
        read(tmp_path)
    (tmp_path / "ref.tum").write_text("0 0 0 0 0 0 0 1")
    with pytest.raises(UserError, match=r"both ref\.csv and ref\.tum say where ref was"):
        read(tmp_path)


def test_kitti_of_another_length(tmp_path):
    pair(tmp_path)
    (tmp_path / "ref.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n")
    with pytest.raises(UserError, match="1 rows for 20 images"):
        read(tmp_path)


@pytest.mark.parametrize("column", ["filename", "File", "IMAGE_NAME", "img", "image", "path"])
@pytest.mark.parametrize("label", ["{0}.jpg", "{0}", "ref/{0}.jpg", "/home/me/drives/ref/{0}.jpg", "rgb\\{0}.JPG"])
def test_shuffled_rows_find_their_images_by_name(tmp_path, column, label):
    pair(tmp_path)
    order = np.random.default_rng(0).permutation(20)
    rows = [(label.format(i), 500_000 + 7 * i, 3 * i) for i in order]
    (tmp_path / "ref.csv").write_text(table(f"{column},Easting,Northing", rows))
    (tmp_path / "query.csv").write_text(table("x,y", [(500_000 + 7 * i, 3 * i) for i in range(20)]))
    reference, query = read(tmp_path, gap=0).traverses
    assert reference.positions["x"].tolist() == query.positions["x"].tolist() == [500_000 + 7 * i for i in range(20)]
    assert reference.positions["y"].tolist() == [3 * i for i in range(20)]
    assert reference.placed == f"x, y of ref.csv, by {column}; 20 of 20 images have one"
    assert query.placed == "x, y of query.csv, row i for image i; 20 of 20 images have one"


def test_a_name_and_a_path_that_disagree(tmp_path):
    rows = [(f"{i}.jpg", f"ref/{19 - i}.jpg", i, i) for i in range(20)]
    pair(tmp_path)
    (tmp_path / "ref.csv").write_text(table("name,path,x,y", rows))
    with pytest.raises(UserError, match=r"line 2: name '0.jpg' and path 'ref/19.jpg' are different images; keep one"):
        read(tmp_path, gap=0)
    (tmp_path / "ref.csv").write_text(table("name,path,frame", [(f"place {i}", f"{19 - i}.jpg", i) for i in range(20)]))
    assert read(tmp_path, gap=0).traverses[0].positions["frame"].tolist() == list(range(19, -1, -1))


@pytest.mark.parametrize("file", ["query.json", "query/track.kml", "positions.csv", "gps.nmea", "query/0.json"])
def test_no_file_that_could_hold_positions_is_passed_over(tmp_path, file):
    pair(tmp_path)
    (tmp_path / file).touch()
    with pytest.raises(UserError, match=f"{file}: could hold positions"):
        read(tmp_path)
    traverse = read(tmp_path, gap=0, ignore_files=(file,)).traverses[1]
    assert traverse.placed == (
        "the number of the image in natural order, there is no file of positions: image i of one drive is taken for "
        "the place of image i of the other; 20 of 20 images have one"
    )


def test_positions_in_the_folder_of_the_images(tmp_path):
    pair(tmp_path)
    for name in ("ref", "query"):
        (tmp_path / name / "gps.csv").write_text(table("frame", [(i,) for i in range(20)]))
    assert read(tmp_path, gap=0).traverses[0].placed.startswith("frame of gps.csv, row i for image i; 20 of 20")


def drive_rows(count=100, step=5.0):
    return [[f"{i}.jpg", 4e5 + step * i, 5e6] for i in range(count)]


def read_rows(root, rows, **options):
    """The reference of a drive of 100 images, 5 m apart, with these rows."""
    pair(root, 100, table("name,x,y", drive_rows()))
    (root / "ref.csv").write_text(table("name,x,y", rows))
    prepared = read(root, gap=0, fractions=(0, 0, 1), **options)
    return prepared.traverses[0], [note for note in prepared.notes if note.startswith("ref")]


def damage(kind):
    rows = drive_rows()
    if kind == "empty":
        for i, cell in zip(range(40, 45), ("", "nan", "NULL", "-", "N/A"), strict=True):
            rows[i][1 + i % 2] = cell
        return rows, "5 rows without a number", [*range(40), *range(45, 100)]
    if kind == "zero":
        for i in range(10):
            rows[i][1:] = 0, 0
        return rows, "10 rows at 0, 0 without a fix", range(10, 100)
    if kind == "frozen":
        for i in range(61, 71):
            rows[i][1:] = rows[60][1:]
        return rows, "10 rows of a frozen fix", [*range(61), *range(71, 100)]
    del rows[20:29]
    return rows, "no row for 9", [*range(20), *range(29, 100)]


@pytest.mark.parametrize("kind", ["empty", "zero", "frozen", "missing"])
def test_frames_without_a_fix_are_left_out_and_counted_and_the_hole_ends_a_sequence(tmp_path, kind):
    rows, reason, kept = damage(kind)
    traverse, notes = read_rows(tmp_path, rows)
    assert list(traverse.names) == [f"{i}.jpg" for i in kept]
    assert traverse.positions["x"].tolist() == [4e5 + 5 * i for i in kept]
    assert notes[0] == f"ref: {100 - len(kept)} of 100 images left out: ref.csv has {reason}"
    assert traverse.placed.endswith(f"; {len(kept)} of 100 images have one")
    ends = np.flatnonzero(np.diff(traverse.sequence_numbers()))
    assert ends.tolist() == np.flatnonzero(np.diff(kept) > 1).tolist()
    if len(ends):
        assert notes[1] == "ref: 1 hole of more than `max_hole` 0 frames where sequences end"


@pytest.mark.parametrize("kind", ["empty", "frozen", "missing"])
def test_holes_are_filled_on_request(tmp_path, kind):
    rows, reason, kept = damage(kind)
    traverse, notes = read_rows(tmp_path, rows, fill_positions=True)
    np.testing.assert_allclose(traverse.positions["x"], 4e5 + 5.0 * np.arange(100), rtol=1e-12)
    assert not traverse.sequence_numbers().any()
    assert notes == [f"ref: {100 - len(kept)} of 100 positions are interpolated: ref.csv has {reason}"]


def test_what_lies_before_the_first_fix_cannot_be_filled(tmp_path):
    traverse, notes = read_rows(tmp_path, damage("zero")[0], fill_positions=True)
    assert traverse.names[0] == "10.jpg"
    assert notes == ["ref: 10 of 100 images left out: ref.csv has 10 rows at 0, 0 without a fix"]


def test_a_hole_that_is_allowed(tmp_path):
    traverse, _ = read_rows(tmp_path, damage("missing")[0], max_hole=9)
    assert not traverse.sequence_numbers().any()


def test_holes_in_times(tmp_path):
    rows = [(i, 4e5 + 5 * i, 5e6) for i in range(100) if not 40 <= i < 50]
    pair(tmp_path, 100, table("time,easting,northing", rows))
    prepared = read(tmp_path, gap=0, fractions=(0, 0, 1))
    traverse = prepared.traverses[0]
    assert traverse.names[40:43] == ("40.jpg", "49.jpg", "50.jpg")  # within a second of a pose
    assert np.flatnonzero(np.diff(traverse.sequence_numbers())).tolist() == [40]
    assert prepared.notes[0] == "ref: 8 of 100 images left out: 8 not within 1 s of a pose of ref.csv"
    filled = read(tmp_path, gap=0, fractions=(0, 0, 1), fill_positions=True).traverses[0]
    np.testing.assert_allclose(filled.positions["x"], 4e5 + 5.0 * np.arange(100), rtol=1e-12)
    assert filled.timestamps.tolist() == list(range(100))


def test_a_table_without_any_fix(tmp_path):
    pair(tmp_path, tables=table("lat,lon", [(0, 0)] * 12 + [("", "")] * 8))
    with pytest.raises(UserError, match="none of 20 rows is a fix: 8 rows without a number, 12 rows at 0, 0 without a"):
        read(tmp_path)


def test_images_that_are_missing_end_a_sequence(tmp_path):
    for name in ("ref", "query"):
        images(tmp_path, name, [f"{i:04}.png" for i in range(60) if not 20 <= i < 29])
    traverse = read(tmp_path, gap=0).traverses[0]
    assert np.flatnonzero(np.diff(traverse.sequence_numbers())).tolist() == [19]


def test_folders_in_a_drive_are_sequences_and_those_of_systems_hold_no_frames(tmp_path):
    for name in ("ref", "query"):
        for run in ("run1", "run2"):
            images(tmp_path, f"{name}/{run}", numbered(15))
        images(tmp_path, f"{name}/@eaDir", numbered(3))
        images(tmp_path, f"{name}", ["a.heic", "b.HEIC", "c.gif"])
    images(tmp_path, "__MACOSX", numbered(2))
    prepared = read(tmp_path, gap=0)
    assert prepared.traverses[0].sequence_numbers().tolist() == [0] * 15 + [1] * 15
    assert prepared.notes[0] == "ref: passed over 1 .gif, 2 .heic, the folder @eaDir"
    with pytest.raises(UserError, match=r"none: no such folder of images; .* has query, ref$"):
        read(tmp_path, reference=("none",))


def test_a_query_without_positions_is_to_be_placed(tmp_path):
    pair(tmp_path)
    (tmp_path / "ref.csv").write_text(table("x,y", [(i, i) for i in range(20)]))
    prepared = read(tmp_path)
    (split,) = prepared.splits
    assert (split.name, split.positive_radius, split.positives) == ("test", None, None)
    assert (len(split.reference[0].rows), len(split.query[0].rows)) == (20, 20)
    reference, query = prepared.traverses
    assert (list(reference.positions), list(query.positions)) == (["x", "y"], [])
    assert query.placed == "not known; its split has no ground truth"
    with pytest.raises(UserError, match="query has no positions, so no radius says what is correct"):
        read(tmp_path, positive_radius=5.0)


def test_sequences_of_rows_that_are_found_by_time(tmp_path):
    rows = [(f"{1_700_000_000 + i}", i, 0, "a" if i < 7 else "b") for i in range(20)]
    for name in ("ref", "query"):
        images(tmp_path, name, [f"{1_700_000_000.2 + i:.1f}.png" for i in range(18)])
        (tmp_path / f"{name}.csv").write_text(table("time,x,y,sequence", rows))
    assert read(tmp_path, gap=0).traverses[0].sequence_numbers().tolist() == [0] * 7 + [1] * 11
    (tmp_path / "ref.csv").write_text(table("time,x,y,score", [(*row[:3], 1) for row in rows]))
    with pytest.raises(UserError, match=r"ref.csv: score of rows that are found by time; wanted a column name"):
        read(tmp_path, gap=0)


def test_scored_and_usable_frames_are_kept(tmp_path):
    rows = [(f"{i}.jpg", i, i % 10 == 0, int(i != 3)) for i in reversed(range(20)) if i != 5]
    pair(tmp_path, tables=table("filename,frame,score,usable", rows))
    traverse = read(tmp_path, gap=0).traverses[0]
    kept = [i for i in range(20) if i != 5]
    assert traverse.flags["score"].tolist() == [i % 10 == 0 for i in kept]
    assert traverse.flags["usable"].tolist() == [i != 3 for i in kept]
    write_prepared(tmp_path / "out", "own", read(tmp_path, gap=0, fractions=(0, 0, 1)))
    reference = load_folder(tmp_path / "out").splits["test"].reference
    assert reference.scored.tolist() == traverse.flags["score"].tolist()
    assert reference.usable.tolist() == traverse.flags["usable"].tolist()


def test_filling_across_the_180th_meridian(tmp_path):
    degrees = [(i, -16.0, (179.99905 + 1e-4 * i + 180) % 360 - 180) for i in range(20)]
    pair(tmp_path, tables=table("name,lat,lon", [row for row in degrees if not 8 <= row[0] < 14]))
    lon = read(tmp_path, gap=0, fractions=(0, 0, 1), fill_positions=True).traverses[0].positions["lon"]
    np.testing.assert_allclose(lon, [row[2] for row in degrees], atol=1e-9)


def test_a_list_of_frames_beside_a_drive_holds_no_positions(tmp_path):
    pair(tmp_path)
    for name in ("ref", "query"):
        (tmp_path / f"{name}.txt").write_text("\n".join(numbered(10)))
    prepared = read(tmp_path, gap=0, frame_list=str(tmp_path / "{traverse}.txt"))
    assert [len(traverse) for traverse in prepared.traverses] == [10, 10]
    with pytest.raises(UserError, match=r"ref.txt: "):
        read(tmp_path, gap=0)


def test_several_query_drives_share_one_cut_of_the_map(tmp_path):
    for name in ("map", "sun", "rain"):
        images(tmp_path, name, numbered(60))
    prepared = read(tmp_path, reference=("map",), query=("sun", "rain"))
    assert [traverse.name for traverse in prepared.traverses] == ["map", "sun", "rain"]
    assert {split.name: [one.drive for one in split.query] for split in prepared.splits} == {
        "train": ["sun", "rain"],
        "val": ["sun", "rain"],
        "test-sun": ["sun"],
        "test-rain": ["rain"],
    }
    sun, rain = (split for split in prepared.splits if split.name.startswith("test-"))
    assert sun.reference[0].rows.tolist() == rain.reference[0].rows.tolist() == rain.query[0].rows.tolist()


def test_several_query_drives_are_held_against_the_map_one_by_one(tmp_path):
    for name, count in (("map", 60), ("sun", 60), ("rain", 59)):
        images(tmp_path, name, numbered(count))
    with pytest.raises(UserError, match="map has 60 images, rain 59, and neither has positions"):
        read(tmp_path, reference=("map",), query=("sun", "rain"))
    with pytest.raises(UserError, match="`query` names sun twice; name each drive once"):
        read(tmp_path, reference=("map",), query=("sun", "sun"))
    for name in ("map", "sun"):
        (tmp_path / f"{name}.csv").write_text(table("name,x,y", [(f"{i}.jpg", i, 0) for i in range(59)]))
    with pytest.raises(UserError, match="rain has no positions, other query drives have; prepare it alone"):
        read(tmp_path, reference=("map",), query=("sun", "rain"))


def test_several_reference_drives_are_one_map(tmp_path):
    for name in ("summer", "fall", "sun"):
        images(tmp_path, name, numbered(60))
    prepared = read(tmp_path, reference=("summer", "fall"), query=("sun",))
    assert [split.name for split in prepared.splits] == ["train", "val", "test"]
    for split in prepared.splits:
        assert [one.drive for one in split.drives] == ["summer", "fall", "sun"]
        assert split.reference[0].rows.tolist() == split.reference[1].rows.tolist() == split.query[0].rows.tolist()
    with pytest.raises(UserError, match="`reference` names summer twice; name each drive once"):
        read(tmp_path, reference=("summer", "summer"), query=("sun",))
    (tmp_path / "fall" / prepared.traverses[1].names[-1]).unlink()
    with pytest.raises(UserError, match="summer has 60 images, fall 59, and neither has positions"):
        read(tmp_path, reference=("summer", "fall"), query=("sun",))


def test_a_query_is_placed_in_a_map_of_several_drives(tmp_path):
    for name in ("summer", "fall", "sun"):
        images(tmp_path, name, numbered(20))
        if name != "sun":
            (tmp_path / f"{name}.csv").write_text(table("x,y", [(i, 0) for i in range(20)]))
    (split,) = read(tmp_path, reference=("summer", "fall"), query=("sun",)).splits
    assert [(one.drive, len(one.rows)) for one in split.drives] == [("summer", 20), ("fall", 20), ("sun", 20)]
    assert split.positive_radius is None


def test_a_list_of_correct_references_is_not_passed_over(tmp_path):
    pair(tmp_path)
    (tmp_path / "ground_truth_new.npy").touch()
    with pytest.raises(UserError, match=r"ground_truth_new\.npy lists correct references, which folders does not read"):
        read(tmp_path)
