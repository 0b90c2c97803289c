"""Step: learn a sequence encoder."""

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
from opticornet.inference.runs import new_run, read_sequence_flags, write_flags
from opticornet.learning.former import upgraded
from opticornet.learning.sequences.task import SequenceSettings, SequenceTask
from opticornet.learning.sequences.tuples import MiningSettings
from opticornet.options.config import OPTIONS_TOML, write_config
from opticornet.options.loading import load_method
from opticornet.options.modes import TrainImagesOptions, TrainOptions
from opticornet.options.parsing import in_flags
from opticornet.options.plugins import remembered
from opticornet.steps.training.check import check_training_options
from opticornet.steps.training.following import follow, make_loop
from opticornet.steps.training.frozen import prepare_parts
from opticornet.steps.training.initial import InitialRun, recorded
from opticornet.steps.training.resuming import as_resumed, run_to_resume
from opticornet.utils.checkpoints import LATEST, load_checkpoint, save_checkpoint
from opticornet.utils.device import choose_device, cpu_threads, seeded
from opticornet.utils.logs import write_environment
from opticornet.utils.program import refuse_several_processes


def train(options: TrainOptions | TrainImagesOptions) -> Path:
    """Train a new run, or resume the one that ``options.resume`` names. Returns the run folder.

    With :class:`TrainImagesOptions` as :func:`opticornet.steps.train_images.train_images` does.

    Raises:
        UserError: bad options or data, or a loss that is not finite.
        Interrupted: SIGINT or SIGTERM came; the run is saved.
    """
    if isinstance(options, TrainImagesOptions):
        from opticornet.steps.train_images import train_images

        return train_images(options)
    refuse_several_processes()
    run = initial = None
    if options.resume:
        run = run_to_resume(options)
        flags = {"selectBy": "recall@5"} | read_sequence_flags(run, options.save_path)  # so were runs that do not say
        options = as_resumed(options, flags, run)
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
        loop = make_loop(options, task, options.accumulate)
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
