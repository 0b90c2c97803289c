import errno
import os
from dataclasses import replace

import numpy as np
import pytest

from opticornet.datasets.folder.reading import load_folder
from opticornet.datasets.folder.toml import read_toml
from opticornet.datasets.images.sources import read_list
from opticornet.datasets.positives import Positives
from opticornet.datasets.prepare.prepared import DriveRows, Prepared, PreparedSplit, PreparedTraverse
from opticornet.datasets.prepare.writing import write_prepared
from opticornet.utils.errors import UserError


def traverse(name, count, images, **changes):
    names = tuple(f"{name}{i}.png" for i in range(count))
    paths = tuple(str(images / n) for n in names)
    return PreparedTraverse(name, paths, names, {"frame": np.arange(count)}, **changes)


def split_of(reference, query, reference_rows, query_rows, radius=1.0, **changes):
    drives = ((DriveRows(reference, reference_rows),), (DriveRows(query, query_rows),))
    return PreparedSplit("test", *drives, radius, **changes)


def make(images, reference_rows=range(10), query_rows=range(8), **changes):
    a, b = traverse("a", 10, images), traverse("b", 8, images)
    split = split_of("a", "b", np.array(reference_rows), np.array(query_rows), 2.0, **changes)
    return Prepared("frames", (a, b), (split,))


def describe(folder):
    """Descriptors for every traverse: row i holds the number in the name of image i of the list."""
    for name in read_toml(folder).traverses:
        lines = (folder / f"{name}.txt").read_text().splitlines()
        numbers = [float("".join(filter(str.isdigit, os.path.basename(line)))) for line in lines]
        np.save(folder / f"{name}.npy", np.array(numbers, np.float32)[:, None])


def test_rows_of_table_list_and_descriptors_agree(tmp_path):
    write_prepared(tmp_path / "out", "tiny", make(tmp_path / "images"))
    describe(tmp_path / "out")
    split = load_folder(tmp_path / "out").splits["test"]
    for side, count in ((split.reference, 10), (split.query, 8)):
        assert side.descriptors[:, 0].tolist() == side.positions[:, 0].tolist() == list(range(count))
        assert side.images == tuple((tmp_path / "out" / f"{side.name}.txt").read_text().split())
        assert [os.path.basename(image) for image in side.images] == list(side.names)
    assert (split.positive_radius, split.negative_radius, split.units) == (2.0, None, "frames")


def test_images_elsewhere_are_absolute_and_images_inside_relative(tmp_path):
    for images, expected in (
        (tmp_path / "elsewhere", str(tmp_path / "elsewhere" / "a0.png")),
        (tmp_path / "out" / "raw", "raw/a0.png"),
    ):
        write_prepared(tmp_path / "out", "tiny", make(images), overwrite=True)
        assert (tmp_path / "out" / "a.txt").read_text().splitlines()[0] == expected
    (tmp_path / "out" / "raw").mkdir()
    for i in range(10):
        (tmp_path / "out" / "raw" / f"a{i}.png").touch()
    assert len(read_list(tmp_path / "out" / "a.txt")) == 10
    describe(tmp_path / "out")
    image = load_folder(tmp_path / "out").splits["test"].reference.images[3]
    assert os.path.samefile(image, tmp_path / "out" / "raw" / "a3.png")


def test_contiguous_rows_stay_ranges_of_one_traverse(tmp_path):
    write_prepared(tmp_path, "tiny", make(tmp_path, range(2, 7), range(8)))
    entry = read_toml(tmp_path)
    assert list(entry.traverses) == ["a", "b"]
    assert (entry.splits["test"].reference_rows, entry.splits["test"].query_rows) == ((2, 7), None)


def test_scattered_rows_become_a_traverse_whose_sequences_end_at_the_gaps(tmp_path):
    prepared = make(tmp_path, [0, 1, 2, 5, 6, 9])
    val = replace(prepared.splits[0], name="val")
    write_prepared(tmp_path, "tiny", replace(prepared, splits=(val, *prepared.splits)))
    describe(tmp_path)
    dataset = load_folder(tmp_path)
    assert list(read_toml(tmp_path).traverses) == ["b", "a-val"]  # shared by the two splits
    for split in dataset.splits.values():
        assert split.reference.positions[:, 0].tolist() == [0, 1, 2, 5, 6, 9]
        assert split.reference.descriptors[:, 0].tolist() == [0, 1, 2, 5, 6, 9]
        assert split.reference.bounds.tolist() == [[0, 3]] * 3 + [[3, 5]] * 2 + [[5, 6]]
        assert len(split.query) == 8


