"""Run folders: made, found, read."""

import os

import pytest

import opticornet
from opticornet.cli import main
from opticornet.inference.runs import find_run, new_run, read_flags, run_name, write_flags
from opticornet.options.modes import TestOptions, TrainOptions
from opticornet.utils.errors import UserError


def make(tmp_path, **given):
    options = TrainOptions.of(**given)
    run = new_run(tmp_path / "runs", run_name("seqnet", options.sequence_length, options.exp_name))
    write_flags(run, options.record())
    return run


def test_a_run_is_named_as_seqnet_names_it_and_knows_its_flags(tmp_path):
    run = make(tmp_path, sequence_length=7, exp_name="mine")
    assert run.name.endswith("_seqnet_l7_mine")
    assert read_flags(run, "checkpoints")["seqL"] == 7


def test_two_runs_in_one_second_get_two_folders(tmp_path):
    assert make(tmp_path) != make(tmp_path)


def test_the_newest_run_is_the_one_last_begun(tmp_path):
    older, newer = make(tmp_path, exp_name="b"), make(tmp_path, exp_name="a")
    os.utime(older / "checkpoints" / "flags.json", (1, 1))
    assert find_run("newest", str(tmp_path / "runs"), "checkpoints") == newer
    assert find_run(str(tmp_path / "runs"), "elsewhere", "checkpoints") == newer


def test_what_is_not_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="no run in"):
        find_run("newest", str(tmp_path), "checkpoints")
    with pytest.raises(UserError, match="no such folder"):
        find_run(str(tmp_path / "none"), str(tmp_path), "checkpoints")
    with pytest.raises(UserError, match="`rerank_resume`: no run in"):
        find_run("newest", str(tmp_path), "checkpoints", "rerank_resume")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is not a run"):
        find_run(str(tmp_path / "empty"), str(tmp_path), "checkpoints")


def test_broken_flags_are_refused(tmp_path):
    run = make(tmp_path)
    for text in ("{", "[]"):
        (run / "checkpoints" / "flags.json").write_text(text)
        with pytest.raises(UserError, match=r"flags\.json"):
            read_flags(run, "checkpoints")


@pytest.mark.parametrize("mode", ["train", "test"])
def test_a_name_too_long_for_files_is_refused_before_computing(tmp_path, capsys, mode):
    line = ["--mode", mode, "--runsPath", str(tmp_path), *(["--pooling", "smooth"] if mode == "test" else [])]
    assert main([*line, "--expName", "ä" * 110]) == 2
    assert "--expName of 220 bytes is too long for the names of files; wanted at most " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_longest_name_can_be_written(tmp_path):
    options = TestOptions.of(pooling="smooth", sequence_length=1, bootstrap=0, latency_queries=0, quiet=True,
                             results_path=str(tmp_path), exp_name="a" * 207)  # fmt: skip
    opticornet.test(options)
    opticornet.test(options)
    assert len(list(tmp_path.glob("*.json"))) == 2
    with pytest.raises(UserError, match="wanted at most 207"):
        opticornet.test(TestOptions.of(pooling="smooth", sequence_length=1, exp_name="a" * 208))


@pytest.fixture
def run(tmp_path):
    options = TrainOptions.of(pooling="seqnet", out_dims=8, sequence_length=1, w=1, n_epochs=1, quiet=True,
                              runs_path=str(tmp_path / "runs"))  # fmt: skip
    return opticornet.train(options)


QUICK = {"bootstrap": 0, "latency_queries": 0, "quiet": True}


@pytest.mark.parametrize(("name", "checkpoint"), [("model_best.pth.tar", "best"), ("checkpoint.pth.tar", "latest")])
def test_a_checkpoint_stands_for_its_run_and_itself(run, name, checkpoint):
    path = run / "checkpoints" / name
    record = opticornet.test(resume=str(path), rerank="s1+seqmatch", rerank_resume=str(path), **QUICK)
    assert record.method.weights.path == record.method.rerank_weights.path == str(path)
    assert opticornet.load(path).weights.path == str(path)
    other = {"best": "latest", "latest": "best"}[checkpoint]
    with pytest.raises(UserError, match=rf"`ckpt` {other} contradicts `resume` .*{name}"):
        opticornet.test(resume=str(path), ckpt=other, **QUICK)


def test_each_of_two_runs_may_name_its_checkpoint(run):
    best, latest = (run / "checkpoints" / name for name in ("model_best.pth.tar", "checkpoint.pth.tar"))
    record = opticornet.test(resume=str(latest), rerank="s1+seqmatch", rerank_resume=str(best), **QUICK)
    assert (record.method.weights.path, record.method.rerank_weights.path) == (str(latest), str(best))


def test_training_continues_from_the_latest_checkpoint_only(run):
    assert opticornet.train(resume=str(run / "checkpoints" / "checkpoint.pth.tar")) == run
    with pytest.raises(UserError, match=r"continues from its checkpoint\.pth\.tar"):
        opticornet.train(resume=str(run / "checkpoints" / "model_best.pth.tar"))


def test_a_file_that_is_no_checkpoint_of_a_run_is_refused(run, tmp_path):
    stray = tmp_path / "model_best.pth.tar"
    stray.touch()
    for path in (stray, run / "checkpoints" / "flags.json", run / "log.txt"):
        with pytest.raises(UserError, match="wanted a run folder, or its checkpoints/model_best"):
            opticornet.test(resume=str(path), **QUICK)
