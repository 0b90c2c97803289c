"""Step: learn a sequence encoder."""

import shlex
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from opticornet.datasets.catalogue import load_dataset
from opticornet.evaluation.scene import Scene
from opticornet.inference.load import check_encoder_options, filter_length, is_learned
from opticornet.inference.runs import find_run, new_run, read_flags, write_flags
from opticornet.learning.history import EpochReport, recalls_of
from opticornet.learning.loop import Loop, LoopSettings, Progress
from opticornet.learning.optimizers import OPTIMIZERS, trainable
from opticornet.learning.schedules import cosine_rate, step_rate
from opticornet.learning.sequences import SequenceTask, upgraded
from opticornet.learning.task import Batch, LearningTask
from opticornet.options.modes import TrainOptions
from opticornet.reports.tensorboard import TrainingLog
from opticornet.utils.checkpoints import LATEST, load_checkpoint, save_checkpoint
from opticornet.utils.device import choose_device, cpu_threads, seeded
from opticornet.utils.errors import UserError
from opticornet.utils.logs import RunLog, duration, write_environment
from opticornet.utils.signals import StopRequest

# What may differ between a run and its resumption: where things are and how fast, never what is computed.
# Where nothing else is given, the run's own values hold for the first of them too.
KEPT = ("data_path", "struct_path", "device", "nocuda", "threads")
FREE = {*KEPT, "runs_path", "save_path", "resume", "quiet", "verbose"}


def train(options: TrainOptions) -> Path:
    """Train, or go on with the run ``options.resume`` names. Returns the run folder.

    Raises:
        UserError: bad options or data, or a loss that is not a number.
        Interrupted: SIGINT or SIGTERM came; the run is saved.
    """
    run = None
    if options.resume:
        run = find_run(options.resume, options.runs_path, options.save_path)
        shaping = tuple(name for name in options.flags() if name not in FREE)
        kept = tuple(name for name in KEPT if name not in options.given)
        options = options.restored(read_flags(run, options.save_path), shaping + kept, str(run))
    else:
        options = replace(options, filter_length=filter_length(options))
    check_training_options(options)
    device = choose_device(options.device, options.nocuda)
    with cpu_threads(options.threads), seeded(options.seed, device):
        loop = make_loop(options, make_task(options, device))
        if run:
            loop.restore(upgraded(load_checkpoint(run / options.save_path / LATEST)), str(run))
        else:
            loop.start()
            run = new_run(options)
            save_checkpoint(loop.state(), run / options.save_path / LATEST)
            write_flags(run, options)
        write_environment(run)
        follow(loop, options, run)
    return run


def make_task(options: TrainOptions, device: torch.device) -> SequenceTask:
    """What the options say is to be learned.

    Raises:
        UserError: the data cannot be trained on.
    """
    dataset = load_dataset(options.dataset, **options.source(), splits=("train", "val"))
    scenes = (
        Scene.of(dataset.name, dataset.splits[name], options.sequence_length, options.filter_length, device)
        for name in ("train", "val")
    )
    return SequenceTask(options, *scenes)


def make_loop(options: TrainOptions, task: LearningTask[Batch]) -> Loop[Batch]:
    """A run of the task as the options describe it, neither started nor resumed."""
    weights = trainable(task.module)
    optimizer = OPTIMIZERS[options.optim](weights, options.lr, options.weight_decay, options.momentum)
    settings = LoopSettings(options.n_epochs, options.eval_every, options.patience, options.amp, options.quiet)
    return Loop(task, optimizer, learning_rate(options), settings)


def learning_rate(options: TrainOptions) -> Callable[[int], float]:
    """The learning rate of each epoch, by its number from 0."""
    if options.schedule == "step":
        return partial(step_rate, options.lr, options.lr_gamma, options.lr_step)
    return partial(cosine_rate, options.lr, options.n_epochs)


def follow(loop: Loop[Any], options: TrainOptions, run: Path) -> None:
    """Train to the end, telling the terminal, the run's log and TensorBoard of every epoch."""
    progress, log = loop.progress, RunLog(run, quiet=options.quiet, verbose=options.verbose)
    log.say(f"{run}: {loop.task.describe()}")
    place = shlex.quote(str(run))
    if "save_path" in options.given:
        place += f" --savePath {shlex.quote(options.save_path)}"
    stop = StopRequest(f"python main.py --mode train --resume {place}")
    with log, TrainingLog(run, options, first_epoch=progress.epoch) as events, stop:
        loop.observer = events
        for report in loop.epochs(run / options.save_path, stop):
            events.epoch(report)
            log.say(epoch_line(report, progress), "green" if report.is_best else None)
            log.detail(epoch_details(report))
        events.finish(progress.best)
    if progress.converged:
        log.say(f"epoch {progress.epoch} found no tuple that violates the margin: there is nothing left to learn")
    log.say(f"best: epoch {progress.best_epoch}, validation R@1 {progress.best[1]:.3f}, R@5 {progress.best[0]:.3f}")
    log.say(f"next: python main.py --mode test --resume {place}")


def check_training_options(options: TrainOptions) -> None:
    """Raise :class:`UserError` for options that cannot be trained with."""
    if not is_learned(options.pooling):
        raise UserError(f"--pooling {options.pooling} has nothing to learn: test it as it is with --mode test")
    check_encoder_options(options)
    for name in ("n_epochs", "batch_size", "n_neg", "eval_every"):
        if getattr(options, name) < 1:
            raise UserError(f"{options.flags()[name].metadata['flag']} {getattr(options, name)}: must be at least 1")
    if not options.lr > 0:
        raise UserError(f"--lr {options.lr:g}: must be above 0")
    if options.margin < 0 or options.margin2 < 0:
        raise UserError("--margin and --margin2 must be 0 or more")
    if options.loss == "quadruplet" and options.n_neg < 2:
        raise UserError(f"--nNeg {options.n_neg}: the quadruplet loss needs two negatives of different places")
    if options.loss == "quadruplet" and options.margin <= options.margin2:
        raise UserError(f"--margin {options.margin:g} must be above --margin2 {options.margin2:g}")


def epoch_line(report: EpochReport, progress: Progress) -> str:
    """One compact line an epoch for the terminal."""
    loss = f"loss {report.means['loss']:.4f}" if report.samples else "no violating tuples"
    found = recalls_of(report.metrics or {})
    recalls = "".join(f"  R@{k} {found[k]:.3f}" for k in (1, 5) if k in found)
    left = report.seconds * (report.epochs - report.epoch - 1)
    mark = " *" if report.is_best else ""
    return (
        f"epoch {report.epoch + 1:>3}/{report.epochs}  {loss}{recalls}{mark}  best R@5 {progress.best[0]:.3f}  "
        f"{duration(report.seconds)}  {duration(left)} left"
    )


def epoch_details(report: EpochReport) -> str:
    """What ``--verbose`` adds to an epoch's line."""
    means = ", ".join(f"{name} {value:.4f}" for name, value in report.means.items())
    speed = report.samples / max(report.seconds, 1e-9)
    return f"    {report.samples} tuples, {speed:.0f} a second, lr {report.lr:.2e}, {means}"
