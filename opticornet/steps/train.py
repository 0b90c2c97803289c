"""Step: learn a sequence encoder."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from opticornet.datasets.adapting.adaptation import AS_THEY_ARE, Adaptation, pooled_statistics
from opticornet.datasets.catalogue import load_dataset
from opticornet.datasets.descriptors.identity import Comparison, DescriptorIdentity, SplitIdentity, of_data, of_run
from opticornet.datasets.traverse import Dataset
from opticornet.evaluation.notes import notes as scene_notes
from opticornet.evaluation.scene import Scene, WindowSettings
from opticornet.inference.load import LoadedEncoder, build_encoder, check_version, frames_taken
from opticornet.inference.runs import find_run, named_checkpoint, new_run, read_flags, write_flags
from opticornet.learning.former import upgraded
from opticornet.learning.loop import Loop, LoopSettings
from opticornet.learning.optimizers.base import trainable
from opticornet.learning.sequences.task import SequenceSettings, SequenceTask
from opticornet.learning.sequences.tuples import MiningSettings
from opticornet.learning.task import Batch, LearningTask
from opticornet.options.config import OPTIONS_TOML, write_config
from opticornet.options.loading import load_method
from opticornet.options.modes import TrainOptions
from opticornet.options.parsing import in_flags
from opticornet.options.plugins import load_remembered, remembered
from opticornet.reports.tensorboard import TrainingLog
from opticornet.steps.training.check import check_training_options
from opticornet.steps.training.frozen import prepare_parts
from opticornet.steps.training.initial import InitialRun, recorded
from opticornet.steps.training.lines import best_line, epoch_details, epoch_line, silent_line
from opticornet.utils.checkpoints import LATEST, load_checkpoint, save_checkpoint
from opticornet.utils.device import choose_device, cpu_threads, seeded
from opticornet.utils.errors import UserError
from opticornet.utils.logs import RunLog, write_environment
from opticornet.utils.program import program, refuse_several_processes
from opticornet.utils.signals import StopRequest

# What may differ between a run and its resumption: where things are and how fast, never what is computed.
# Where nothing else is given, the run's own values hold for the first of them too.
KEPT = ("data_path", "struct_path", "device", "nocuda", "threads")
FREE = {*KEPT, "runs_path", "save_path", "resume", "other_descriptors", "quiet", "verbose", "config", "plugin"}


def train(options: TrainOptions) -> Path:
    """Train a new run, or resume the one that ``options.resume`` names. Returns the run folder.

    Raises:
        UserError: bad options or data, or a loss that is not finite.
        Interrupted: SIGINT or SIGTERM came; the run is saved.
    """
    refuse_several_processes()
    run = initial = None
    if options.resume:
        run = find_run(options.resume, options.runs_path, options.save_path)
        if named_checkpoint(options.resume) == "best":
            raise UserError(
                f"`resume` {options.resume}: a run continues from its {LATEST}; name that, or the run's folder"
            )
        shaping = tuple(name for name in options.flags() if name not in FREE)
        kept = tuple(name for name in KEPT if name not in options.given)
        flags = {"selectBy": "recall@5"} | read_flags(run, options.save_path)  # so were runs that do not say
        load_remembered(flags.get("plugins", {}), options.plugin, str(run))
        options = options.restored(flags, shaping + kept, str(run))
        check_version(options.part("pooling"), options.pooling, flags, str(run))
    else:
        initial = InitialRun.of(options)
        options = (initial.decide(options) if initial else options).completed()
    check_training_options(options)
    device = choose_device(options.device, options.nocuda)
    with cpu_threads(options.threads), seeded(options.seed, device):
        scene, validation = scenes = load_scenes(options, device)
        state = upgraded(load_checkpoint(run / options.save_path / LATEST)) if run else {}
        loaded = load_method(options, scene, initial.path, initial.checkpoint) if initial else None
        made = of_run(str(run), SplitIdentity.restored(state.get("descriptors"))) if run else {}
        if loaded and loaded.weights:
            made = of_run(loaded.weights.path, loaded.weights.descriptors)
        notes = check_descriptors(options, scenes, made)
        notes += [f"note: {in_flags(note, TrainOptions)}" for one in scenes for note in scene_notes(one)]
        task = make_task(options, scene, validation, loaded)
        notes += [in_flags(note, TrainOptions) for note in task.cost_notes()]
        loop = make_loop(options, task)
        if run:
            loop.restore(state, str(run))
        else:
            method = options.part("pooling")
            if method.weights_file and not initial:
                method.load_weights(task.module)
            if method.started_from and not initial:
                notes.append(f"note: {options.pooling} starts from {method.started_from}")
            loop.start()
            run = new_run(Path(options.runs_path), options.new_name())
            save_checkpoint(loop.state(), run / options.save_path / LATEST)
            write_config(run / OPTIONS_TOML, options.repeatable())
            files: dict[str, Any] = {"plugins": remembered(options.plugin), "descriptors": task.descriptors.saved()}
            if loaded and loaded.weights:
                files["initialWeights"] = recorded(loaded.weights)
            if started_from := loaded.weights.started_from if loaded and loaded.weights else method.started_from:
                files["startedFrom"] = started_from
            write_flags(run, in_numbers(options, scene).record() | files, options.save_path)
        write_environment(run)
        follow(loop, options, run, notes)
    return run


def check_descriptors(
    options: TrainOptions, scenes: tuple[Scene, Scene], trained_on: dict[str, DescriptorIdentity | None]
) -> list[str]:
    """Whether the frame descriptors of the splits, and those that weights were ``trained_on`` before, were made alike.
    Returns what the user should know.

    Raises:
        UserError: they were not, and the options do not insist.
    """
    if frames_taken(options.pooling) != "descriptors":
        return []
    found = Comparison.of(trained_on | of_data(*(scene.split for scene in scenes)))
    found.refuse_differences(options.other_descriptors)
    notes = [f"warning: frame descriptors were made differently: {difference}" for difference in found.differences]
    return notes + [f"note: {found.note()}"] * bool(found.unknown)


def load_scenes(options: TrainOptions, device: torch.device) -> tuple[Scene, Scene]:
    """The training and the validation split, cut into windows.

    Frames are adapted as the options say: in training each drive's by all of them, of validation as in a test.

    Raises:
        UserError: they cannot be trained on.
    """
    dataset = load_dataset(options.dataset, **options.source(), splits=("train", "val"))
    needs = frozenset({frames_taken(options.pooling)})
    length, filter_length, settings = options.sequence_length, options.filter_length, options.windowing()
    scene, validation = (
        Scene.of(
            *(dataset.name, dataset.splits[name], length, filter_length, device, needs),
            *(WindowSettings(**settings), adaptation),
        ).need_positives()
        for name, adaptation in adaptations(options, dataset).items()
    )
    return scene, validation


def adaptations(options: TrainOptions, dataset: Dataset) -> dict[str, Adaptation]:
    """How the frames of the training and of the validation split are adapted."""
    if options.adapt == "none" or not options.reads_descriptors:
        return dict.fromkeys(("train", "val"), AS_THEY_ARE)
    begin = pooled_statistics(dataset.splits["train"].query, options.adapt_scale)
    return {
        "train": Adaptation("traverse", options.adapt_scale),
        "val": Adaptation(options.adapt, options.adapt_scale, begin),
    }


def make_task(
    options: TrainOptions, scene: Scene, validation: Scene, initial: LoadedEncoder | None = None
) -> SequenceTask:
    """The learning task that the options describe, on a training and a validation scene; from the weights of
    ``initial``, where there is one.

    Raises:
        UserError: the encoder does not fit the windows, or the split has no negative radius.
    """
    method = options.part("pooling")
    with seeded(options.seed, torch.device("cpu")):  # weights are drawn on the CPU, whatever the device
        encoder = build_encoder(method, options.pooling, scene.in_dims(method.takes), options.sequence_length)
    if initial:
        encoder.load_state_dict(initial.encoder.state_dict())
    prepare_parts(encoder, options)
    loss = options.part("loss")
    settings = SequenceSettings(
        MiningSettings(
            options.batch_size,
            options.n_neg,
            options.n_neg_sample,
            options.cache_refresh_rate,
            options.queries_per_epoch,
            options.amp,
        ),
        references=loss.references if loss.takes == "comparisons" else 0,
        augmentation=options.part("augment"),
        seed=options.seed,
        amp=options.amp,
        select_by=options.select_by,
        start_from_data=method.starts_from_data and initial is None,
        keep_described=options.freeze_spatial,
    )
    return SequenceTask(options.pooling, encoder, loss.build(), scene, validation, settings)


def in_numbers(options: TrainOptions, scene: Scene) -> TrainOptions:
    """The options with what the method leaves to the training windows in numbers: what its weights are."""
    method = options.part("pooling")
    decided = asdict(method.decided(scene.in_dims(method.takes), options.sequence_length))
    return replace(options, chosen={**options.chosen, **decided})


def make_loop(options: TrainOptions, task: LearningTask[Batch]) -> Loop[Batch]:
    """A run of the task as the options describe it, neither started nor resumed."""
    optimizer = options.part("optim").build(trainable(task.module), options.lr, options.weight_decay)
    schedule = options.part("schedule")
    settings = LoopSettings(
        options.n_epochs, options.eval_every, options.patience, options.amp, options.quiet, options.accumulate
    )
    return Loop(task, optimizer, lambda epoch: schedule.rate(options.lr, epoch, options.n_epochs), settings)


def follow(loop: Loop[Any], options: TrainOptions, run: Path, notes: Sequence[str] = ()) -> None:
    """Train to the end, reporting ``notes`` and every epoch to the terminal, the run's log and TensorBoard."""
    progress, log = loop.progress, RunLog(run, quiet=options.quiet, verbose=options.verbose)
    log.say(f"{run}: {loop.task.describe()}")
    for note in notes:
        log.say(note)
    place = shlex.quote(str(run))
    if "save_path" in options.given:
        place += f" --savePath {shlex.quote(options.save_path)}"
    stop = StopRequest(f"{program()} --mode train --resume {place}")
    with log, TrainingLog(run, options, first_epoch=progress.epoch) as events, stop:
        loop.observer = events
        for report in loop.epochs(run / options.save_path, stop):
            events.epoch(report)
            log.say(epoch_line(report, progress, options), "green" if report.is_best else None)
            log.detail(epoch_details(report))
        events.finish(progress.best_metrics)
    if progress.converged:
        log.say(silent_line(progress))
    log.say(best_line(progress, options))
    log.say(f"next: {program()} --mode test --resume {place}")
