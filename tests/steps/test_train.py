"""The training step: it learns, it can be stopped at any moment, and it says what is wrong."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import dropout

from opticornet.cli import main
from opticornet.datasets.folder.toml import FolderEntry, SplitEntry, TraverseEntry, write_toml
from opticornet.learning.history import read_epochs
from opticornet.learning.loop import Loop
from opticornet.models.sequences.seqnet import SeqNet
from opticornet.options.modes import TrainOptions
from opticornet.steps.train import train
from opticornet.utils.checkpoints import load_checkpoint, save_checkpoint
from opticornet.utils.errors import UserError
from opticornet.utils.options import flag_of, option_fields
from opticornet.utils.program import program


@pytest.fixture
def route(tmp_path) -> Path:
    """Two drives of 120 places: smooth noise in 12 dimensions, the second seen through another season."""
    rng = np.random.default_rng(0)
    places = np.cumsum(rng.standard_normal((120, 12)), axis=0)
    season = np.eye(12) + 0.3 * rng.standard_normal((12, 12))
    folder = tmp_path / "route"
    folder.mkdir()
    for name, frames in (("day", places), ("night", places @ season)):
        frames = frames + 0.3 * rng.standard_normal(frames.shape)
        np.save(folder / f"{name}.npy", (frames / np.linalg.norm(frames, axis=1, keepdims=True)).astype(np.float32))
    splits = {
        name: SplitEntry("day", "night", rows, rows, positive_radius=1.0, negative_radius=4.0)
        for name, rows in (("train", (0, 70)), ("val", (75, 95)), ("test", (100, 120)))
    }
    write_toml(folder, FolderEntry("route", "frames", {n: TraverseEntry(f"{n}.npy") for n in ("day", "night")}, splits))
    return folder


RANDOM = {"init": "random"}


def given(route: Path, **more) -> dict:
    """Options of a short run, from random weights, which leave something to learn, where nothing else is said."""
    start = {} if {"init", "init_from", "resume"} & more.keys() or more.get("pooling") == "delta-lstm" else RANDOM
    return {
        "dataset": str(route), "runs_path": str(route.parent / "runs"), "n_epochs": 3, "batch_size": 8,
        "out_dims": 8, "device": "cpu", "threads": 1, "quiet": True,
    } | start | more  # fmt: skip


def arguments(options: dict) -> list[str]:
    """The same as a command line."""
    line = ["--mode", "train"]
    for name, value in options.items():
        owner, _ = TrainOptions.locate(name, options)
        line += [flag_of(option_fields(owner)[name])] + ([] if value is True else [str(value)])
    return line


def latest(run: Path) -> dict:
    return load_checkpoint(run / "checkpoints" / "checkpoint.pth.tar")


def assert_same_run(a: Path, b: Path) -> None:
    for name in ("checkpoint.pth.tar", "model_best.pth.tar"):
        one, other = (load_checkpoint(run / "checkpoints" / name) for run in (a, b))
        assert one["state_dict"].keys() == other["state_dict"].keys()
        for key, value in one["state_dict"].items():
            assert torch.equal(value, other["state_dict"][key]), key
        assert one["recalls"] == other["recalls"]
        assert one["best_score"] == other["best_score"]
        assert one["epoch"] == other["epoch"]


@pytest.mark.parametrize("pooling", ["dsdnet", "seqnet", "delta-lstm"])
@pytest.mark.parametrize("loss", ["quadruplet", "triplet", "multi-similarity", "soft-contrastive", "smooth-ap"])
def test_every_method_learns_with_every_loss(route, pooling, loss):
    run = train(TrainOptions.of(**given(route, pooling=pooling, loss=loss, n_epochs=2)))
    flags = json.loads((run / "checkpoints" / "flags.json").read_text())
    assert (flags["pooling"], flags["loss"], flags["seqL"]) == (pooling, loss, 5)
    state = latest(run)
    assert state["epoch"] == 2
    assert set(state["recalls"]) == {1, 5, 10, 20}
    assert all(torch.isfinite(value).all() for value in state["state_dict"].values())
    fresh = latest(train(TrainOptions.of(**given(route, pooling=pooling, loss=loss, n_epochs=1))))
    assert any(not torch.equal(v, fresh["state_dict"][k]) for k, v in state["state_dict"].items())


@pytest.mark.parametrize("optim", ["SGD", "ADAM", "ADAMW"])
@pytest.mark.parametrize("schedule", ["step", "cosine"])
def test_every_optimizer_and_schedule_runs(route, optim, schedule):
    run = train(TrainOptions.of(**given(route, optim=optim, schedule=schedule, n_epochs=1)))
    assert latest(run)["epoch"] == 1


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(route):
    a, b, c = (train(TrainOptions.of(**given(route, seed=seed))) for seed in (1, 1, 2))
    assert_same_run(a, b)
    assert any(not torch.equal(v, latest(c)["state_dict"][k]) for k, v in latest(a)["state_dict"].items())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kills", "extra"), [(2, {}), (1, {"cache_refresh_rate": 20, "n_neg_sample": 30, "schedule": "step"})]
)
def test_a_killed_run_ends_as_if_never_stopped(route, kills, extra):
    whole = train(TrainOptions.of(**given(route, n_epochs=8, exp_name="whole", **extra)))
    killed_runs = route.parent / "killed"
    line = [sys.executable, "main.py", *arguments(given(route, n_epochs=8, runs_path=killed_runs, **extra))]
    for attempt in range(kills):
        process = subprocess.Popen(line, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE)
        wait_for_epoch(killed_runs, 2 * attempt + 2, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        line = [sys.executable, "main.py", "--mode", "train", "--quiet", "--threads", "1"]
        line += ["--runsPath", str(killed_runs), "--resume"]
    (run,) = killed_runs.iterdir()
    assert latest(run)["epoch"] < 8 or process.returncode == 0
    assert main(line[2:]) == 0
    assert_same_run(whole, run)


def wait_for_epoch(runs: Path, epoch: int, process: subprocess.Popen) -> None:
    """Until a run below ``runs`` has finished ``epoch`` epochs, or the process has ended by itself."""
    for _ in range(3000):
        found = list(runs.glob("*/checkpoints/checkpoint.pth.tar"))
        if found and load_checkpoint(found[0])["epoch"] >= epoch:
            return
        if process.poll() is not None:
            assert process.returncode == 0, process.stderr.read().decode()
            return
        time.sleep(0.02)
    raise AssertionError("the run made no progress")


def stop_after(step: int, patch: pytest.MonkeyPatch) -> None:
    """Have the process asked to stop in the run's ``step``-th step."""
    steps = Loop.train_step
    done = []

    def interrupted_step(loop, batch):
        done.append(steps(loop, batch))
        if len(done) == step:
            os.kill(os.getpid(), signal.SIGTERM)

    patch.setattr(Loop, "train_step", interrupted_step)


