"""Which frames are scored and from which they are seen, from a dataset folder to the record."""

import json
from pathlib import Path

import numpy as np
import pytest

from opticornet.cli import main
from opticornet.options.modes import TestOptions, TrainOptions
from opticornet.reports.protocols import group_by_protocol
from opticornet.reports.results import read_result
from opticornet.steps.test import test as run_test
from opticornet.steps.train import train as run_train
from opticornet.utils.errors import UserError

FRAMES = 300


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def write(folder: Path, *, extra: str = "", split: str = "", reference_columns=None, query_columns=None) -> str:
    """A drive against itself, every frame a look of its own, and 0.1 of noise; frames 2 m apart."""
    rng = np.random.default_rng(5)
    looks = rng.standard_normal((FRAMES, 24))
    folder.mkdir(exist_ok=True)
    lines = ['name = "made"', 'units = "metres"']
    for side, columns in (("reference", reference_columns), ("query", query_columns)):
        np.save(folder / f"{side}.npy", unit(looks + 0.1 * rng.standard_normal(looks.shape)))
        columns = {"x": 2.0 * np.arange(FRAMES), "y": np.zeros(FRAMES)} | (columns or {})
        rows = zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True)
        text = "\n".join(",".join("" if cell is None else str(cell) for cell in row) for row in rows)
        (folder / f"{side}.csv").write_text(f"{','.join(columns)}\n{text}\n")
        lines += [f'[traverses.{side}]\ndescriptors = "{side}.npy"\nframes = "{side}.csv"', extra]
    lines += ['[splits.test]\nreference = "reference"\nquery = "query"\npositive_radius = 5', split]
    (folder / "dataset.toml").write_text("\n".join(lines))
    return str(folder)


def score(dataset: str, **options):
    quick = {"pooling": "smooth", "sequence_length": 5, "bootstrap": 0, "latency_queries": 0, "device": "cpu"}
    return run_test(TestOptions.of(**quick | {"dataset": dataset} | options))


TENTH = np.arange(FRAMES) % 10 == 0


def test_every_tenth_frame_is_scored_from_windows_of_all_frames(tmp_path):
    columns = {"score": TENTH.astype(int)}
    dataset = write(tmp_path / "column", reference_columns=columns, query_columns=columns)
    record = score(dataset)
    assert record.recall["1"] == 1.0
    assert (record.protocol.queries, record.data.reference.kept, record.data.reference.frames) == (30, 30, FRAMES)
    assert record.data.query.scored == 30


def test_a_list_scores_the_queries_alone(tmp_path):
    dataset = write(tmp_path / "list", split='query_score = "tenth.txt"')
    (tmp_path / "list" / "tenth.txt").write_text("\n".join(str(row) for row in np.flatnonzero(TENTH)))
    record = score(dataset)
    assert record.recall["1"] == 1.0
    assert (record.data.query.kept, record.data.reference.kept) == (30, FRAMES)


@pytest.mark.parametrize("pooling", ["smooth", "single+seqmatch"])
def test_scored_frames_are_found_as_in_the_whole_drive(tmp_path, pooling):
    """The vectors of scored frames are those that they have among all."""
    every = score(write(tmp_path / "all"), pooling=pooling, results_path=str(tmp_path / "a"))
    some = score(
        write(tmp_path / "some", query_columns={"score": TENTH.astype(int)}),
        pooling=pooling,
        results_path=str(tmp_path / "b"),
    )
    distances = [np.load(tmp_path / at / record.predictions)["distances"] for at, record in (("a", every), ("b", some))]
    np.testing.assert_allclose(distances[0][TENTH], distances[1], atol=1e-5)


@pytest.mark.parametrize("matcher", ["diagonal", "seqslam"])
def test_trailing_windows_are_re_ranked_by_shorter_ones(tmp_path, matcher):
    options = {"sequence_length": 10, "windows": "trailing", "rerank": "single+seqmatch", "rerank_length": 4}
    options |= {"equal_windows": "each"}
    record = score(write(tmp_path / "drive"), **options, top_k=5, matcher=matcher)
    assert (
        record.recall["1"] > record.recall_before_rerank["1"]
    )  # the first windows, moved inside, hold the same frames


