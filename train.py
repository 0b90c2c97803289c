"""Step: learn a sequence encoder."""

from pathlib import Path

from datasets.catalogue import load_dataset
from pipeline.scene import Scene
from pipeline.training import EpochReport, Progress, Trainer
from utils.checkpoints import LATEST, load_checkpoint
from utils.device import choose_device
from utils.encoders import check_encoder_options, filter_length, is_trainable
from utils.errors import UserError
from utils.options import TrainOptions
from utils.runs import find_run, new_run, read_flags
from utils.signals import StopRequest
from utils.tensorboard import TrainingLog

# What may differ between a run and its resumption: where things are and how fast, never what is computed.
FREE = {"data_path", "struct_path", "runs_path", "save_path", "resume", "device", "nocuda", "threads", "quiet"}


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
        options = options.restored(read_flags(run, options.save_path), shaping, str(run))
    check_training_options(options)
    device = choose_device(options.device, options.nocuda, options.threads)
    dataset = load_dataset(options.dataset, **options.source(), splits=("train", "val"))
    scenes = (
        Scene.of(dataset.name, dataset.splits[name], options.sequence_length, filter_length(options), device)
        for name in ("train", "val")
    )
    trainer = Trainer(options, *scenes)
    if run:
        trainer.restore(load_checkpoint(run / options.save_path / LATEST), str(run))
    else:
        run = new_run(options)
    progress = trainer.progress
    say = (lambda line: None) if options.quiet else print
    say(f"{run}: {trainer.describe()}")
    with TrainingLog(run, options, first_epoch=progress.epoch) as log, StopRequest() as stop:
        for report in trainer.epochs(run, stop):
            log.epoch(report)
            say(epoch_line(report, progress))
        log.finish(progress.best)
    say(f"best: epoch {progress.best_epoch}, validation R@1 {progress.best[1]:.3f}, R@5 {progress.best[0]:.3f}")
    say(f"next: python main.py --mode test --resume {run}")
    return run


def check_training_options(options: TrainOptions) -> None:
    """Raise :class:`UserError` for options that cannot be trained with."""
    if not is_trainable(options.pooling):
        raise UserError(f"--pooling {options.pooling} has nothing to learn: test it as it is with --mode test")
    check_encoder_options(options)
    for name in ("n_epochs", "batch_size", "n_neg", "eval_every"):
        if getattr(options, name) < 1:
            raise UserError(f"{options.flags()[name].metadata['flag']} {getattr(options, name)}: must be at least 1")
    if not options.lr > 0:
        raise UserError(f"--lr {options.lr:g}: must be above 0")
    if options.loss == "quadruplet" and options.n_neg < 2:
        raise UserError(f"--nNeg {options.n_neg}: the quadruplet loss needs two negatives of different places")


def epoch_line(report: EpochReport, progress: Progress) -> str:
    """One compact line an epoch for the terminal."""
    loss = f"loss {report.means['loss']:.4f}" if report.tuples else "no violating tuples"
    recalls = "".join(f"  R@{k} {report.recalls[k]:.3f}" for k in (1, 5) if report.recalls and k in report.recalls)
    left = report.seconds * (report.epochs - report.epoch - 1)
    mark = " *" if report.is_best else ""
    return (
        f"epoch {report.epoch + 1:>3}/{report.epochs}  {loss}{recalls}{mark}  best {progress.best[0]:.3f}  "
        f"{report.seconds:.1f} s  {left:.0f} s left"
    )
