"""A run from its first step to its last, reported as it goes."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from opticornet.inference.runs import SAVE_PATH
from opticornet.learning.loop import Loop, LoopSettings
from opticornet.learning.optimizers.base import trainable
from opticornet.learning.task import Batch, LearningTask
from opticornet.options.modes import TrainImagesOptions, TrainOptions
from opticornet.reports.tensorboard import TrainingLog
from opticornet.steps.training.lines import best_line, epoch_details, epoch_line, silent_line
from opticornet.utils.logs import RunLog
from opticornet.utils.program import program
from opticornet.utils.signals import StopRequest

AnyTraining = TrainOptions | TrainImagesOptions


def make_loop(options: AnyTraining, task: LearningTask[Batch], accumulate: int = 1) -> Loop[Batch]:
    """A run of the task as the options describe it, neither started nor resumed; ``accumulate`` batches to a step."""
    optimizer = options.part("optim").build(trainable(task.module), options.lr, options.weight_decay)
    schedule = options.part("schedule")
    settings = LoopSettings(
        options.n_epochs, options.eval_every, options.patience, options.amp, options.quiet, accumulate
    )

    def rate(epoch: int, steps: int) -> float:
        return schedule.rate(options.lr, epoch, options.n_epochs, steps)

    return Loop(task, optimizer, rate, settings)


def follow(loop: Loop[Any], options: AnyTraining, run: Path, notes: Sequence[str] = ()) -> None:
    """Train to the end, reporting ``notes`` and every epoch to the terminal, the run's log and TensorBoard."""
    progress, log = loop.progress, RunLog(run, quiet=options.quiet, verbose=options.verbose)
    log.say(f"{run}: {loop.task.describe()}")
    for note in notes:
        log.say(note)
    place = shlex.quote(str(run))
    if options.save_path != SAVE_PATH:
        place += f" --savePath {shlex.quote(options.save_path)}"
    stop = StopRequest(f"{program()} --mode train --resume {place}")
    with log, TrainingLog(run, options, progress.epoch, loop.task.counted) as events, stop:
        loop.observer = events
        for report in loop.epochs(run / options.save_path, stop):
            events.epoch(report)
            log.say(epoch_line(report, progress, options), "green" if report.is_best else None)
            log.detail(epoch_details(report, loop.task.counted))
        events.finish(progress.best_metrics)
    if progress.converged:
        log.say(silent_line(progress))
    log.say(best_line(progress, options))
    log.say(f"next: {program()} {_next_step(options, loop.task.module)} --resume {place}")


def _next_step(options: AnyTraining, encoder: nn.Module) -> str:
    """What a finished run is for, on the command line."""
    if isinstance(options, TrainImagesOptions):
        local = " --local" if getattr(encoder, "local_shape", None) else ""
        return f"--mode extract --dataset {shlex.quote(options.val_dataset)}{local}"
    return "--mode test"
