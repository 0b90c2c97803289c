"""``--adapt``: from a dataset folder to records, runs and what is said of them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import opticornet
from opticornet.cli import main
from opticornet.datasets.adapting.rows import RunningMean
from opticornet.options.modes import TestOptions, TrainOptions
from opticornet.reports.results import read_result, read_results
from opticornet.reports.scenes import Unavailable, reopen, vectors
from opticornet.steps.test import test as run_test
from opticornet.steps.test import test_splits as run_test_splits
from opticornet.steps.testing import adapting
from opticornet.steps.train import load_scenes
from opticornet.steps.train import train as run_train
from opticornet.utils.checkpoints import LATEST, load_checkpoint
from opticornet.utils.errors import UserError

FRAMES, DIMS, TEST = 240, 12, slice(160, 240)
QUICK = {"bootstrap": 0, "latency_queries": 0, "device": "cpu"}
SMALL = {
    "pooling": "seqnet",
    "sequence_length": 3,
    "w": 3,
    "out_dims": 8,
    "n_epochs": 1,
    "quiet": True,
    "device": "cpu",
}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two drives, each with an offset that is larger than what tells places apart; dusk is the night once more."""
    rng = np.random.default_rng(3)
    places = rng.standard_normal((FRAMES, DIMS))
    folder = tmp_path / "made"
    folder.mkdir()
    for name, direction in (("day", 0), ("night", 1)):
        offset = 6.0 * (np.arange(DIMS) % 2 == direction)
        np.save(folder / f"{name}.npy", (places + offset + 0.5 * rng.standard_normal(places.shape)).astype(np.float32))
    lines = ['name = "made"', 'units = "frames"']
    lines += [f'[traverses.{name}]\ndescriptors = "{name}.npy"' for name in ("day", "night")]
    for split, start, stop in (("train", 0, 80), ("val", 80, 160), ("test", 160, 240)):
        lines.append(f'[splits.{split}]\nreference = "day"\nquery = "night"\npositive_radius = 1\nnegative_radius = 5')
        lines.append(f"reference_rows = [{start}, {stop}]\nquery_rows = [{start}, {stop}]")
    (folder / "dataset.toml").write_text("\n".join(lines))
    return folder


def score(folder: Path, **options):
    return run_test(TestOptions.of(**QUICK | {"dataset": str(folder)} | options))


def run_with(folder: Path, **options) -> str:
    return str(run_train(TrainOptions.of(dataset=str(folder), runs_path=str(folder / "runs"), **SMALL | options)))


METHODS = {
    "single": {"pooling": "single", "sequence_length": 1},
    "smooth": {"pooling": "smooth"},
    "delta": {"pooling": "delta"},
    "seqmatch": {"pooling": "single+seqmatch"},
    "seqslam": {"pooling": "single+seqmatch", "matcher": "seqslam"},
    "re-ranked": {"pooling": "smooth", "rerank": "single+seqmatch"},
    "reversed": {"pooling": "single+seqmatch", "direction": "both"},
    "refusing": {"pooling": "smooth", "no_answer": "val"},
}