def test_trailing_windows_are_recorded_and_make_another_protocol(tmp_path):
    dataset = write(tmp_path / "made")
    results = []
    for rule in ("centred", "trailing"):
        record = score(dataset, windows=rule, filter_length=5, results_path=str(tmp_path / rule))
        assert record.recall["1"] == 1.0
        path = tmp_path / rule / record.predictions.replace(".npz", ".json")
        results.append(read_result(path))
    assert [result.get("protocol", "window_rule") for result in results] == [
        "centred on the frame, shifted back inside its sequence",
        "ending at the frame, shifted forward inside its sequence",
    ]
    first, second = group_by_protocol(results)
    assert "windows ending at the frame" in second.text
    assert "windows" not in first.text


def test_trailing_windows_see_nothing_after_their_frame(tmp_path):
    dataset = write(tmp_path / "made")
    record = score(dataset, windows="trailing", results_path=str(tmp_path / "r"))
    arrays = np.load(tmp_path / "r" / record.predictions)
    np.testing.assert_array_equal(arrays["queryStarts"], np.maximum(arrays["queryRows"] - 4, 0))
    kept = score(dataset, windows="trailing", filter_length=5).data.query.kept
    assert kept == FRAMES - 4


def test_a_run_is_tested_with_the_windows_it_was_trained_with(tmp_path, capsys):
    quick = {"sequence_length": 3, "pooling": "seqnet", "w": 3, "out_dims": 8, "quiet": True, "device": "cpu"}
    run = run_train(TrainOptions.of(**quick, windows="trailing", n_epochs=1, runs_path=str(tmp_path / "runs")))
    assert json.loads((run / "checkpoints" / "flags.json").read_text())["windows"] == "trailing"
    options = {"resume": str(run), "bootstrap": 0, "latency_queries": 0, "device": "cpu"}
    assert run_test(TestOptions.of(**options)).protocol.window_rule.startswith("ending at the frame")
    centred = run_test(TestOptions.of(**options, windows="centred"))
    assert centred.protocol.window_rule.startswith("centred")


def test_a_run_is_tested_with_the_frames_filled_and_sequences_dropped_that_it_was_trained_with(tmp_path):
    usable = {"usable": (np.arange(FRAMES) % 50 != 7).astype(int), "sequence": (np.arange(FRAMES) < 2).astype(int)}
    split = '[splits.{0}]\nreference = "reference"\nquery = "query"\npositive_radius = 5\nnegative_radius = 25'
    splits = "\n".join(split.format(name) for name in ("train", "val"))
    dataset = write(tmp_path / "made", split=splits, query_columns=usable)
    quick = {"sequence_length": 3, "pooling": "seqnet", "w": 3, "out_dims": 8, "quiet": True, "device": "cpu"}
    settings = {"fill_frames": "previous", "short_sequences": "drop"}
    run = run_train(TrainOptions.of(dataset=dataset, **quick, **settings, n_epochs=1, runs_path=str(tmp_path / "runs")))
    record = run_test(TestOptions.of(resume=str(run), bootstrap=0, latency_queries=0, device="cpu"))
    assert (record.data.query.filled, record.data.query.kept) == (6, FRAMES - 2)
    with pytest.raises(UserError, match="shortest sequence of query"):
        run_test(TestOptions.of(resume=str(run), short_sequences="refuse", device="cpu"))


