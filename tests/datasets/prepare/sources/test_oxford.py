import numpy as np
import pytest
from scipy.spatial import cKDTree

from opticornet.datasets.prepare.sources import oxford
from opticornet.datasets.prepare.sources.oxford import Oxford, rows_at_spacing
from opticornet.datasets.prepare.sources.oxford_splits import INTERVALS
from opticornet.datasets.seqnet.layout import OXFORD_QUERY, OXFORD_REFERENCE
from opticornet.datasets.seqnet.structs import read_image_names, read_split_indices, read_struct
from opticornet.utils.errors import UserError


def read(root, **options):
    return Oxford(**options).read(root)


START = 1_400_000_000_000_000
RAW = "RobotCar ships raw frames: extract with the Bayer pattern gbrg, unless you made colour of them already"


def poses(path, times_us, easting, northing):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["timestamp,ins_status,latitude,longitude,altitude,northing,easting,down,utm_zone"]
    lines += [
        f"{t},INS_SOLUTION_GOOD,51.7,-1.2,110,{n!r},{e!r},-110,30U"
        for t, e, n in zip(times_us, easting.tolist(), northing.tolist(), strict=True)
    ]
    path.write_text("\n".join(lines))


def drive(root, name, times_us, camera="stereo/left"):
    folder = root / name / camera
    folder.mkdir(parents=True)
    for t in times_us:
        (folder / f"{t}.png").touch()


def straight(root, name, seconds=8.0, speed=3.1, start=START):
    """A drive north-east at constant speed: images at 16 Hz, poses at 10 Hz."""
    drive(root, name, start + np.arange(0, seconds * 1e6, 62_500).astype(int))
    t = np.arange(0, seconds + 0.1, 0.1)
    along = speed * t / np.sqrt(2)
    poses(root / name / "gps" / "ins.csv", start + np.round(t * 1e6).astype(int), 600_000 + along, 5_700_000 + along)


def test_frames_two_metres_apart_with_interpolated_positions(tmp_path):
    straight(tmp_path, "a")
    straight(tmp_path, "b", speed=7.7)
    prepared = read(tmp_path, reference=("a",), query=("b",), splits="all")
    for traverse, speed in zip(prepared.traverses, (3.1, 7.7), strict=True):
        along = np.hypot(traverse.positions["x"] - 600_000, traverse.positions["y"] - 5_700_000)
        np.testing.assert_allclose(along, speed * (traverse.timestamps - START / 1e6), atol=1e-4)
        per_image = speed / 16
        np.testing.assert_allclose(along, 2 * np.arange(len(along)), atol=per_image / 2 + 1e-6)
        assert len(traverse) == int((speed * 8 - per_image) // 2) + 1
        assert traverse.names[0] == f"{START}.png"
        assert traverse.images[0] == str(tmp_path / traverse.name / "stereo" / "left" / f"{START}.png")
    (split,) = prepared.splits
    assert (split.name, split.positive_radius, split.negative_radius) == ("test", 25.0, None)
    assert prepared.units == "metres"
    assert prepared.notes == (RAW,)


def test_every_image_without_spacing(tmp_path):
    straight(tmp_path, "a")
    straight(tmp_path, "b")
    assert [len(t) for t in read(tmp_path, reference=("a",), query=("b",), splits="all", spacing=0).traverses] == [
        128,
        128,
    ]


def test_marks():
    assert rows_at_spacing(np.array([0.0, 0.9, 2.1, 2.2, 3.9, 4.0, 7.0, 8.2]), 2.0).tolist() == [0, 2, 5, 6, 7]
    assert rows_at_spacing(np.array([0.0, 1.0, 3.0]), 2.0).tolist() == [0, 1]  # the earlier of two as near
    assert rows_at_spacing(np.array([0.0, 0.0, 0.0]), 2.0).tolist() == [0]
    assert rows_at_spacing(np.array([0.0, 5.0, 10.0]), 2.0).tolist() == [0, 1, 2]  # sparse images: each once


def test_marks_against_seqnets_lists(shared):
    """Only frames that were kept are known, so check what must hold: along straight stretches, whatever the speed,
    seqNet's frames are 2 m apart on average; and so are ours on a drive of the same speeds, about as many."""
    structs = shared / "data" / "seqnet-structs"
    for side in (0, 1):
        rows, positions, names = [], [], []
        for part, file in (("train", "train_d-20_d2-5"), ("test", "test_d-25_d2-5")):
            struct = read_struct(structs / f"oxford-pnv_{OXFORD_REFERENCE}_{OXFORD_QUERY}_{file}.db")
            rows.append(read_split_indices(structs / "oxford-pnv_splitInds.npz", f"{part}Inds")[side])
            positions.append((struct.reference_positions, struct.query_positions)[side])
            names += (struct.reference_names, struct.query_names)[side]
        order = np.argsort(np.concatenate(rows))
        positions = np.concatenate(positions)[order]
        times = np.array([int(name.split("/")[-1][:-4]) for name in names])[order] / 1e6
        steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
        lengths = np.add.reduceat(steps, np.arange(0, len(steps) - 19, 20))[:-1]
        chords = np.linalg.norm(positions[20:-20:20] - positions[:-40:20], axis=1)[: len(lengths)]
        straight_steps = lengths[chords / lengths > 0.9995] / 20
        assert len(straight_steps) > 50
        assert abs(straight_steps.mean() - 2.0) < 0.005

        at = np.arange(times[0], times[-1], 1 / 16)
        dense = np.stack([np.interp(at, times, column) for column in positions.T], axis=1)
        path = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(dense, axis=0), axis=1))])
        ours = rows_at_spacing(path, 2.0)
        assert abs(len(ours) - len(positions)) < 0.015 * len(positions)
        assert cKDTree(positions).query(dense[ours])[0].max() < 1.5