def test_a_cut_never_takes_the_place_of_another_traverse(tmp_path):
    a, b = traverse("loop", 6, tmp_path), traverse("loop-test", 6, tmp_path)
    split = split_of("loop", "loop-test", np.array([0, 1, 4]), np.arange(6))
    with pytest.raises(UserError, match="two traverses would be called loop-test; rename a folder"):
        write_prepared(tmp_path / "out", "tiny", Prepared("frames", (a, b), (split,)))
    assert not (tmp_path / "out").exists()


def test_sequences_and_timestamps_are_kept(tmp_path):
    a = traverse("a", 4, tmp_path, sequences=["x", "x", "y", "x"], timestamps=np.array([0.1, 0.2, 1e9 + 1e-6, 2e9]))
    rows = np.arange(4)
    write_prepared(tmp_path, "t", Prepared("frames", (a,), (split_of("a", "a", rows, rows),)))
    describe(tmp_path)
    found = load_folder(tmp_path).splits["test"].query
    assert found.bounds.tolist() == [[0, 2], [0, 2], [2, 3], [3, 4]]  # the second x is another sequence
    assert found.timestamps.tolist() == [0.1, 0.2, 1e9 + 1e-6, 2e9]


def test_positives_of_several_ranges_are_written_and_read(tmp_path):
    positives = Positives.of_lists([[0, 1, 2], [], [9], [4, 5, 8], [], [], [], [1]])
    prepared = make(tmp_path)
    split = replace(prepared.splits[0], positive_radius=None, positives=positives)
    write_prepared(tmp_path, "t", replace(prepared, splits=(split,)))
    describe(tmp_path)
    assert load_folder(tmp_path).splits["test"].positives.ranges() == positives.ranges()


def test_finished_work_is_skipped_and_other_work_refused(tmp_path):
    assert write_prepared(tmp_path, "tiny", make(tmp_path))[1]
    (tmp_path / "a.npy").write_bytes(b"descriptors")
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()}
    assert not write_prepared(tmp_path, "tiny", make(tmp_path))[1]
    with pytest.raises(UserError, match=r"dataset\.toml exists and would change: .*`overwrite`"):
        write_prepared(tmp_path, "tiny", make(tmp_path, range(5)))
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()} == before
    assert write_prepared(tmp_path, "tiny", make(tmp_path, range(5)), overwrite=True)[1]
    assert read_toml(tmp_path).splits["test"].reference_rows == (0, 5)


def test_descriptors_of_other_images_are_said(tmp_path):
    write_prepared(tmp_path / "out", "tiny", make(tmp_path))
    describe(tmp_path / "out")
    assert write_prepared(tmp_path / "out", "tiny", make(tmp_path, range(5)), overwrite=True)[0].notes == ()
    notes = write_prepared(tmp_path / "out", "tiny", make(tmp_path / "moved"), overwrite=True)[0].notes
    assert [note.split(": extracted from other images")[0] for note in notes] == [
        str(tmp_path / "out" / "a.npy"),
        str(tmp_path / "out" / "b.npy"),
    ]


def test_descriptors_of_a_drive_that_grew_are_said(tmp_path):
    prepared = make(tmp_path)
    shorter = [one.take(np.arange(6)) for one in prepared.traverses]
    split = PreparedSplit.of_all_rows("test", shorter[:1], shorter[1:], positive_radius=2.0)
    write_prepared(tmp_path / "out", "tiny", Prepared("frames", tuple(shorter), (split,)))
    describe(tmp_path / "out")
    notes = write_prepared(tmp_path / "out", "tiny", prepared, overwrite=True)[0].notes
    assert [note.split(": ")[1] for note in notes] == [
        "images were added to those that it was extracted from; extract again, which adds theirs"
    ] * 2