def test_training_takes_anchors_and_positives_from_scored_frames(tmp_path):
    from opticornet.steps.train import load_scenes, make_task

    columns = {"score": TENTH.astype(int)}
    train = '[splits.{0}]\nreference = "reference"\nquery = "query"\npositive_radius = 5\nnegative_radius = 25'
    splits = "\n".join(train.format(name) for name in ("train", "val"))
    dataset = write(tmp_path / "made", split=splits, reference_columns=columns, query_columns=columns)
    options = TrainOptions.of(dataset=dataset, pooling="seqnet", w=3, sequence_length=5, device="cpu", out_dims=8)
    import torch

    task = make_task(options, *load_scenes(options, torch.device("cpu")))
    tuples = task.source.mine(torch.arange(30))
    places = task.places
    assert len(places.query) == len(places.reference) == 30
    assert torch.equal(tuples.positives, tuples.anchors)
    assert places.query.gather(torch.tensor([1])).shape == (1, 5, 24)
    assert places.query.starts[1] == 8  # of frame 10


def test_frames_without_a_position_are_neither_queries_nor_places(tmp_path, capsys):
    x = [None if row in (50, 51) else 2.0 * row for row in range(FRAMES)]
    record = score(write(tmp_path / "made", query_columns={"x": x}))
    assert (record.data.query.kept, record.data.query.without_position) == (FRAMES - 2, 2)
    assert record.recall["1"] == 1.0
    assert "note: query: 2 of 300 frames without a position" in capsys.readouterr().err


def spoilt(folder: Path, how: str) -> str:
    """With two damaged query frames, 100 and 101, that a mask or a column marks."""
    usable = ~np.isin(np.arange(FRAMES), [100, 101])
    dataset = write(folder, query_columns={"usable": usable.astype(int)} if how == "column" else None)
    descriptors = np.load(folder / "query.npy")
    descriptors[100], descriptors[101] = 0, np.nan
    np.save(folder / "query.npy", descriptors)
    if how == "mask":
        np.save(folder / "query.usable.npy", usable)
    return dataset


@pytest.mark.parametrize("how", ["mask", "column"])
@pytest.mark.parametrize("pooling", ["smooth", "single+seqmatch"])
def test_windows_that_hold_an_unusable_frame_are_left_out(tmp_path, how, pooling, capsys):
    record = score(spoilt(tmp_path / "made", how), pooling=pooling)
    assert (record.data.query.kept, record.data.query.unusable, record.data.query.filled) == (FRAMES - 6, 2, 0)
    assert record.recall["1"] == 1.0
    assert (
        "note: query: 6 of 300 windows that hold unusable frames are left out (--fillFrames" in capsys.readouterr().err
    )


@pytest.mark.parametrize("filling", ["previous", "interpolate"])
@pytest.mark.parametrize("matcher", ["diagonal", "seqslam"])
def test_unusable_frames_are_filled_on_request(tmp_path, filling, matcher):
    more = {"pooling": "single+seqmatch", "matcher": matcher} if matcher == "seqslam" else {}
    record = score(spoilt(tmp_path / "made", "mask"), fill_frames=filling, **more)
    assert (record.data.query.kept, record.data.query.unusable, record.data.query.filled) == (FRAMES, 0, 2)
    assert record.recall["1"] > 0.98


def test_unusable_frames_that_nothing_marks_name_the_way_out(tmp_path, capsys):
    dataset = spoilt(tmp_path / "made", "nothing")
    assert main(["--mode", "test", "--dataset", dataset, "--pooling", "single", "--seqL", "1"]) == 2
    error = capsys.readouterr().err
    assert "NaN or infinity in 1 of 300 descriptors, first in row 101" in error
    assert "a column usable of the frame table or a mask .usable.npy beside the descriptors" in error


def with_a_jump(folder: Path, extra: str = "") -> str:
    """Nine frames, 5 m apart, are missing between rows 99 and 100."""
    metres = 5.0 * np.arange(FRAMES) + 45.0 * (np.arange(FRAMES) >= 100)
    return write(folder, extra=extra, reference_columns={"x": metres}, query_columns={"x": metres})


def test_windows_over_a_jump_are_told_and_recorded(tmp_path, capsys):
    record = score(with_a_jump(tmp_path / "made"))
    assert record.data.query.over_jumps == 4
    error = capsys.readouterr().err
    assert "query: 4 of 300 windows reach over a jump inside a sequence, the largest 50 (row 99 to 100) metres" in error


