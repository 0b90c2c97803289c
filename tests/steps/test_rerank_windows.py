"""Re-ranking by windows as an encoder of single frames encodes them, and when frames are matched instead."""

import errno
import json
import os

import numpy as np
import pytest

from opticornet.cli import main
from opticornet.evaluation.answering.described_windows import described_windows
from opticornet.evaluation.answering.matching import MatchSettings
from opticornet.evaluation.scene import encode_side
from opticornet.options.modes import TestOptions, TrainOptions
from opticornet.steps.test import test as run_test
from opticornet.steps.testing.answering import load_encoders
from opticornet.steps.testing.runs import find_runs, resolve
from opticornet.steps.testing.scenes import open_scenes
from opticornet.steps.train import train
from opticornet.utils.errors import UserError

PLACES = 200
CPU = {"device": "cpu", "quiet": True}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A dataset of two noisy drives, and runs of encoders trained on it by name."""
    folder = tmp_path_factory.mktemp("world")
    generator = np.random.default_rng(2)
    places = generator.standard_normal((PLACES, 12))
    for name in ("day", "night"):
        np.save(folder / f"{name}.npy", (places + generator.standard_normal(places.shape)).astype(np.float32))
    toml = ['name = "made"', 'units = "frames"']
    toml += [f'traverses.{name}.descriptors = "{name}.npy"' for name in ("day", "night")]
    for split, start, stop in (("train", 0, 90), ("val", 90, 140), ("test", 140, 200)):
        toml += [f"[splits.{split}]", "reference = 'day'\nquery = 'night'\npositive_radius = 1"]
        toml += [f"reference_rows = [{start}, {stop}]\nquery_rows = [{start}, {stop}]"]
        toml += ["negative_radius = 5"] * (split == "train")
    (folder / "dataset.toml").write_text("\n".join(toml))

    def run(name, **options):
        given = {"dataset": str(folder), "runs_path": str(folder / name), "n_epochs": 1} | CPU | options
        return str(train(TrainOptions.of(**given)))

    s4 = run("s4", sequence_length=4)
    s1 = run("s1", sequence_length=1)
    return {
        "folder": folder,
        "s4": s4,
        "s1": s1,
        "seqnet": run("seqnet", sequence_length=4, pooling="seqnet"),
        "seqnet7": run("seqnet7", sequence_length=7, pooling="seqnet"),
    }


def given(world, **options):
    results = {"results_path": str(world["folder"] / "results"), "recall_at": (1, 5, 20)}
    common = {"dataset": str(world["folder"]), "latency_queries": 2, "bootstrap": 0, "rerank": "s1+seqmatch"}
    return TestOptions.of(**{n: v for n, v in (CPU | common | results | options).items() if v != ""})


def answered(world, **options):
    record = run_test(given(world, **options))
    with np.load(world["folder"] / "results" / record.predictions) as arrays:
        return record, dict(arrays)


def by_hand(world, run, length, found, **options):
    """Distances of the found references by the encodings of a run in windows of ``length``."""
    options, path = resolve(given(world, resume=world[run], rerank="", sequence_length=length, **options))
    options, runs = find_runs(options, path)
    scene = open_scenes(options, runs)["test"]
    encoder = load_encoders(options, scene, runs).searched.encoder
    reference, query = (encode_side(encoder, side, scene.device, False) for side in (scene.reference, scene.query))
    return np.linalg.norm(query[:, None] - reference[found["preds"]], axis=2)


@pytest.mark.parametrize("named", ["", "s4", "s1"])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_candidates_are_ordered_by_the_encodings_of_longer_windows(world, named, direction):
    more = {"rerank_weight": "0", "equal_windows": "each", "direction": direction}
    run = {"rerank_resume": world[named]} if named else {}
    record, found = answered(world, resume=world["s4"], rerank_length=7, **run, **more)
    expected = by_hand(world, named or "s4", 7, found, direction=direction)
    np.testing.assert_allclose(found["distances"], expected, atol=1e-5)
    assert (np.diff(found["distances"], axis=1) >= 0).all()
    assert (record.method.matcher, record.options["rerankBy"]) == ("encoder", "windows")
    assert record.method.rerank_weights.path.startswith(world[named or "s4"])


def test_encodings_that_do_not_fit_into_memory_lie_in_a_file_and_say_the_same(world, monkeypatch):
    options = {"resume": world["s4"], "rerank_length": 7, "rerank_weight": "0"}
    _, held = answered(world, **options)
    monkeypatch.setattr(
        "opticornet.steps.testing.answering.described_windows",
        lambda scene, single, _, **more: described_windows(scene, single, 1, **more),
    )
    _, found = answered(world, **options)
    for name in ("preds", "distances"):
        np.testing.assert_array_equal(held[name], found[name])


def test_a_disk_that_cannot_hold_the_encodings_is_one_line(world, capsys, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(
        "opticornet.steps.testing.answering.MatchSettings", lambda matcher, *_: MatchSettings(matcher, 1)
    )
    monkeypatch.setattr(os, "posix_fallocate", full)
    arguments = ["--dataset", str(world["folder"]), "--resume", world["s4"], "--rerank", "s1+seqmatch", "--nocuda"]
    assert main(["--mode", "test", *arguments, "--rerankSeqL", "7", "--rerankWeight", "0", "--quiet"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "--rerankSeqL 7: 60 windows take 0.0 GiB" in line
    assert "No space left on device" in line


@pytest.mark.parametrize(
    "options",
    [
        {"resume": "seqnet", "rerank_resume": "s1", "matcher": "diagonal", "rerank_length": 7},  # it was asked for
        {"resume": "seqnet", "rerank_resume": "s1", "rerank_by": "frames", "rerank_length": 7},
        {"resume": "s4", "rerank_resume": "s4"},  # windows as they were searched
        {"resume": "s4"},
    ],
)
def test_frames_are_matched_where_that_is_asked_for_or_windows_were_searched(world, options):
    options = options | {name: world[options[name]] for name in ("resume", "rerank_resume") if name in options}
    record, _ = answered(world, **options)
    assert (record.method.matcher, record.options["rerankBy"]) == ("diagonal", "frames")


def test_windows_of_any_encoder_are_compared_where_that_is_asked_for(world):
    options = {"resume": world["s4"], "rerank_resume": world["seqnet7"], "rerank_length": 7, "rerank_weight": "0"}
    record, found = answered(world, **options, rerank_by="windows", equal_windows="each")
    np.testing.assert_allclose(found["distances"], by_hand(world, "seqnet7", 7, found), atol=1e-5)
    assert record.method.matcher == "encoder"


def test_an_encoder_of_whole_windows_is_no_default_to_re_rank_by(world):
    with pytest.raises(UserError, match="name its run with `rerank_resume` RUN, one of `sequence_length` 1"):
        run_test(given(world, resume=world["seqnet"]))


def test_windows_that_were_searched_already_are_not_compared_again(world, capsys):
    arguments = ["--dataset", str(world["folder"]), "--resume", world["s4"], "--rerank", "s1+seqmatch", "--nocuda"]
    assert main(["--mode", "test", *arguments, "--rerankBy", "windows"]) == 2
    assert "--rerankBy windows: windows of 4 frames" in capsys.readouterr().err
    with pytest.raises(UserError, match="`rerank_by` frames matches their frames"):
        run_test(given(world, resume=world["s4"], rerank_length=7, rerank_by="windows", matcher="dtw"))


def test_windows_too_short_for_the_encoder_are_refused(world):
    options = {"resume": world["s4"], "rerank_resume": world["seqnet7"], "rerank_length": 5, "rerank_by": "windows"}
    with pytest.raises(UserError, match=r"cannot describe windows of 5 frames .* `sequence_length` of at most 5"):
        run_test(given(world, **options))


def test_the_record_tells_results_apart(world, tmp_path):
    windows, _ = answered(world, resume=world["s4"], rerank_length=7, exp_name="windows")
    frames, _ = answered(world, resume=world["s4"], rerank_length=7, rerank_by="frames", exp_name="frames")
    saved = [world["folder"] / "results" / one.predictions.replace(".npz", ".json") for one in (windows, frames)]
    assert [json.loads(path.read_text())["method"]["matcher"] for path in saved] == ["encoder", "diagonal"]


@pytest.mark.parametrize(("length", "wanted"), [(5, 0.74), (10, 0.94)])
def test_winter_is_found_in_summer_by_both_stages(nordland, tmp_path, length, wanted):
    runs = {
        frames: str(
            train(
                TrainOptions.of(
                    dataset=str(nordland), sequence_length=frames, runs_path=str(tmp_path / str(frames)), **CPU
                )
            )
        )
        for frames in (1, 5)
    }
    options = {"rerank": "s1+seqmatch", "rerank_resume": runs[1], "rerank_length": length, "equal_windows": "each"}
    record = run_test(
        TestOptions.of(dataset=str(nordland), resume=runs[5], bootstrap=0, latency_queries=0, **options, **CPU)
    )
    assert record.recall["1"] >= wanted
