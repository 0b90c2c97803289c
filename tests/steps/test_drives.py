"""One map from several drives, several query drives: answers, recalls and files, worked out by hand."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from opticornet.cli import main
from opticornet.evaluation.answering import search
from opticornet.evaluation.summary import summary
from opticornet.options.modes import TestOptions, TrainOptions
from opticornet.steps.test import test as run_test
from opticornet.steps.test import test_splits as run_splits
from opticornet.steps.train import train as run_train
from opticornet.utils.errors import UserError

PLACES = {"summer": range(6), "fall": range(4, 10), "rain": range(5), "snow": range(5, 10)}
LOOKS = {"summer": 0, "fall": 1, "rain": 0, "snow": 1}  # rain looks as summer did, snow as fall


def look(place: int, kind: int) -> np.ndarray:
    """A frame: its place among ten, and a little of one of two looks."""
    frame = np.zeros(12, np.float32)
    frame[place], frame[10 + kind] = 1, 0.3
    return frame / np.linalg.norm(frame)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Summer drove places 0 to 5 of ten, fall 4 to 9; the last frame of snow, at place 9, looks like place 0. Frames of
    all drives have the same names, places are 10 m apart."""
    lines = ['name = "town"', 'units = "metres"']
    for name, places in PLACES.items():
        frames = np.stack([look(place, LOOKS[name]) for place in places])
        if name == "snow":
            frames[-1] = look(0, 0)
        np.save(tmp_path / f"{name}.npy", frames)
        rows = [f"{row}.png,{10 * place},0,{100 + row}" for row, place in enumerate(places)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["name,x,y,timestamp", *rows]))
        lines.append(f'[traverses.{name}]\ndescriptors = "{name}.npy"\nframes = "{name}.csv"')
    for split, reference, query in (
        ("test", '["summer", "fall"]', '["rain", "snow"]'),
        ("test-rain", '["summer", "fall"]', '"rain"'),
        ("test-plain", '"summer"', '"rain"'),
        ("test-listed", '["summer"]', '["rain"]'),
    ):
        lines.append(f"[splits.{split}]\nreference = {reference}\nquery = {query}\npositive_radius = 5")
    (tmp_path / "dataset.toml").write_text("\n".join(lines))
    return tmp_path


def options(folder: Path, **more) -> TestOptions:
    """Of frames as they are, whose distances are worked out by hand."""
    quick = {"bootstrap": 0, "latency_queries": 0, "device": "cpu", "pooling": "single", "sequence_length": 1}
    given = {"dataset": str(folder), "results_path": str(folder / "results"), "adapt": "none"}
    return TestOptions.of(**given | quick | more)


def written(folder: Path, record) -> tuple[dict, dict[str, np.ndarray]]:
    """The record's JSON and arrays."""
    path = folder / "results" / record.predictions
    with np.load(path, allow_pickle=False) as arrays:
        return json.loads(path.with_suffix(".json").read_text()), dict(arrays)


def test_the_drive_of_each_answer_is_the_one_that_saw_the_place_so(folder):
    _, arrays = written(folder, run_test(options(folder)))
    best = arrays["preds"][:, 0]
    assert arrays["referenceDrives"][best].tolist() == ["summer"] * 5 + ["fall"] * 4 + ["summer"]
    assert best.tolist() == [0, 1, 2, 3, 4, 7, 8, 9, 10, 0]
    assert arrays["queryDrives"].tolist() == ["rain"] * 5 + ["snow"] * 5
    assert arrays["errors"][:, 0].tolist() == [0] * 9 + [90]
    assert arrays["preds"][4, :2].tolist() == [4, 6]  # place 4: summer's first, fall's second
    assert arrays["correct"][4, :2].all()


def test_recall_is_given_of_each_query_drive(folder):
    record = run_test(options(folder))
    assert record.recall["1"] == 0.9
    assert {name: recall["1"] for name, recall in record.recall_per_drive.items()} == {"rain": 1.0, "snow": 0.8}
    assert record.counted_per_drive == {"rain": 5, "snow": 5}
    lines = summary(record).splitlines()
    assert [line.split()[0] for line in lines if "counted" in line and line.startswith("  ")] == ["1.000", "0.800"]
    assert sum(line.endswith("snow, 5 counted") for line in lines) == 1


def test_a_query_drive_of_which_nothing_is_counted_has_no_recall(folder):
    text = (folder / "dataset.toml").read_text().replace('reference = ["summer", "fall"]', 'reference = "summer"')
    (folder / "dataset.toml").write_text(
        text.replace("positive_radius = 5", "positive_radius = 1\nquery_rows = [1, 3]")
    )
    record = run_test(options(folder))
    assert record.counted_per_drive == {"rain": 2, "snow": 0}
    assert record.recall_per_drive["snow"] == {}
    assert any(line.split()[0] == "-" and line.endswith("snow, 0 counted") for line in summary(record).splitlines())