@pytest.mark.parametrize("by", ["running", "traverse"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_more_in_centred_frames(folder, method, by):
    plain, adapted = (score(folder, adapt=adapt, **METHODS[method]) for adapt in ("none", by))
    assert adapted.recall["1"] > plain.recall["1"] + (0 if method == "delta" else 0.05) - 1e-9
    assert plain.data.adaptation is None
    assert adapted.data.adaptation.by == by


@pytest.mark.parametrize(
    ("options", "none", "running", "traverse"),
    [
        ({"pooling": "single", "sequence_length": 1}, (0.085, 0.205), (0.225, 0.485), (0.215, 0.460)),
        ({"pooling": "single+seqmatch", "sequence_length": 5}, (0.140, 0.290), (0.555, 0.760), (0.575, 0.780)),
        ({"pooling": "single+seqmatch", "sequence_length": 10}, (0.265, 0.385), (0.770, 0.910), (0.755, 0.905)),
    ],
)
def test_winter_is_found_in_summer_by_centred_frames(nordland, options, none, running, traverse):
    rule = {"equal_windows": "each"} if options["sequence_length"] > 1 else {}
    for adapt, expected in (("none", none), ("running", running), ("traverse", traverse)):
        record = score(nordland, adapt=adapt, **rule, **options)
        assert (record.recall["1"], record.recall["5"]) == pytest.approx(expected, abs=1e-12)


def test_what_is_compared_are_centred_frames(folder):
    """Descriptors of single frames are the centred rows at unit length."""
    options = {"pooling": "single", "sequence_length": 1, "adapt": "running"}
    run_test(TestOptions.of(dataset=str(folder), **options, extract_only=True, results_path=str(folder / "r")))
    (path,) = (folder / "r").glob("*.npz")
    written, day, night = np.load(path), np.load(folder / "day.npy"), np.load(folder / "night.npy")
    expected = day[TEST] - day[TEST].mean(axis=0)
    np.testing.assert_allclose(written["dbDesc"], expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)
    first = night[160] - (50 * night[:80].mean(axis=0) + night[160]) / 51
    np.testing.assert_allclose(written["qDesc"][0], first / np.linalg.norm(first), atol=1e-5)


def test_a_query_is_answered_alike_whatever_comes_later(folder):
    found = {}
    for by in ("running", "traverse"):
        for stop in (240, 200):
            text = (folder / "dataset.toml").read_text()
            (folder / "dataset.toml").write_text(text.replace("query_rows = [160, 240]", f"query_rows = [160, {stop}]"))
            options = {"pooling": "smooth", "windows": "trailing", "adapt": by, "results_path": str(folder / by)}
            record = score(folder, **options)
            found[by, stop] = np.load(folder / by / record.predictions)["distances"][:, :5]
            (folder / "dataset.toml").write_text(text)
    np.testing.assert_allclose(found["running", 240][:40], found["running", 200], atol=1e-6)
    assert np.abs(found["traverse", 240][:40] - found["traverse", 200]).max() > 1e-3


def test_the_record_and_the_terminal_say_how_frames_were_adapted(folder, capsys):
    record = score(folder, pooling="smooth", adapt="running")
    assert vars(record.data.adaptation) == {
        "by": "running", "looks_ahead": False, "scale": False, "begun_from": "queries of train", "begun_with": 50,
    }  # fmt: skip
    assert record.method.label == "smooth S5 (adapted)"
    assert "a query's by those up to it, begun from queries of train as 50 frames" in capsys.readouterr().out
    record = score(folder, pooling="smooth", adapt="traverse", adapt_scale=True)
    assert record.data.adaptation.looks_ahead
    assert (record.data.adaptation.scale, record.data.adaptation.begun_with) == (True, 0)
    assert record.method.label == "smooth S5 (adapted, scaled, looking ahead)"
    assert "which looks ahead: no robot could" in capsys.readouterr().out


def test_frames_are_adapted_by_a_running_mean_by_default(folder):
    assert score(folder, pooling="smooth").data.adaptation.by == "running"
    flags = json.loads(Path(run_with(folder), "checkpoints", "flags.json").read_text())
    assert (flags["adapt"], flags["adaptScale"]) == ("running", False)


def edit(folder: Path, before: str, after: str) -> None:
    text = (folder / "dataset.toml").read_text()
    assert before in text
    (folder / "dataset.toml").write_text(text.replace(before, after))


def without_train(folder: Path) -> None:
    edit(folder, "[splits.train]", "[splits.first]")


def beyond_the_frames(folder: Path) -> None:
    edit(folder, "query_rows = [0, 80]", "query_rows = [0, 8000]")


def of_files_that_are_gone(folder: Path) -> None:
    lines = '[traverses.dawn]\ndescriptors = "dawn.npy"\n[splits.train]\nreference = "day"\nquery = "dawn"'
    edit(folder, '[splits.train]\nreference = "day"\nquery = "night"', lines)


def of_other_dimensions(folder: Path) -> None:
    np.save(folder / "dawn.npy", np.ones((FRAMES, DIMS + 1), np.float32))
    lines = '[traverses.dawn]\ndescriptors = "dawn.npy"\n[splits.train]\nreference = "dawn"\nquery = "dawn"'
    edit(folder, '[splits.train]\nreference = "day"\nquery = "night"', lines)


@pytest.mark.parametrize("given", [{}, {"adapt": "running"}])
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (without_train, "there is no train split"),
        (beyond_the_frames, "the train split cannot be opened (.*[0, 8000].*)"),
        (of_files_that_are_gone, "the train split cannot be opened (.*dawn.npy: no such descriptor file; .*)"),
        (of_other_dimensions, "the training queries have 13-D descriptors, these 12-D ones"),
    ],
)
def test_without_training_queries_it_begins_from_the_map_and_says_so(folder, capsys, change, why, given):
    change(folder)
    record = score(folder, pooling="smooth", results_path=str(folder / "r"), **given)
    assert record.data.adaptation.begun_from == "the map's mean"
    (note,) = (line for line in capsys.readouterr().err.splitlines() if "map's mean" in line)
    beginning, *parts = f"note: night: --adapt running begins from the map's mean: {why}".split(".*")
    assert note.startswith(beginning)
    assert all(part in note for part in parts)
    night, day = np.load(folder / "night.npy"), np.load(folder / "day.npy")[TEST]
    first = night[160] - (50 * day.mean(axis=0) + night[160]) / 51
    (path,) = (folder / "r").glob("*.json")
    scene = reopen(read_result(path))
    np.testing.assert_allclose(np.asarray(scene.split.query.descriptors)[0], first, atol=1e-5)