@pytest.mark.parametrize(("splits", "test_file"), [("v1.0", "test_d-10_d2-5"), ("pnv", "test_d-25_d2-5")])
def test_against_seqnets_files(shared, tmp_path, monkeypatch, splits, test_file):
    """seqNet's lists of frames and its positions as the INS gave them make seqNet's splits, frame by frame."""
    structs = shared / "data" / "seqnet-structs"
    files = {"train": "train_d-20_d2-5", "val": test_file, "test": test_file}
    struct = {
        part: read_struct(structs / f"oxford-{splits}_{OXFORD_REFERENCE}_{OXFORD_QUERY}_{file}.db")
        for part, file in files.items()
    }
    images = {}
    for date, sides in (
        (OXFORD_REFERENCE, ("reference_names", "reference_positions")),
        (OXFORD_QUERY, ("query_names", "query_positions")),
    ):
        listed = read_image_names(structs / "imageNamesFiles" / f"oxford_{date}_imagenames_subsampled-2m.txt")
        images[date] = tuple(f"images/{name.split('/')[-1]}" for name in listed)
        known = {
            int(name.split("/")[-1][:-4]): place
            for part in ("train", "test")
            for name, place in zip(*(getattr(struct[part], side) for side in sides), strict=True)
        }
        times = sorted(int(name.split("/")[-1][:-4]) for name in listed)
        place = np.array([known.get(t, (0.0, 0.0)) for t in times])  # v1.0 leaves frames out between its splits
        poses(tmp_path / date / "gps" / "ins.csv", times, place[:, 1], place[:, 0])
    monkeypatch.setattr(oxford, "images_of", lambda folder: images[folder.parent.parent.name])
    pattern = str(structs / "imageNamesFiles" / "oxford_{traverse}_imagenames_subsampled-2m.txt")
    prepared = read(tmp_path, splits=splits, frame_list=pattern)
    by_name = {traverse.name: traverse for traverse in prepared.traverses}
    for split in prepared.splits:
        expected = struct[split.name]
        training = (expected.training_positive_radius, expected.radius)
        radii = training if split.name == "train" else (expected.radius, None)
        assert (split.positive_radius, split.negative_radius) == radii
        for date, rows, names, place in (
            (split.reference[0].drive, split.reference[0].rows, expected.reference_names, expected.reference_positions),
            (split.query[0].drive, split.query[0].rows, expected.query_names, expected.query_positions),
        ):
            kept = by_name[date].take(rows)
            assert [f"{date}/stereo/left/{name}" for name in kept.names] == list(names)
            np.testing.assert_array_equal(kept.positions["y"], place[:, 0])  # seqNet has northing first
            np.testing.assert_array_equal(kept.positions["x"], place[:, 1])