def stopped_run(route: Path, step: int, **options) -> Path:
    """A run stopped by SIGTERM in its ``step``-th step, in the middle of an epoch."""
    runs = route.parent / "stopped"
    with pytest.MonkeyPatch.context() as patch:
        stop_after(step, patch)
        assert main(arguments(given(route, runs_path=runs, **options))) == 128 + signal.SIGTERM
    (run,) = runs.iterdir()
    assert latest(run)["progress"]["step"] > 0
    return run


def go_on(run: Path) -> None:
    assert main(["--mode", "train", "--resume", str(run), "--quiet", "--threads", "1", "--device", "cpu"]) == 0


@pytest.mark.parametrize("step", [1, 4])
def test_a_signal_saves_in_the_middle_of_an_epoch_and_the_run_goes_on(route, step, capsys):
    whole = train(TrainOptions.of(**given(route, exp_name="whole", cache_refresh_rate=40)))
    run = stopped_run(route, step, cache_refresh_rate=40)
    said = capsys.readouterr().err
    assert f"{program()} --mode train --resume {run}" in said
    assert said.strip() in (run / "log.txt").read_text()
    go_on(run)
    assert_same_run(whole, run)


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "soft-contrastive", "references": 30},
        {"loss": "smooth-ap", "augment": "time+descriptors", "season_share": 0.2},
        {"augment": "time", "cache_refresh_rate": 40},
    ],
)
def test_whatever_is_drawn_a_stopped_run_goes_on_as_if_never_stopped(route, options):
    whole = train(TrainOptions.of(**given(route, exp_name="whole", **options)))
    run = stopped_run(route, 4, **options)
    go_on(run)
    assert_same_run(whole, run)


