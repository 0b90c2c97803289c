from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from opticornet.datasets.check.dataset import check_dataset
from opticornet.datasets.check.judge import Findings, judge, judge_overlap
from opticornet.datasets.check.render import render
from opticornet.datasets.check.report import split_report
from opticornet.datasets.drives import join_drives
from opticornet.datasets.folder.writing import write_dataset
from opticornet.datasets.positives import Positives
from opticornet.datasets.traverse import Dataset, Split, Traverse
from opticornet.utils.errors import UserError


def drive(name: str, count: int, shift: float = 0.0) -> Traverse:
    values = np.random.default_rng(count).standard_normal((count, 8)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    positions = np.stack([2.0 * np.arange(count) + shift, np.zeros(count)], axis=1)
    return Traverse(name, values, positions, "metres", np.tile([0, count], (count, 1)))


def check(tmp_path, **changes):
    """The report of a one-split dataset, 30 and 25 frames, with changes to its split."""
    split = replace(Split("test", drive("a", 30), drive("b", 25, shift=0.5), 4.0), **changes)
    write_dataset(tmp_path / "set", Dataset("made", {split.name: split}))
    return check_dataset(str(tmp_path / "set"))


def changed(traverse: Traverse, rows, value) -> Traverse:
    descriptors = traverse.descriptors.copy()
    descriptors[rows] = value
    return replace(traverse, descriptors=descriptors)


def test_synthetic_is_sound():
    report = check_dataset("synthetic")
    assert (report.errors, report.warnings) == ((), ())
    assert [split.name for split in report.splits] == ["train", "val", "test"]


def test_numbers_of_a_sound_dataset(tmp_path):
    report = check(tmp_path)
    (split,) = report.splits
    side = split.drives[1]
    assert (side.frames, side.dims, side.dtype, side.duplicate_positions) == (25, 8, "float32", 0)
    assert (side.sequences, side.shortest, side.longest, side.jumps) == (1, 25, 25, 0)
    assert side.spacing == pytest.approx((2, 2, 2))
    assert side.norms == pytest.approx((1, 1, 1), abs=1e-6)
    assert (split.without_positive, split.same_data) == (0, ())
    assert (report.errors, report.warnings) == ((), ())


def test_report_as_text(tmp_path):
    lines = render(check(tmp_path))
    text = "\n".join(lines)
    assert lines[0] == f"dataset {tmp_path / 'set'}"
    assert lines[-1] == "errors: 0, warnings: 0"
    for part in (
        "test: positive radius 4 metres",
        "reference test-reference: 30 frames, 8-D float32",
        "norms 1 to 1, median 1; rows with NaN or infinity: 0; all-zero rows: 0",
        "spacing median 2 (p5 2, p95 2) metres; duplicate positions: 0",
        "sequences: 1, of 30 frames",
        "queries without a positive: 0 of 25",
        "reference and query are the same data: no",
    ):
        assert part in text


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_rows(tmp_path, value):
    report = check(tmp_path, query=changed(drive("b", 25, 0.5), [[7], [9]], value))
    assert report.errors == ("test query (test-query): NaN or infinity in 2 descriptors, first in row 7 of the split",)
    assert report.splits[0].drives[1].norms == pytest.approx((1, 1, 1), abs=1e-6)


def test_zero_rows(tmp_path):
    report = check(tmp_path, reference=changed(drive("a", 30), 4, 0))
    assert "test reference (test-reference): 1 descriptor all zero, first in row 4 of the split" in report.errors


def test_one_of_a_kind_is_not_many(tmp_path):
    bounds = np.repeat([[0, 1], [1, 3]], [1, 2], axis=0)
    report = check(tmp_path, query=drive("b", 1, shift=0.5), reference=replace(drive("a", 3), bounds=bounds))
    text = "\n".join(render(report))
    assert "query test-query: 1 frame, 8-D" in text
    assert "sequences: 1, of 1 frame\n" in text
    assert "sequences: 2, of 1 to 2 frames\n" in text
    report = check(tmp_path / "bad", query=changed(drive("b", 25, 0.5), 3, np.nan))
    assert "NaN or infinity in 1 descriptor, first in row 3" in report.errors[0]


def test_frames_whose_neighbours_are_missing_are_counted_and_named(tmp_path):
    bounds = np.repeat([[0, 6], [6, 8], [8, 30]], [6, 2, 22], axis=0)
    names = tuple(f"frame{row}" for row in range(30))
    report = check(tmp_path, reference=replace(drive("a", 30), bounds=bounds, names=names))
    reference, query = report.splits[0].drives
    assert reference.without_window == tuple(f"frame{row}" for row in (0, 1, 4, 5, 6, 7, 8, 9, 28, 29))
    assert query.without_window == ("row 0", "row 1", "row 23", "row 24")
    text = "\n".join(render(report))
    assert "without a whole window of 5: 10 frames: frame0, frame1, frame4, frame5, ...\n" in text
    assert "without a whole window of 5: 4 frames: row 0, row 1, row 23, row 24\n" in text
    (longer,) = check_dataset(str(tmp_path / "set"), 2).splits
    assert longer.drives[0].without_window == ("frame0", "frame6", "frame8")
    (single,) = check_dataset(str(tmp_path / "set"), 1).splits
    assert single.drives[0].without_window == ()


def test_descriptors_not_of_unit_length(tmp_path):
    report = check(tmp_path, reference=replace(drive("a", 30), descriptors=3 * drive("a", 30).descriptors))
    assert report.errors == ()
    assert "not of unit length (3 to 3)" in report.warnings[0]


def test_duplicate_positions(tmp_path):
    traverse = drive("b", 25, 0.5)
    traverse.positions[5:9] = traverse.positions[5]
    report = check(tmp_path, query=traverse)
    assert report.splits[0].drives[1].duplicate_positions == 3
    assert "3 frames at the exact position of an earlier one" in report.warnings[0]


def test_spacing_beyond_the_radius_and_queries_without_positive(tmp_path):
    report = check(tmp_path, positive_radius=0.7)
    assert report.splits[0].without_positive == 0
    assert "frames are 2 metres apart (median), more than the positive radius of 0.7" in report.warnings[0]
    far = drive("b", 25, shift=20.0)  # its last frames are beyond the reference
    (tmp_path / "far").mkdir()
    report = check(tmp_path / "far", query=far)
    # Query i is at 20 + 2i metres, the last reference at 58: beyond 62 metres for i > 21.
    assert report.splits[0].without_positive == 3
    assert report.warnings == ("test: 3 of 25 queries have no positive",)


def test_no_positive_at_all(tmp_path):
    report = check(tmp_path, query=drive("b", 25, shift=1e4))  # may be asked on purpose: it is answered without recall
    assert report.errors == ()
    assert report.warnings == ("test: no query has a positive; check positions, rows and radius",)


def test_no_ground_truth(tmp_path):
    unplaced = replace(drive("b", 25), positions=np.full((25, 2), np.nan))
    report = check(tmp_path, positive_radius=None, query=unplaced)
    assert report.errors == ()
    assert report.warnings == ("test: no ground truth: it can be answered, not scored or trained on",)
    assert report.splits[0].without_positive is None
    assert "  test: no ground truth" in render(report)


def test_table_of_positives(tmp_path):
    table = Positives.of_lists([[]] * 4 + [[3, 4, 5]] * 21)
    report = check(tmp_path, positive_radius=None, positives=table)
    assert report.splits[0].without_positive == 4
    assert "  test: positives from a table" in render(report)


def test_reference_and_query_the_same_data(tmp_path):
    report = check(tmp_path, query=drive("a", 30))
    assert report.splits[0].same_data == (("test-reference", "test-query"),)
    assert report.errors == ("test: reference and query are the same data, so every query finds itself",)


def test_gaps_inside_sequences(tmp_path):
    traverse = drive("b", 25, 0.5)
    traverse.positions[20:, 0] += 300.0
    report = check(tmp_path, query=traverse)
    assert report.splits[0].drives[1].jumps == 1
    assert any("1 jump inside sequences, the largest" in warning for warning in report.warnings)
    bounds = np.repeat([[0, 20], [20, 25]], [20, 5], axis=0)
    (tmp_path / "cut").mkdir()
    side = check(tmp_path / "cut", query=replace(traverse, bounds=bounds)).splits[0].drives[1]
    assert (side.jumps, side.sequences, side.shortest, side.longest) == (0, 2, 5, 20)


def test_training_places_in_the_test_split(tmp_path):
    write_dataset(tmp_path / "set", Dataset("made", {"test": Split("test", drive("a", 30), drive("b", 25, 0.5), 4.0)}))
    toml = tmp_path / "set" / "dataset.toml"
    train = (
        '[splits.train]\nreference = "test-reference"\nquery = "test-query"\nquery_rows = [0, 10]\n'
        "reference_rows = [0, 10]\npositive_radius = 2\nnegative_radius = 6\n"
    )
    toml.write_text(toml.read_text() + train)
    # Trained reference frames reach to 18 metres; queries are at 0.5 + 2i and the test radius is 4.
    warnings = check_dataset(str(tmp_path / "set")).warnings
    assert warnings == ("test: 11 of 25 queries lie within the positive radius of a training frame",)


def test_one_split_that_does_not_open_leaves_the_others(tmp_path):
    splits = {name: Split(name, drive("a", 30), drive("b", 25, 0.5), 4.0) for name in ("val", "test")}
    write_dataset(tmp_path / "set", Dataset("made", splits))
    (tmp_path / "set" / "val-query.npy").write_bytes(b"\x93NUMPY")
    report = check_dataset(str(tmp_path / "set"))
    assert [split.name for split in report.splits] == ["test"]
    assert len(report.errors) == 1
    assert "val-query.npy: not a NumPy array file" in report.errors[0]
    assert render(report)[-1] == "errors: 1, warnings: 0"


def photographed(folder, count: int = 20) -> Traverse:
    """A traverse of images only, 8 pixels wide and 6 high."""
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (8, 6)).save(folder / f"{number}.png")
    images = tuple(str(folder / f"{number}.png") for number in range(count))
    return replace(drive(folder.name, count), descriptors=None, images=images)