def test_intervals_are_rising_and_apart():
    for splits, parts in INTERVALS.items():
        for date in (OXFORD_REFERENCE, OXFORD_QUERY):
            runs = sorted(parts["train"][date] + parts["test"][date])
            edges = np.array(runs).ravel()
            assert (np.diff(edges) >= 0).all(), splits
            assert (edges[2::2] > edges[1:-1:2]).all(), splits


def test_splits_by_time_of_frames_chosen_otherwise(tmp_path):
    """Any frames within the intervals: v1.0's test part is one stretch, its training part two."""
    for date in (OXFORD_REFERENCE, OXFORD_QUERY):
        (first, last), (third, _) = INTERVALS["v1.0"]["train"][date]
        ((test, _),) = INTERVALS["v1.0"]["test"][date]
        times = [first - 5_000_000, first, last + 1, test, test + 500_000, third]
        drive(tmp_path, date, times)
        poses(tmp_path / date / "gps" / "ins.csv", times, np.arange(6.0), np.arange(6.0))
    prepared = read(tmp_path, spacing=0)
    rows = {s.name: s.query[0].rows.tolist() for s in prepared.splits}
    assert rows == {"train": [1, 5], "val": [3, 4], "test": [3, 4]}


def test_rtk_and_camera(tmp_path):
    for name in ("a", "b"):
        drive(tmp_path, name, [START, START + 1_000_000], camera="mono_left")
    for path in (tmp_path / "a" / "rtk.csv", tmp_path / "rtk" / "b" / "rtk.csv"):  # both places it is found in
        poses(path, [START, START + 1_000_000], np.array([1.0, 5.0]), np.zeros(2))
    prepared = read(tmp_path, reference=("a",), query=("b",), camera="mono_left", poses="rtk", splits="all")
    assert [t.positions["x"].tolist() for t in prepared.traverses] == [[1.0, 5.0]] * 2


def gps(path, times_us, easting, satellites):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["timestamp,num_satellites,latitude,longitude,altitude,latitude_sigma,northing,easting,down,utm_zone"]
    lines += [
        f"{t},{s},51.7,-1.2,110,1,5700000,{e},-110,30U" for t, e, s in zip(times_us, easting, satellites, strict=True)
    ]
    path.write_text("\n".join(lines))


@pytest.mark.parametrize("place", ["gps/gps.csv", "gps.csv"])
def test_drives_with_gps_only_leave_out_what_is_no_fix(tmp_path, place):
    times = START + 200_000 * np.arange(20)
    for name in ("a", "b"):
        drive(tmp_path, name, times)
        easting = np.where(np.arange(20) == 0, 0, 600_000 + 2 * np.arange(20))
        gps(tmp_path / name / place, times, easting.tolist(), [9, 9, 9, 0, *([7] * 12), 3, 3, 3, 3])
    prepared = read(tmp_path, reference=("a",), query=("b",), splits="all", spacing=0)
    assert (prepared.traverses[0].positions["x"] - 600_000).tolist() == [2.0 * i for i in range(1, 16)]
    assert prepared.traverses[0].placed == (
        "x, y of gps.csv, interpolated at the times in the names of the images; 15 of 20 images have one"
    )
    assert prepared.notes[1:4] == (
        "a: no ins.csv, so its positions are those of gps.csv, metres less exact",
        "a: 6 of 20 rows of gps.csv are no fix and left out",
        "a: 5 of 20 images left out, no pose within 0.5 s",
    )
    straight(tmp_path, "c")
    notes = read(tmp_path, reference=("a",), query=("c",), splits="all", spacing=0, poses="auto").notes
    assert not [note for note in notes if note.startswith("c")]  # which has an INS
    assert "c/gps/gps.csv: no such table" in refused(tmp_path, reference=("a",), query=("c",), poses="gps")
    assert "a/gps/ins.csv: no such table" in refused(tmp_path, reference=("a",), query=("b",), poses="ins")