def test_a_table_of_the_users_is_not_overwritten(tmp_path):
    (tmp_path / "a.csv").write_text("mine")
    with pytest.raises(UserError, match=r"a\.csv exists and would change"):
        write_prepared(tmp_path, "tiny", make(tmp_path))
    assert os.listdir(tmp_path) == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "mine"


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="the disk is full"):
        write_prepared(tmp_path / "out", "tiny", make(tmp_path))
    assert os.listdir(tmp_path / "out") == []


def test_a_kill_between_the_files_is_made_good(tmp_path, monkeypatch):
    replaced, real = [], os.replace

    def dies_at_the_toml(source, target):
        if os.path.dirname(target) == str(tmp_path / "out"):
            replaced.append(os.path.basename(target))
            if replaced[-1] == "dataset.toml":
                raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", dies_at_the_toml)
    with pytest.raises(KeyboardInterrupt):
        write_prepared(tmp_path / "out", "tiny", make(tmp_path))
    assert not (tmp_path / "out" / "dataset.toml").exists()
    monkeypatch.undo()
    assert write_prepared(tmp_path / "out", "tiny", make(tmp_path))[1]
    assert sorted(os.listdir(tmp_path / "out")) == ["a.csv", "a.txt", "b.csv", "b.txt", "dataset.toml"]


def test_paths_the_formats_cannot_hold(tmp_path):
    for folder in ("two\nlines", "two\u2028lines", os.fsdecode(b"caf\xe9")):
        with pytest.raises(UserError, match="holds a line break or is not UTF-8; rename"):
            write_prepared(tmp_path, "tiny", make(tmp_path / folder))
    assert write_prepared(tmp_path / "out", "tiny", make(tmp_path / "caf\u00e9 \u6771\u4eac"))[1]
    prepared = make(tmp_path)
    first = replace(prepared.traverses[0], images=(" a.png", *prepared.traverses[0].images[1:]))
    with pytest.raises(UserError, match="begins or ends with a blank"):
        write_prepared(tmp_path, "tiny", replace(prepared, traverses=(first, prepared.traverses[1])))
    first = replace(prepared.traverses[0], names=("a1.png", *prepared.traverses[0].names[1:]))
    with pytest.raises(UserError, match=r"traverse a: the frame a1\.png comes twice"):
        write_prepared(tmp_path, "tiny", replace(prepared, traverses=(first, prepared.traverses[1])))


def test_several_drives_are_listed_with_rows_of_each(tmp_path):
    drives = [traverse(name, count, tmp_path) for name, count in (("a", 10), ("b", 8), ("c", 8))]
    rows = [DriveRows("a", np.arange(2, 6)), DriveRows("b", np.arange(8))]
    split = PreparedSplit("test", tuple(rows), (DriveRows("c", np.arange(8)),), 1.0)
    write_prepared(tmp_path, "t", Prepared("frames", tuple(drives), (split,)))
    entry = read_toml(tmp_path).splits["test"]
    assert (entry.reference, entry.reference_rows) == (("a", "b"), ((2, 6), (0, 8)))
    assert (entry.query, entry.query_rows) == ("c", None)
    describe(tmp_path)
    found = load_folder(tmp_path).splits["test"].reference
    assert found.descriptors[np.arange(12)][:, 0].tolist() == [2, 3, 4, 5, *range(8)]


def test_of_several_drives_those_with_gaps_are_cut_up(tmp_path):
    drives = [traverse(name, 6, tmp_path) for name in ("a", "b", "c")]
    sides = ("a", [0, 1, 4]), ("b", [2, 3, 4]), ("c", range(6))
    first, second, query = (DriveRows(name, np.array(rows)) for name, rows in sides)
    split = PreparedSplit("test", (first, second), (query,), 1.0)
    write_prepared(tmp_path, "t", Prepared("frames", tuple(drives), (split,)))
    describe(tmp_path)
    found = load_folder(tmp_path).splits["test"].reference
    assert [drive.name for drive in found.drives] == ["a-test", "b"]
    assert found.descriptors[np.arange(6)][:, 0].tolist() == [0, 1, 4, 2, 3, 4]
    assert found.bounds.tolist() == [[0, 2], [0, 2], [2, 3], [3, 6], [3, 6], [3, 6]]