def test_max_step_ends_sequences_at_jumps(tmp_path, capsys):
    record = score(with_a_jump(tmp_path / "made", extra="max_step = 20"), results_path=str(tmp_path / "r"))
    assert record.data.query.over_jumps == 0
    assert "jump" not in capsys.readouterr().err
    assert set(np.load(tmp_path / "r" / record.predictions)["querySequences"]) == {0, 100}


def in_rows(folder: Path, counts: tuple[int, int], split: str = "") -> str:
    looks = unit(np.random.default_rng(2).standard_normal((max(counts), 16)))
    folder.mkdir()
    for side, count in zip(("reference", "query"), counts, strict=True):
        np.save(folder / f"{side}.npy", looks[:count])
    lines = ['name = "made"', 'units = "frames"']
    lines += [f'[traverses.{side}]\ndescriptors = "{side}.npy"' for side in ("reference", "query")]
    lines += ['[splits.test]\nreference = "reference"\nquery = "query"\npositive_radius = 2', split]
    (folder / "dataset.toml").write_text("\n".join(lines))
    return str(folder)


def test_rows_of_drives_of_different_length_are_no_places_unless_the_dataset_says_so(tmp_path, capsys):
    dataset = in_rows(tmp_path / "unsaid", (100, 50))
    with pytest.raises(
        UserError, match="reference has 100 frames and query 50, none with a position, so row i of both"
    ):
        score(dataset)
    assert main(["--mode", "check", "--dataset", dataset]) == 0
    assert "warning: test: rows are taken as places, but the drives have 100 and 50 frames" in capsys.readouterr().out
    said = in_rows(tmp_path / "said", (100, 50), "rows_are_places = true")
    assert score(said).recall["1"] == 1.0
    assert main(["--mode", "check", "--dataset", said]) == 0
    assert "rows are taken" not in capsys.readouterr().out
    cut = in_rows(tmp_path / "cut", (100, 100), "query_rows = [0, 50]")
    assert score(cut).recall["1"] == 1.0


def short(folder: Path) -> str:
    labels = np.repeat(np.arange(0, FRAMES), 10)[:FRAMES]
    labels[3:10] = FRAMES  # the first sequence has 3 frames
    return write(folder, reference_columns={"sequence": labels}, query_columns={"sequence": labels})


def test_sequences_shorter_than_a_window_are_refused_dropped_or_computed_as_seqnet_does(tmp_path):
    dataset = short(tmp_path / "made")
    with pytest.raises(UserError, match=r"`sequence_length` 5 is above the shortest .* let `short_sequences` drop or"):
        score(dataset)
    assert score(dataset, short_sequences="drop").data.query.kept == FRAMES - 3
    record = score(dataset, short_sequences="shorten")
    assert (record.data.query.kept, record.recall["1"]) == (FRAMES, 1.0)
    assert record.protocol.window_rule.endswith("over the ends of shorter ones")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"windows": "trailing", "sequence_length": 1},
            "`windows` changes nothing here: a window of one frame is both",
        ),
        ({"windows": "trailing", "pooling": "single"}, "`pooling` single describes the middle frame of a window"),
        ({"short_sequences": "drop", "sequence_length": 1}, "`short_sequences` changes nothing here: no sequence is"),
    ],
)
def test_windows_that_make_no_sense_are_refused(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        score(write(tmp_path / "made"), **options)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("0\n300\n", "no frame '300'; wanted a row number from 0 to 299"),
        ("0\n5\n0\n", "frame '0' is listed twice"),
        ("\n\n", "empty; wanted a frame name, or a row number, a line"),
    ],
)
def test_lists_of_scored_frames_that_name_others_are_refused(tmp_path, lines, message):
    dataset = write(tmp_path / "made", extra='score = "list.txt"')
    (tmp_path / "made" / "list.txt").write_text(lines)
    with pytest.raises(UserError, match=message):
        score(dataset)