def test_gps_without_any_fix(tmp_path):
    for name in ("a", "b"):
        drive(tmp_path, name, [START, START + 1_000_000])
        gps(tmp_path / name / "gps" / "gps.csv", [START, START + 1_000_000], [0, 0], [0, 0])
    assert "a/gps/gps.csv: none of its 2 rows is a fix" in refused(tmp_path)


def refused(root, **arguments):
    with pytest.raises(UserError) as error:
        read(root, **({"reference": "a", "query": "b", "splits": "all"} | arguments))
    return str(error.value)


def test_images_without_poses_are_left_out_and_said(tmp_path):
    straight(tmp_path, "b")
    drive(tmp_path, "a", START + np.arange(0, 10_000_000, 1_000_000))
    t = np.array([2.0, 2.5, 3.0, 3.4, 7.6, 8.0])  # 4 s: 0.6 s after one pose; 5 s and 6 s: in a hole; 7 s: 0.6 s before
    poses(tmp_path / "a" / "gps" / "ins.csv", START + (t * 1e6).astype(int), 2 * t, 0 * t)
    prepared = read(tmp_path, reference=("a",), query=("b",), splits="all", spacing=0)
    assert prepared.traverses[0].positions["x"].tolist() == [4.0, 6.0, 16.0]
    assert prepared.notes == (RAW, "a: 7 of 10 images left out, no pose within 0.5 s")


def test_bad_input(tmp_path):
    straight(tmp_path, "a")
    assert "b/stereo/left: no such folder of images" in refused(tmp_path)
    drive(tmp_path, "b", [START + 100_000_000])
    assert "b/gps/ins.csv: no such table" in refused(tmp_path)
    poses(tmp_path / "b" / "gps" / "ins.csv", [START, START + 1_000_000], np.zeros(2), np.zeros(2))
    assert "timestamps do not overlap: images from 1400000100.000" in refused(tmp_path)
    (tmp_path / "b" / "stereo" / "left" / "readme.png").touch()
    assert "the file name readme is no time" in refused(tmp_path)
    (tmp_path / "b" / "gps" / "ins.csv").write_text("timestamp,latitude\n1,2\n")
    (tmp_path / "b" / "stereo" / "left" / "readme.png").unlink()
    assert "no column northing, easting; it has timestamp, latitude" in refused(tmp_path)


def test_seqnets_splits_are_of_its_traverses(tmp_path):
    straight(tmp_path, "a")
    straight(tmp_path, "b")
    assert f"split v1.0 is of {OXFORD_REFERENCE} and {OXFORD_QUERY}, not of a" in refused(tmp_path, splits="v1.0")
    straight(tmp_path, OXFORD_REFERENCE)
    straight(tmp_path, OXFORD_QUERY)
    message = refused(tmp_path, splits="pnv", reference=(OXFORD_REFERENCE,), query=(OXFORD_QUERY,))
    assert "none of its images is in the train part of split pnv" in message


def test_images_without_a_pose_end_a_sequence(tmp_path):
    for name in ("a", "b"):
        straight(tmp_path, name, seconds=20.0, speed=4.0)
        table = tmp_path / name / "gps" / "ins.csv"
        header, *rows = table.read_text().splitlines()
        table.write_text("\n".join([header, *rows[:80], *rows[120:]]))  # no pose from 8 to 12 s
    traverse = read(tmp_path, reference=("a",), query=("b",), splits="all").traverses[0]
    (end,) = np.flatnonzero(np.diff(traverse.sequence_numbers()))
    seconds = traverse.timestamps - START / 1e6
    assert seconds[end] < 8.5
    assert seconds[end + 1] > 11.4


def test_several_drives_are_one_map(tmp_path):
    for name in ("a", "b", "c"):
        straight(tmp_path, name)
    prepared = read(tmp_path, reference=("a", "b"), query=("c",), splits="all")
    (split,) = prepared.splits
    assert [one.drive for one in split.reference] == ["a", "b"]
    assert [len(one.rows) for one in split.drives] == [len(traverse) for traverse in prepared.traverses]