def test_augmented_training_learns_something_else(route):
    plain, others = (train(TrainOptions.of(**given(route, augment=kind, n_epochs=1))) for kind in ("none", "time"))
    assert any(not torch.equal(v, latest(others)["state_dict"][k]) for k, v in latest(plain)["state_dict"].items())


def test_training_in_time_is_judged_at_other_paces_too(route):
    run = train(TrainOptions.of(**given(route, augment="time", n_epochs=2)))
    last = read_epochs(run)[-1]
    recorded, others = last["recalls"], {k: last["metrics"][f"paces-recall@{k}"] for k in (1, 5)}
    best = latest(run)["progress"]["best_metrics"]
    means = [(best[f"recall@{k}"] + best[f"paces-recall@{k}"]) / 2 for k in (1, 5)]
    assert latest(run)["best_score"] == pytest.approx(sum(means) / 2)
    assert set(others) == {1, 5}
    assert set(recorded) == {"1", "5", "10", "20"}


@pytest.mark.parametrize("measure", ["mean-recall", "average-precision", "recall@1", "recall@5"])
def test_what_selects_an_epoch_is_chosen_and_said(route, measure, capsys):
    run = train(TrainOptions.of(**given(route, select_by=measure, n_epochs=1, quiet=False)))
    said, best = capsys.readouterr().out, latest(run)["best_score"]
    assert f"best {measure} {best:.3f}" in said
    assert f"by {measure} {best:.3f}, validation R@1" in said
    metrics = latest(run)["progress"]["best_metrics"]
    expected = metrics.get(measure, (metrics["recall@1"] + metrics["recall@5"]) / 2)
    assert best == pytest.approx(expected)


def test_a_run_of_the_time_of_recall_at_5_goes_on_by_it(route, capsys):
    run = stopped_run(route, 4, select_by="recall@5", margin=1.0, margin2=0.5)
    flags = json.loads((run / "checkpoints" / "flags.json").read_text())
    del flags["selectBy"]
    (run / "checkpoints" / "flags.json").write_text(json.dumps(flags))
    assert main(["--mode", "train", "--resume", str(run), "--selectBy", "mean-recall"]) == 2
    assert "--selectBy mean-recall contradicts --selectBy recall@5 of the resumed run" in capsys.readouterr().err
    assert main(["--mode", "train", "--resume", str(run), "--threads", "1", "--device", "cpu"]) == 0
    assert "by recall@5" in capsys.readouterr().out
    assert latest(run)["best_score"] == latest(run)["progress"]["best_metrics"]["recall@5"]


def test_an_encoder_that_draws_at_random_goes_on_where_it_stopped(route, monkeypatch):
    forward = SeqNet.forward
    monkeypatch.setattr(SeqNet, "forward", lambda self, x: forward(self, dropout(x, 0.3, self.training)))
    options = {"pooling": "seqnet", "margin": 1.0, "margin2": 0.5}
    whole, again, other = (train(TrainOptions.of(**given(route, seed=seed, **options))) for seed in (1, 1, 2))
    assert_same_run(whole, again)
    assert not torch.equal(latest(whole)["random"]["torch"], latest(other)["random"]["torch"])
    run = stopped_run(route, 4, seed=1, **options)
    go_on(run)
    assert_same_run(whole, run)