def test_a_dataset_of_images_only(tmp_path):
    reference, query = photographed(tmp_path / "day"), photographed(tmp_path / "night")
    report = check(tmp_path, reference=reference, query=query)
    (split,) = report.splits
    assert (report.errors, report.warnings, split.same_data) == ((), (), ())
    assert (split.drives[1].frames, split.drives[1].dims, split.drives[1].norms) == (20, None, None)
    text = "\n".join(render(report))
    for part in (
        "reference test-reference: 20 frames, images only, ",
        "no descriptors: methods that take images work; for all others, give [traverses.test-reference] of ",
        "images: 0 missing; of 16 sampled 0 cannot be decoded, sizes 8 x 6 (16)",
    ):
        assert part in text


def test_images_that_are_missing_corrupt_or_of_different_size(tmp_path):
    reference, query = photographed(tmp_path / "day"), photographed(tmp_path / "night")
    (tmp_path / "day" / "3.png").unlink()
    (tmp_path / "night" / "0.png").write_bytes(b"nothing")
    Image.new("RGB", (9, 6)).save(tmp_path / "night" / "19.png")
    report = check(tmp_path, reference=reference, query=query)
    missing, corrupt = report.errors
    assert missing.startswith("test reference (test-reference): 1 image missing, first ")
    assert missing.endswith("test-reference.csv")
    assert corrupt.endswith("night/0.png: not an image")
    assert report.warnings == ("test query (test-query): images of 2 sizes, which some methods cannot take",)
    described = replace(query, descriptors=drive("b", 20).descriptors)
    (tmp_path / "both").mkdir()
    report = check(tmp_path / "both", query=described)
    assert report.errors == ()  # the descriptors are there
    assert "1 image cannot be decoded" in report.warnings[0]


