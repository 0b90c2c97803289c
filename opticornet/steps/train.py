"""Step: learn a sequence encoder."""

import shlex
from pathlib import Path

from opticornet.datasets.catalogue import load_dataset
from opticornet.evaluation.scene import Scene
from opticornet.inference.load import frames_taken
from opticornet.inference.runs import find_run, new_run, read_flags, run_name, write_flags
from opticornet.learning.training import EpochReport, Progress, Trainer
from opticornet.options.config import OPTIONS_TOML, write_config
from opticornet.options.modes import TrainOptions
from opticornet.options.plugins import load_remembered, remembered
from opticornet.reports.tensorboard import TrainingLog
from opticornet.utils.checkpoints import LATEST, load_checkpoint, save_checkpoint
from opticornet.utils.device import choose_device
from opticornet.utils.errors import UserError
from opticornet.utils.logs import RunLog, duration, write_environment
from opticornet.utils.program import program
from opticornet.utils.signals import StopRequest

# What may differ between a run and its resumption: where things are and how fast, never what is computed.
# Where nothing else is given, the run's own values hold for the first of them too.
KEPT = ("data_path", "struct_path", "device", "nocuda", "threads")
FREE = {*KEPT, "runs_path", "save_path", "resume", "quiet", "verbose", "config", "plugin"}


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
        flags = read_flags(run, options.save_path)
        load_remembered(flags.get("plugins", {}), options.plugin, str(run))
        options = options.restored(flags, shaping + kept, str(run))
    else:
        options = options.completed()
    check_training_options(options)
    device = choose_device(options.device, options.nocuda, options.threads)
    dataset = load_dataset(options.dataset, **options.source(), splits=("train", "val"))
    needs = frozenset({frames_taken(options.pooling)})
    scenes = (
        Scene.of(dataset.name, dataset.splits[name], options.sequence_length, options.filter_length, device, needs)
        for name in ("train", "val")
    )
    trainer = Trainer(options, *scenes)
    if run:
        trainer.restore(load_checkpoint(run / options.save_path / LATEST), str(run))
    else:
        trainer.start()
        run = new_run(Path(options.runs_path), run_name(options.sequence_length, options.exp_name))
        save_checkpoint(trainer.state(), run / options.save_path / LATEST)
        write_config(run / OPTIONS_TOML, options.repeatable())
        write_flags(run, options.record() | {"plugins": remembered(options.plugin)}, options.save_path)
    write_environment(run)
    progress, log = trainer.progress, RunLog(run, quiet=options.quiet, verbose=options.verbose)
    log.say(f"{run}: {trainer.describe()}")
    place = shlex.quote(str(run))
    if "save_path" in options.given:
        place += f" --savePath {shlex.quote(options.save_path)}"
    stop = StopRequest(f"{program()} --mode train --resume {place}")
    with log, TrainingLog(run, options, first_epoch=progress.epoch) as events, stop:
        trainer.observer = events
        for report in trainer.epochs(run, stop):
            events.epoch(report)
            log.say(epoch_line(report, progress), "green" if report.is_best else None)
            log.detail(epoch_details(report))
        events.finish(progress.best)
    if progress.learned:
        log.say(f"epoch {progress.epoch} found no tuple that violates the margin: there is nothing left to learn")
    log.say(f"best: epoch {progress.best_epoch}, validation R@1 {progress.best[1]:.3f}, R@5 {progress.best[0]:.3f}")
    log.say(f"next: {program()} --mode test --resume {place}")
    return run


def check_training_options(options: TrainOptions) -> None:
    """Raise :class:`UserError` for options that cannot be trained with."""
    if not options.is_learned:
        raise UserError(f"`pooling` {options.pooling} has nothing to learn: test it as it is")
    options.refuse_unused()
    options.check_names()
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
    loss = f"loss {report.means['loss']:.4f}" if report.tuples else "no violating tuples"
    recalls = "".join(f"  R@{k} {report.recalls[k]:.3f}" for k in (1, 5) if report.recalls and k in report.recalls)
    left = report.seconds * (report.epochs - report.epoch - 1)
    mark = " *" if report.is_best else ""
    return (
        f"epoch {report.epoch + 1:>3}/{report.epochs}  {loss}{recalls}{mark}  best R@5 {progress.best[0]:.3f}  "
        f"{duration(report.seconds)}  {duration(left)} left"
    )


def epoch_details(report: EpochReport) -> str:
    """What ``--verbose`` adds to an epoch's line."""
    means = ", ".join(f"{name} {value:.4f}" for name, value in report.means.items())
    speed = report.tuples / max(report.seconds, 1e-9)
    return f"    {report.tuples} tuples, {speed:.0f} a second, lr {report.lr:.2e}, {means}"