def as_formerly(state: dict) -> dict:
    """A checkpoint in the layout of the time when loop and task were one."""
    progress, mining = state["progress"], state["mining"]
    counted = {"tuples": progress["samples"]} if progress["samples"] else {}
    return {
        "epoch": state["epoch"],
        "in_dims": state["in_dims"],
        "state_dict": state["state_dict"],
        "recalls": state["recalls"],
        "best_score": state["best_score"],
        "optimizer": state["optimizer"],
        "parallel": False,
        "progress": {
            "epoch": progress["epoch"],
            "order": mining["order"],
            "part": mining["part"],
            "tuples": mining["tuples"],
            "step": progress["step"] - mining["before"],
            "totals": progress["totals"] | counted,
            "best": progress["best"],
            "best_epoch": progress["best_epoch"],
            "stale": progress["stale"],
            "learned": False,
            "recalls": state["recalls"],
            "seconds": progress["seconds"],
        },
        "remembered": state["remembered"],
        "random": {"own": state["generator"]} | state["random"],
    }


@pytest.mark.parametrize(
    ("step", "extra"), [(2, {}), (4, {"cache_refresh_rate": 40}), (12, {"cache_refresh_rate": 20, "n_neg_sample": 30})]
)
def test_a_run_stopped_before_loop_and_task_were_apart_goes_on(route, step, extra):
    options = {"margin": 1.0, "margin2": 0.5, "patience": 3} | extra
    whole = train(TrainOptions.of(**given(route, exp_name="whole", **options)))
    run = stopped_run(route, step, **options)
    save_checkpoint(as_formerly(latest(run)), run / "checkpoints" / "checkpoint.pth.tar")
    go_on(run)
    assert_same_run(whole, run)
    histories = [read_epochs(one) for one in (whole, run)]
    for epoch in itertools.chain(*histories):
        epoch.pop("seconds", None)
    assert histories[0] == histories[1]


def test_a_checkpoint_has_the_keys_that_seqnet_reads(route):
    state = latest(train(TrainOptions.of(**given(route, n_epochs=1))))
    assert {"epoch", "state_dict", "recalls", "best_score", "optimizer", "parallel"} <= state.keys()
    assert state["parallel"] is False
    assert state["best_score"] == (state["recalls"][1] + state["recalls"][5]) / 2


def test_a_flag_that_contradicts_the_run_names_both(route, capsys):
    run = train(TrainOptions.of(**given(route, n_epochs=1)))
    before = (run / "checkpoints" / "checkpoint.pth.tar").read_bytes()
    assert main(["--mode", "train", "--resume", str(run), "--lr", "0.5"]) == 2
    assert "--lr 0.5 contradicts --lr" in capsys.readouterr().err
    assert (run / "checkpoints" / "checkpoint.pth.tar").read_bytes() == before


def test_what_training_starts_from_competes_for_the_best(route):
    run = train(TrainOptions.of(**given(route, lr=1e-12, n_epochs=1)))
    assert load_checkpoint(run / "checkpoints" / "model_best.pth.tar")["epoch"] == 0


def test_whitening_needs_two_conditions(route):
    np.save(route / "night.npy", np.load(route / "day.npy"))
    with pytest.raises(UserError, match=r"`init` whitening: .*nothing changes.* use `init` random"):
        train(TrainOptions.of(**given(route, init="whitening")))


def test_patience_stops_a_run_that_no_longer_improves(route):
    run = train(TrainOptions.of(**given(route, n_epochs=50, patience=2, lr=1e-12)))
    assert latest(run)["epoch"] == 2  # what training started from stays the best


def test_evaluation_may_be_rarer_but_the_last_epoch_is_evaluated(route):
    run = train(TrainOptions.of(**given(route, n_epochs=3, eval_every=2)))
    assert latest(run)["recalls"]