def test_a_damaged_train_split_is_an_error(folder):
    of_other_dimensions(folder)
    (folder / "dawn.npy").write_bytes((folder / "dawn.npy").read_bytes()[:-9])
    for given in ({}, {"adapt": "running"}):
        with pytest.raises(
            UserError,
            match=r"`adapt` running begins from the queries of the train split, .* damaged .*dawn.npy: truncated",
        ):
            score(folder, pooling="smooth", **given)
    assert score(folder, pooling="smooth", adapt="traverse").recall


def test_a_record_whose_training_queries_are_gone_is_not_reopened(folder):
    score(folder, pooling="smooth", results_path=str(folder / "r"))
    without_train(folder)
    (path,) = (folder / "r").glob("*.json")
    with pytest.raises(Unavailable, match=r"training queries of .* are not there any more \(there is no train split"):
        reopen(read_result(path))


@pytest.mark.parametrize("scale", [False, True])
def test_the_beginning_that_a_run_has_kept_is_that_of_its_train_split(folder, monkeypatch, scale):
    run = run_with(folder, adapt_scale=scale)
    with monkeypatch.context() as patch:
        patch.setattr(adapting, "begun_in_training", lambda *_: None)
        expected = run_test(TestOptions.of(**QUICK, resume=run, results_path=str(folder / "read")))
    with monkeypatch.context() as patch:
        patch.setattr(adapting, "open_adaptation", lambda *_, **__: pytest.fail("the train split is read again"))
        record = run_test(TestOptions.of(**QUICK, resume=run, results_path=str(folder / "kept")))
    assert record.data.adaptation == expected.data.adaptation
    arrays = (np.load(folder / name / r.predictions) for name, r in (("read", expected), ("kept", record)))
    np.testing.assert_array_equal(*(one["distances"] for one in arrays))


def test_the_beginning_of_a_run_of_another_dataset_is_not_taken(folder, tmp_path):
    run = run_with(folder)
    other = tmp_path / "other"
    shutil.copytree(folder, other, ignore=shutil.ignore_patterns("runs"))
    (other / "dataset.toml").write_text((other / "dataset.toml").read_text().replace("[splits.train]", "[splits.one]"))
    assert score(other, resume=run).data.adaptation.begun_from == "the map's mean"
    assert score(folder, resume=run).data.adaptation.begun_from == "queries of train"


def test_splits_that_share_a_map_encode_it_once(folder, monkeypatch):
    from opticornet.evaluation.answering import search

    encoded = []
    before = search.encode_side
    monkeypatch.setattr(
        search, "encode_side", lambda encoder, side, *more: encoded.append(side) or before(encoder, side, *more)
    )
    with (folder / "dataset.toml").open("a") as file:
        file.write('\n[splits.test-again]\nreference = "day"\nquery = "night"\npositive_radius = 1\n')
        file.write("reference_rows = [160, 240]\nquery_rows = [170, 230]\n")
    options = {"pooling": "smooth", "splits": ("test", "test-again"), "adapt": "running"}
    run_test_splits(TestOptions.of(**QUICK, dataset=str(folder), **options))
    assert [side.traverse.name for side in encoded] == ["day", "night", "night"]