def test_the_same_images_are_the_same_data(tmp_path):
    traverse = photographed(tmp_path / "day")
    report = check(tmp_path, reference=traverse, query=traverse)
    assert report.errors == ("test: reference and query are the same data, so every query finds itself",)


def test_unknown_dataset():
    with pytest.raises(UserError, match="neither built in"):
        check_dataset("nowhere")


def test_struct_file_whose_name_contradicts_it(tmp_path, shared):
    folder = tmp_path / "descData" / "netvlad-pytorch"
    folder.mkdir(parents=True)
    for city, counts in (("melbourne", (4973, 4474)), ("amman", (953, 835))):
        for role, count in zip(("database", "query"), counts, strict=True):
            np.save(folder / f"msls_{city}_{role}.npy", drive(city, count).descriptors)
    report = check_dataset(
        "msls", data_path=tmp_path, struct_path=shared / "data" / "seqnet-structs", msls_val_city="amman"
    )
    assert report.errors == ()
    for city in ("melbourne", "amman"):
        assert f"msls_{city}_d-20_d2-5.db: named d-20 but holds a radius of 10 metres" in report.warnings
    assert report.splits[0].drives[1].sequences == 61


def test_nine_missing_frames_are_a_jump_that_is_named(tmp_path):
    """Frames 5 m apart; between rows 99 and 100 lie 50 m."""
    metres = 5.0 * np.arange(200) + 45 * (np.arange(200) >= 100)
    query = replace(drive("b", 200), positions=np.stack([metres, np.zeros(200)], axis=1))
    report = check(tmp_path, reference=drive("a", 900), query=query, positive_radius=10.0, negative_radius=50.0)
    assert report.splits[0].drives[1].jumps == 1
    (warning,) = report.warnings
    assert "1 jump inside sequences, the largest 50 (row 99 to 100) metres" in warning
    assert "max_step in dataset.toml" in warning