def test_training_ends_where_no_tuple_violates_the_margin(route, capsys):
    options = given(route, n_epochs=20, margin=1e-9, loss="triplet", pooling="seqnet", init="whitening", quiet=False)
    run = train(TrainOptions.of(**options))
    epochs = latest(run)["epoch"]
    assert epochs < 20
    said = capsys.readouterr().out
    recall = latest(run)["recalls"][1]
    assert recall < 1
    assert "found no tuple that violates the margin, so this loss has nothing left to say; validation R@1 is " in said
    assert f"is {recall:.3f}, so there is more to find: try a --loss that weighs all references" in said
    assert "a larger --margin, or --augment" in said
    assert main(["--mode", "train", "--resume", str(run), "--quiet"]) == 0
    assert latest(run)["epoch"] == epochs


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_good_checkpoint(route, capsys):
    assert main(arguments(given(route, lr=1e38, optim="SGD", init="random"))) == 2
    error = capsys.readouterr().err
    assert "epoch" in error
    assert "batch" in error
    assert "smaller --lr" in error
    (run,) = (route.parent / "runs").iterdir()
    assert all(torch.isfinite(value).all() for value in latest(run)["state_dict"].values())


def test_a_model_trained_at_ten_is_tested_at_five(route, capsys):
    run = train(TrainOptions.of(**given(route, sequence_length=10, n_epochs=1)))
    line = ["--mode", "test", "--resume", str(run), "--latencyQueries", "0", "--bootstrap", "0"]
    assert main([*line, "--seqL", "5"]) == 0
    assert "dsdnet S5 (adapted) on route" in capsys.readouterr().out
    assert main(line) == 0  # without --seqL: the run's
    assert "dsdnet S10 (adapted) on route" in capsys.readouterr().out


def test_weights_made_for_one_length_name_the_flag_that_says_it(route, capsys):
    run = train(TrainOptions.of(**given(route, pooling="delta-lstm", sequence_length=6, n_epochs=1)))
    assert main(["--mode", "test", "--resume", str(run), "--pooling", "delta-lstm", "--seqL", "5"]) == 2
    assert "weight is (6,), wanted (5,)); check --pooling, its options and, for delta-lstm, --seqL" in (
        capsys.readouterr().err
    )


def test_weights_for_descriptors_of_other_dimensions_are_refused(route, capsys):
    run = train(TrainOptions.of(**given(route, n_epochs=1)))
    for name in ("day", "night"):
        np.save(route / f"{name}.npy", np.load(route / f"{name}.npy")[:, :10].copy())
    assert main(["--mode", "test", "--resume", str(run)]) == 2
    error = capsys.readouterr().err
    assert "was trained on 12-D descriptors" in error
    assert "has 10-D ones" in error
    assert main(["--mode", "train", "--resume", str(run)]) == 2
    assert "was trained on 12-D descriptors" in capsys.readouterr().err


def test_descriptors_in_half_precision_train_too(route):
    for name in ("day", "night"):
        np.save(route / f"{name}.npy", np.load(route / f"{name}.npy").astype(np.float16))
    assert latest(train(TrainOptions.of(**given(route, n_epochs=1, amp=True))))["epoch"] == 1


def test_an_explicit_table_of_positives_trains_too(route):
    toml = (route / "dataset.toml").read_text()
    (route / "table.csv").write_text("query,first,last\n" + "\n".join(f"{i},{i},{i}" for i in range(70)))
    head, _, tail = toml.partition("[splits.train]")
    tail = tail.replace("positive_radius = 1.0", 'positives = "table.csv"', 1)
    (route / "dataset.toml").write_text(f"{head}[splits.train]{tail}")
    assert latest(train(TrainOptions.of(**given(route, n_epochs=1))))["epoch"] == 1


def test_a_resumed_run_keeps_its_device_threads_and_data_unless_told_otherwise(route, monkeypatch):
    threads = []
    epoch = Loop.train_epoch
    monkeypatch.setattr(Loop, "train_epoch", lambda *given: threads.append(torch.get_num_threads()) or epoch(*given))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run = stopped_run(route, 1)
        flags = json.loads((run / "checkpoints" / "flags.json").read_text())
        assert (flags["device"], flags["threads"]) == ("cpu", 1)
        train(TrainOptions.of(resume=str(run), quiet=True))
        assert set(threads) == {1}
        threads.clear()
        train(TrainOptions.of(**given(route, threads=0)))
        assert set(threads) == {2}  # what a run was given does not outlast it
    finally:
        torch.set_num_threads(before)