def test_a_run_decides_unless_it_is_asked_for(folder, capsys):
    run = run_with(folder, adapt="running", adapt_scale=True)
    flags = json.loads(Path(run, "checkpoints", "flags.json").read_text())
    assert (flags["adapt"], flags["adaptScale"]) == ("running", True)
    record = run_test(TestOptions.of(**QUICK, resume=run))
    assert (record.data.adaptation.by, record.data.adaptation.scale) == ("running", True)
    assert record.data.descriptor_differences == ()
    capsys.readouterr()
    assert run_test(TestOptions.of(**QUICK, resume=run, adapt="traverse")).data.adaptation.scale
    assert "warning" not in capsys.readouterr().err
    record = run_test(TestOptions.of(**QUICK, resume=run, adapt="none"))
    assert record.data.adaptation is None
    difference = f"frames centred and scaled for run {run}, as they are in this test (`adapt`)"
    assert record.data.descriptor_differences == (difference,)
    printed = capsys.readouterr()
    assert f"warning: {difference}" in printed.err
    assert difference in printed.out


def test_a_run_that_knows_no_adaptation_was_trained_without(folder):
    run = run_with(folder, adapt="none")
    path = Path(run, "checkpoints", "flags.json")
    flags = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in flags.items() if not key.startswith("adapt")}))
    assert run_test(TestOptions.of(**QUICK, resume=run)).data.adaptation is None
    run_train(TrainOptions.of(resume=run, quiet=True))


def test_the_run_that_describes_re_ranked_frames_decides_where_no_other_does(folder):
    single = run_with(folder, adapt="running", sequence_length=1, w=1)
    again = {"rerank": "s1+seqmatch", "rerank_resume": single}
    assert score(folder, pooling="smooth", **again).data.adaptation.by == "running"
    assert score(folder, pooling="smooth", adapt="none", **again).data.descriptor_differences
    assert run_test(TestOptions.of(**QUICK, pooling="s1+seqmatch", resume=single)).data.adaptation.by == "running"
    plain = run_with(folder, exp_name="plain", adapt="none")
    record = run_test(TestOptions.of(**QUICK, resume=plain, **again))
    assert record.data.adaptation is None
    assert f"frames centred for run {single}" in record.data.descriptor_differences[0]


@pytest.mark.parametrize("by", ["running", "traverse"])
def test_training_sees_each_drive_by_its_own_mean_and_validation_as_a_test(folder, by):
    options = TrainOptions.of(dataset=str(folder), adapt=by, **SMALL)
    train, val = load_scenes(options, torch.device("cpu"))
    for side in (train.split.reference, train.split.query, val.split.reference):
        np.testing.assert_allclose(np.asarray(side.descriptors).mean(axis=0), 0, atol=1e-5)
    night = np.load(folder / "night.npy")
    first = night[80] - ((50 * night[:80].mean(axis=0) + night[80]) / 51 if by == "running" else night[80:160].mean(0))
    np.testing.assert_allclose(np.asarray(val.split.query.descriptors)[0], first, atol=1e-5)