def test_the_record_lists_every_drive(folder):
    record, _ = written(folder, run_test(options(folder)))
    reference = record["data"]["reference"]
    assert (reference["name"], reference["frames"], reference["kept"]) == ("summer + fall", 12, 12)
    listed = [(drive["name"], Path(drive["source"]).name, drive["frames"]) for drive in reference["drives"]]
    assert listed == [("summer", "summer.npy", 6), ("fall", "fall.npy", 6)]
    assert [drive["name"] for drive in record["data"]["query"]["drives"]] == ["rain", "snow"]


def test_one_drive_in_a_list_is_tested_as_that_drive_bit_for_bit(folder):
    found = run_splits(options(folder, split=("test-plain", "test-listed")))
    (plain, plain_arrays), (listed, listed_arrays) = (written(folder, record) for record in found.values())
    for record in (plain, listed):
        for own in ("timing", "created", "predictions", "peak_memory_mib", "baseline_memory_mib", "added_memory_mib"):
            del record[own]
        record["options"].pop("split")
        record["data"].pop("split")
    assert plain == listed
    assert plain["recall_per_drive"] == {}
    assert plain["data"]["reference"]["drives"] == []
    assert plain_arrays.keys() == listed_arrays.keys()
    assert not {"referenceDrives", "queryDrives"} & plain_arrays.keys()
    for name, values in plain_arrays.items():
        assert np.array_equal(values, listed_arrays[name]), name


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open()))


def test_the_table_of_answers_says_drives_where_there_are_several(folder):
    answers = folder / "answers.csv"
    run_test(options(folder, answers=str(answers), answers_top_k=1))
    table = rows_of(answers)
    assert list(table[0])[:3] == ["query", "query_drive", "query_time"]
    said = [(row["query"], row["query_drive"], row["reference"], row["reference_drive"]) for row in table]
    assert said[0] == ("0.png", "rain", "0.png", "summer")
    assert said[5:7] == [("0.png", "snow", "1.png", "fall"), ("1.png", "snow", "2.png", "fall")]
    run_test(options(folder, split="test-plain", answers=str(answers), answers_top_k=1))
    assert list(rows_of(answers)[0])[:2] == ["query", "query_time"]
    assert "reference_drive" not in rows_of(answers)[0]


def test_other_formats_of_answers_say_the_drive_or_refuse(folder):
    for name in PLACES:
        (folder / name).mkdir()
        rows = (folder / f"{name}.csv").read_text().splitlines()
        images = ["image", *(f"{name}/{row.split(',')[0]}" for row in rows[1:])]
        (folder / f"{name}.csv").write_text("\n".join(f"{a},{b}" for a, b in zip(rows, images, strict=True)))
    pairs = folder / "pairs.txt"
    run_test(options(folder, answers=str(pairs), answers_format="hloc", answers_top_k=1))
    assert pairs.read_text().splitlines()[5] == "snow/0.png fall/1.png"
    with pytest.raises(UserError, match=r"tum is one trajectory, and rain \+ snow are several drives"):
        run_test(options(folder, answers=str(pairs), answers_format="tum"))
    with pytest.raises(UserError, match=r"two frames of rain \+ snow have the key 0; write csv"):
        run_test(options(folder, answers=str(pairs), answers_format="msls"))


def test_a_map_of_several_drives_that_splits_share_is_encoded_once(folder, monkeypatch):
    encoded, plain = [], search.encode_side
    monkeypatch.setattr(search, "encode_side", lambda *given: encoded.append(given[1].traverse.name) or plain(*given))
    run_splits(options(folder, split=("test", "test-rain")))
    assert encoded == ["summer + fall", "rain + snow", "rain"]


@pytest.mark.parametrize("pooling", ["smooth", "delta", "single+seqmatch"])
def test_windows_of_every_method_stay_in_their_drive(folder, pooling):
    """Snow's last window holds its wrong frame and two right ones, and so do the two beside it."""
    _, arrays = written(folder, run_test(options(folder, pooling=pooling, sequence_length=3)))
    assert arrays["referenceStarts"].tolist() == [0, 0, 1, 2, 3, 3, 6, 6, 7, 8, 9, 9]
    assert arrays["queryStarts"].tolist() == [0, 0, 1, 2, 2, 5, 5, 6, 7, 7]
    assert set(arrays["referenceDrives"][arrays["preds"][:4, 0]]) == {"summer"}
    assert set(arrays["referenceDrives"][arrays["preds"][5:8, 0]]) == {"fall"}