def test_training_leaves_the_random_state_of_the_process_alone(route):
    before = torch.get_rng_state()
    train(TrainOptions.of(**given(route, n_epochs=1)))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "smooth"}, "nothing to learn"),
        ({"sequence_length": 2, "w": 3}, "--seqL 2 is below 3"),
        ({"sequence_length": 40}, "--seqL 40 is above the shortest sequence"),
        ({"n_epochs": -1}, "--nEpochs -1"),
        ({"lr": -1.0}, "--lr -1: wanted a number above 0"),
        ({"lr": 0.0}, "--lr 0: wanted a number above 0"),
        ({"lr": float("inf")}, "--lr inf"),
        ({"seed": 10**20}, "--seed 1000"),
        ({"exp_name": "../out"}, "--expName ../out: wanted a plain name"),
        ({"out_dims": 10**9}, "more than there is"),
        ({"margin": float("nan")}, "--margin nan"),
        ({"weight_decay": -1.0}, "--weightDecay -1"),
        ({"cache_refresh_rate": -5}, "--cacheRefreshRate -5"),
        ({"schedule": "step", "lr_step": 0}, "--lrStep 0"),
        ({"n_neg": 1}, "needs 2 negatives"),
        ({"margin": 0.1, "margin2": 0.1}, "--margin 0.1 must be above --margin2 0.1"),
        ({"loss": "smooth-ap", "n_neg": 5}, "--nNeg changes nothing here: it is of mined tuples"),
        ({"references": 5}, "--references changes nothing here: it is an option of --loss soft-contrastive or smooth"),
        ({"augment": "time", "noise": 1.0}, "--noise changes nothing here"),
        ({"augment": "time", "sequence_length": 1, "w": 1}, "--augment changes nothing here: a window of one frame"),
        *(
            ({"augment": augment, "pace_share": 0.0}, "--paceShare changes nothing here: no window is at another pace")
            for augment in ("time", "time+descriptors")
        ),
        *(
            ({"augment": augment, "noise": 0.0}, "--noise changes nothing here: frame descriptors stay as they are")
            for augment in ("descriptors", "time+descriptors")
        ),
        ({"augment": "time", "fastest": 0.1}, "--slowest 0.4 and --fastest 0.1: wanted numbers above 0"),
        ({"select_by": "loss"}, "--selectBy: invalid choice: 'loss'"),
        ({"resume": "newest"}, "no run in"),
        ({"dataset": "nowhere"}, "nowhere"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(route, options, message, capsys):
    assert main(arguments(given(route, **options))) == 2
    assert message in capsys.readouterr().err
    assert not (route.parent / "runs").exists()


@pytest.mark.parametrize("fault", ["nan", "no positives", "no negatives", "different D", "truncated"])
def test_bad_data_is_refused(route, fault, capsys):
    frames = np.load(route / "day.npy")
    toml = (route / "dataset.toml").read_text()
    if fault == "nan":
        frames[33, 5] = np.nan
        np.save(route / "day.npy", frames)
        message = "33"
    elif fault == "no positives":
        (route / "dataset.toml").write_text(toml.replace("query_rows = [0, 70]", "query_rows = [100, 120]"))
        message = "no query of split train"
    elif fault == "no negatives":
        (route / "dataset.toml").write_text(toml.replace("negative_radius = 4.0", "negative_radius = 400.0"))
        message = "lower negative_radius"
    elif fault == "different D":
        np.save(route / "day.npy", frames[:, :7].copy())
        message = "7"
    else:
        (route / "day.npy").write_bytes((route / "day.npy").read_bytes()[:300])
        message = "day.npy"
    assert main(arguments(given(route))) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (route.parent / "runs").exists()