def test_a_resumed_run_keeps_its_adaptation(folder, tmp_path):
    options = {"adapt": "running", "n_epochs": 2}
    whole = run_with(folder, **options, exp_name="whole")
    killed = run_with(folder, **options | {"n_epochs": 1}, exp_name="killed")
    path = Path(killed, "checkpoints", "flags.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"nEpochs": 2}))
    run_train(TrainOptions.of(resume=killed, quiet=True))
    first, second = (load_checkpoint(Path(run, "checkpoints", LATEST)) for run in (whole, killed))
    assert torch.equal(first["adaptation"]["mean"], second["adaptation"]["mean"])
    assert first["recalls"] == second["recalls"]
    with pytest.raises(UserError, match="`adapt` none contradicts `adapt` running"):
        run_train(TrainOptions.of(resume=killed, adapt="none", quiet=True))


def test_weights_are_trained_further_as_they_were_begun_unless_it_is_asked_for(folder):
    begun = run_with(folder, adapt="running", adapt_scale=True)
    small = {key: value for key, value in SMALL.items() if key not in ("w", "out_dims", "pooling")}
    for given, expected in (({}, ("running", True)), ({"adapt": "traverse"}, ("traverse", True))):
        options = {"dataset": str(folder), "init_from": begun, "runs_path": str(folder / "runs"), **small, **given}
        flags = json.loads((run_train(TrainOptions.of(**options)) / "checkpoints" / "flags.json").read_text())
        assert (flags["adapt"], flags["adaptScale"]) == expected


def test_a_trained_encoder_adapts_as_a_test_does(folder):
    run = run_with(folder, adapt="running", adapt_scale=True)
    run_test(TestOptions.of(resume=run, extract_only=True, results_path=str(folder / "r")))
    (path,) = (folder / "r").glob("*.npz")
    written, day, night = np.load(path), np.load(folder / "day.npy")[TEST], np.load(folder / "night.npy")[TEST]
    loaded = opticornet.load(run)
    np.testing.assert_allclose(loaded.encode(night), written["qDesc"], atol=1e-5)
    np.testing.assert_allclose(loaded.encode(day, is_map=True), written["dbDesc"], atol=1e-5)
    np.testing.assert_allclose(loaded.encode(day, adapt="traverse"), written["dbDesc"], atol=1e-5)
    mean = RunningMean(loaded.begin)
    np.testing.assert_array_equal(loaded.adapted(night), np.stack([mean.add(frame) for frame in night]))
    np.testing.assert_array_equal(loaded.adapted(torch.from_numpy(night)), loaded.adapted(night))
    assert loaded.adapted(night, "none") is night


def test_a_trained_encoder_says_what_it_cannot_adapt(folder):
    loaded = opticornet.load(run_with(folder, adapt="none"))
    night = np.load(folder / "night.npy")
    assert loaded.adapted(night, is_map=True) is night
    with pytest.raises(UserError, match=r"`adapt` running: .* was trained without"):
        loaded.encode(night, adapt="running")
    with pytest.raises(UserError, match="`adapt` own: choose one of none, running, traverse"):
        loaded.encode(night, adapt="own")


def test_a_report_reopens_the_adapted_scene(folder):
    for adapt in ("none", "running", "traverse"):
        options = {"pooling": "smooth", "adapt": adapt, "results_path": str(folder / "r"), "exp_name": adapt}
        score(folder, **options)
    results, _ = read_results((str(folder / "r"),))
    assert {result.name for result in results} == {"smooth", "smooth (adapted)", "smooth (adapted, looking ahead)"}
    opticornet.report(results=(str(folder / "r"),), output=str(folder / "page"), quiet=True)
    text = (folder / "page" / "index.html").read_text()
    assert "smooth (adapted, looking ahead): queries were centred by their whole traverse, which looks ahead" in text
    assert text.count("which looks ahead") == 1
    (path,) = (folder / "r").glob("*_running.json")
    result = read_result(path)
    reference, query, _ = vectors(result, reopen(result))
    nearest = np.sqrt(np.maximum(2 - 2 * query @ reference.T, 0)).min(axis=1)
    np.testing.assert_allclose(nearest, np.load(path.with_suffix(".npz"))["distances"][:, 0], atol=1e-4)


def test_half_precision_descriptors_are_adapted_in_full(folder):
    full = score(folder, pooling="smooth", adapt="running").recall
    for name in ("day", "night"):
        np.save(folder / f"{name}.npy", np.load(folder / f"{name}.npy").astype(np.float16))
    assert abs(score(folder, pooling="smooth", adapt="running").recall["1"] - full["1"]) < 0.05


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ("--pooling", "smooth", "--adapt", "none", "--adaptScale"),
            "--adaptScale changes nothing here: nothing is adapted",
        ),
        (("--pooling", "smooth", "--adapt", "all"), "argument --adapt: invalid choice"),
    ],
)
def test_options_that_change_nothing_are_refused(folder, capsys, given, message):
    assert main(["--mode", "test", "--dataset", str(folder), *given]) == 2
    assert message in capsys.readouterr().err