def test_check_lists_every_drive(folder, capsys):
    assert main(["--mode", "check", "--dataset", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(number for number, line in enumerate(lines) if line == "  test: positive radius 5 metres")
    sides = [line.split(":")[0].strip() for line in lines[start:] if re.match(r"    (reference|query) \w+:", line)]
    assert sides[:4] == ["reference summer", "reference fall", "query rain", "query snow"]


@pytest.mark.parametrize("pooling", ["dsdnet", "seqnet"])
def test_training_on_several_drives_finds_what_one_of_them_alone_cannot(tmp_path, pooling):
    """The query looks like neither reference drive, but each of them shows how looks change."""
    rng = np.random.default_rng(0)
    places = rng.standard_normal((60, 8))
    lines = ['name = "line"', 'units = "frames"']
    for name in ("a", "b", "x", "y"):
        frames = np.concatenate([places, 2 * rng.standard_normal((60, 4))], axis=1).astype(np.float32)
        np.save(tmp_path / f"{name}.npy", frames / np.linalg.norm(frames, axis=1, keepdims=True))
        lines.append(f'[traverses.{name}]\ndescriptors = "{name}.npy"')
    for split, rows in (("train", [0, 40]), ("val", [40, 60]), ("test", [40, 60])):
        drives = 'reference = ["a", "b"]\nquery = ["x", "y"]'
        lines.append(f"[splits.{split}]\n{drives}\nreference_rows = {rows}\nquery_rows = {rows}\npositive_radius = 1")
    lines[-3] += "\nnegative_radius = 2"
    (tmp_path / "dataset.toml").write_text("\n".join(lines))
    data = {"dataset": str(tmp_path), "device": "cpu", "pooling": pooling, "sequence_length": 3, "adapt": "none"}
    run = run_train(TrainOptions.of(**data, runs_path=str(tmp_path / "runs"), n_epochs=1, quiet=True))
    trained = run_test(options(tmp_path, **data, resume=str(run)))
    raw = run_test(options(tmp_path, **data | {"pooling": "smooth"}))
    assert trained.recall["1"] > raw.recall["1"] + 0.2
    assert set(trained.recall_per_drive) == {"x", "y"}


def test_the_report_says_drives_beside_places_and_recalls_of_each(folder):
    run_test(options(folder, report=str(folder / "report")))
    page = (folder / "report" / "index.html").read_text()
    payload = json.loads(re.search(r'id="payload">(.*?)</script>', page)[1])
    (scene,) = payload["scenes"].values()
    assert scene["reference"]["drives"] == ["summer"] * 6 + ["fall"] * 6
    assert scene["query"]["drives"] == ["rain"] * 5 + ["snow"] * 5
    drives = re.search(r'<section id="drives">.*?</section>', page, re.DOTALL)[0]
    rows = [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in drives.split("<tr>")[2:]]
    assert [row[1:4] for row in rows] == [["rain", "5", "100.0"], ["snow", "5", "80.0"]]
    assert all(text in page for text in ("drives.​summer.​kept", "drives.​snow.​source"))


def test_a_report_of_one_drive_has_no_table_of_drives(folder):
    run_test(options(folder, split="test-plain", report=str(folder / "report")))
    page = (folder / "report" / "index.html").read_text()
    assert '<section id="drives">' not in page
    assert '"drives":null' in page


def test_the_projector_says_drives(folder):
    run_test(options(folder, pooling="smooth", projector=100))
    (metadata,) = (folder / "results").rglob("metadata.tsv")
    head, *rows = (line.split("\t") for line in metadata.read_text().splitlines())
    assert head[:2] == ["place", "traverse"]
    assert [row[1] for row in rows] == ["summer"] * 6 + ["fall"] * 6 + ["rain"] * 5 + ["snow"] * 5


def test_two_results_are_compared_by_the_rows_of_each_drive(folder, capsys):
    """The windows of the last frame of rain and the first of snow, moved inside their drives, are those of their
    neighbours in the map; that of the last frame but one of snow holds the wrong frame."""
    records = [run_test(options(folder)), run_test(options(folder, pooling="smooth", sequence_length=3))]
    paths = [str(folder / "results" / Path(record.predictions).with_suffix(".json")) for record in records]
    assert main(["--mode", "compare", "--diff", *paths]) == 0
    out = capsys.readouterr().out
    (line,) = (line for line in out.splitlines() if "query rows only" in line)
    assert line == "  query rows only single S1 gets right: rain:4 snow:5 snow:8"