def test_frames_that_take_no_part_are_counted(tmp_path):
    query = changed(drive("b", 25, shift=0.5), [3, 4], np.nan)
    query = replace(query, scored=np.arange(25) % 5 == 0, usable=~np.isin(np.arange(25), [3, 4]))
    query.positions[5] = np.nan
    report = check(tmp_path, query=query)
    assert report.errors == ()
    assert "scored: 5 of 25 frames; without a position: 1; unusable: 2" in "\n".join(render(report))
    assert "queries without a positive: 0 of 4" in "\n".join(render(report))
    assert [warning.split(": ")[1] for warning in report.warnings] == [
        "1 of 25 frames without a position are neither queries nor places",
        "2 of 25 frames unusable; windows that hold one are left out unless `fill_frames` fills them",
    ]


def test_images_of_unusable_frames_are_not_missed(tmp_path):
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    images = tuple(str(tmp_path / ("a.png" if row else "gone.png")) for row in range(25))
    query = replace(drive("b", 25, shift=0.5), images=images)
    missing = check(tmp_path / "all", query=query).splits[0].drives[1].images.missing
    marked = (
        check(tmp_path / "marked", query=replace(query, usable=np.arange(25) > 0)).splits[0].drives[1].images.missing
    )
    assert (len(missing), len(marked)) == (1, 0)


def test_every_drive_is_judged_alone(tmp_path):
    """Two query drives, the second of which is the reference's data and jumps."""
    reference = drive("a", 40)
    jumping = replace(reference, name="c", positions=reference.positions.copy())
    jumping.positions[20:, 0] += 300.0
    query = join_drives([drive("b", 25, 0.5), jumping], "here")
    split = split_report(Split("test", reference, query, 5.0), 5)
    assert [(one.role, one.name, one.frames, one.jumps) for one in split.drives] == [
        ("reference", "a", 40, 0),
        ("query", "b", 25, 0),
        ("query", "c", 40, 1),
    ]
    assert split.same_data == (("a", "c"),)
    judge(split, findings := Findings())
    assert findings.errors == ["test: reference and query are the same data (a and c), so every query finds itself"]
    assert [warning.split(": ")[0] for warning in findings.warnings if "jump" in warning] == ["test query (c)"]


@pytest.mark.parametrize(("tested", "overlaps"), [("ab", True), ("ba", True), ("b", True), ("c", False)])
def test_training_places_are_known_in_a_map_of_several_drives(tested, overlaps):
    drives = {name: replace(drive(name, 40), source=f"{name}.npy") for name in ("a", "b", "c")}
    train = Split("train", join_drives([drives["a"], drives["b"]], "here"), drive("q", 40), 5.0)
    test = Split("test", join_drives([drives[name] for name in tested], "here"), drive("r", 40), 5.0)
    judge_overlap(train, test, findings := Findings())
    assert bool(findings.warnings) == overlaps
