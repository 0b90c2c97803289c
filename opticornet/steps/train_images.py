"""Step: learn an image encoder from labelled places."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from opticornet.datasets.catalogue import load_dataset
from opticornet.datasets.folder.toml import TOML_NAME, read_toml
from opticornet.datasets.images.frames import CACHE_BYTES, MAX_THREADS, ImageFrames
from opticornet.datasets.images.kept import most_scratch_bytes
from opticornet.datasets.images.levels import with_levels
from opticornet.datasets.images.sources import ImageFiles
from opticornet.datasets.places.opening import check_place_images, open_places
from opticornet.datasets.places.place_set import PlaceSet
from opticornet.evaluation.notes import notes as scene_notes
from opticornet.evaluation.scene import Scene
from opticornet.inference.runs import new_run, read_flags, write_flags
from opticornet.learning.images.loss import check_terms, weighted_terms
from opticornet.learning.images.sampling import PlaceSampler
from opticornet.learning.images.task import ImageSettings, PlaceTask
from opticornet.learning.images.teacher import Teacher
from opticornet.learning.images.validating import ImageValidation
from opticornet.models.images.base import ImageEncoderOptions, Preprocess
from opticornet.models.images.trainable import TrainableImageEncoder
from opticornet.options.config import OPTIONS_TOML, write_config
from opticornet.options.modes import TrainImagesOptions
from opticornet.options.parsing import in_flags
from opticornet.options.plugins import remembered
from opticornet.steps.training.check_images import check_encoder, check_image_options
from opticornet.steps.training.encoder import build_trainable, start_weights
from opticornet.steps.training.following import follow, make_loop
from opticornet.steps.training.resuming import as_resumed, run_to_resume
from opticornet.steps.training.teaching import TeacherRun
from opticornet.utils.checkpoints import LATEST, load_checkpoint, save_checkpoint
from opticornet.utils.device import choose_device, cpu_threads, seeded
from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra
from opticornet.utils.logs import write_environment
from opticornet.utils.program import refuse_several_processes


def train_images(options: TrainImagesOptions) -> Path:
    """Train a new run, or resume the one that ``options.resume`` names. Returns the run folder.

    Raises:
        UserError: bad options or data, or a loss that is not finite.
        Interrupted: SIGINT or SIGTERM came; the run is saved.
    """
    refuse_several_processes()
    run = None
    if options.resume:
        run = run_to_resume(options)
        options = as_resumed(options, read_flags(run, options.save_path), run)
    check_encoder(options)
    options = completed(options)
    check_image_options(options)
    with needs_extra("images"):
        import cv2  # noqa: F401 - a missing library is reported before any work is done
        import PIL  # noqa: F401
    device = choose_device(options.device, options.nocuda)
    with cpu_threads(options.threads), seeded(options.seed, device):
        state = load_checkpoint(run / options.save_path / LATEST) if run else {}
        teacher = TeacherRun.of(options, device)
        options = replace(options, teacher=teacher.named) if teacher else options
        encoder = build_trainable(options)
        weights = None if run else start_weights(options, encoder, teacher)
        if teacher and run:
            teacher.check_resumed(read_flags(run, options.save_path).get("teacherRun", {}), str(run))
        taught = teach(options, encoder, teacher) if teacher else None
        task = make_task(options, encoder.to(device), device, taught)
        if teacher:
            teacher.check_images(task.images.windows(torch.arange(2), 1)[:, 0])
        places, scene = task.sampler.places, task.validation.scene
        notes = [*places.notes, *task.sampler.notes, *scene_notes(scene), *(teacher.notes() if teacher else ())]
        notes = [f"note: {in_flags(note, TrainImagesOptions)}" for note in notes]
        notes += [in_flags(note, TrainImagesOptions) for note in task.cost_notes()]
        loop = make_loop(options, task)
        if run:
            loop.restore(state, str(run))
        else:
            loop.start()
            run = new_run(Path(options.runs_path), options.new_name())
            save_checkpoint(loop.state(), run / options.save_path / LATEST)
            write_config(run / OPTIONS_TOML, options.repeatable())
            files: dict[str, Any] = {"plugins": remembered(options.plugin), "startedFrom": weights}
            files |= {"teacherRun": teacher.record()} if teacher else {}
            write_flags(run, options.record() | files, options.save_path)
        write_environment(run)
        follow(loop, options, run, notes)
    return run


def completed(options: TrainImagesOptions) -> TrainImagesOptions:
    """With what the encoder's authors chose, where nothing else is given."""
    published: ImageEncoderOptions = options.part("desc_type")
    terms = options.loss_terms or published.terms
    blocks = published.trained_blocks if options.train_blocks is None else options.train_blocks
    written = tuple(map(str, weighted_terms(terms, partial(options.part, "loss_terms"))))
    return replace(options, loss_terms=written, train_blocks=blocks, val_dataset=options.val_dataset or options.dataset)


def teach(options: TrainImagesOptions, encoder: TrainableImageEncoder, run: TeacherRun) -> Teacher:
    """What gives the targets of a batch, once the encoder has taken over what it shares with it.

    Raises:
        UserError: the two do not go together.
    """
    shares_frozen = run.teach(encoder, options.desc_type, options.teacher_context)
    return Teacher(run.encoder, shares_frozen=shares_frozen, images_at_once=options.images_at_once, amp=options.amp)


def make_task(
    options: TrainImagesOptions, encoder: TrainableImageEncoder, device: torch.device, teacher: Teacher | None
) -> PlaceTask:
    """The learning task that the options describe.

    Raises:
        UserError: there are no places or no validation split, or what the options choose does not go together.
    """
    places = open_places(options.dataset)
    sampler = PlaceSampler(
        places,
        options.places_per_batch,
        options.images_per_place,
        options.place_order,
        options.place_images,
        options.seed,
    )
    check_place_images(places)
    augmentation = options.part("augment")
    images = training_images(options, places, encoder, device)
    terms = weighted_terms(options.loss_terms, partial(options.part, "loss_terms"))
    settings = ImageSettings(options.images_at_once, augmentation.alteration(), options.amp, options.seed)
    validation = ImageValidation(validation_scene(options, device), encoder, options.select_by, options.amp)
    try:
        validation.check_images()
    except ValueError as error:  # how encoders refuse image sizes
        raise UserError(f"{options.desc_type}: {error}; choose another `image_size`") from error
    task = PlaceTask(options.desc_type, encoder, terms, images, sampler, validation, settings, teacher)
    try:
        described = task.of_two_images()
    except ValueError as error:
        raise UserError(f"{options.desc_type}: {error}; choose another `train_size`") from error
    check_terms(terms, options.desc_type, described, teacher is not None)
    return task


def training_images(
    options: TrainImagesOptions, places: PlaceSet, encoder: TrainableImageEncoder, device: torch.device
) -> ImageFrames:
    """The images of a place set as training takes them: resized with antialiasing, and normalised unless the options
    say otherwise.

    Raises:
        UserError: the encoder prepares images in a way of its own, and the options want another.
    """
    prepare = encoder.preprocess
    if not isinstance(prepare, Preprocess):
        raise UserError(f"`desc_type` {options.desc_type} prepares images in a way of its own; it cannot be trained")
    size = (options.train_size[0], options.train_size[1]) if options.train_size else prepare.size
    prepare = replace(prepare, size=size, antialias=True)
    if options.no_normalise:
        prepare = replace(prepare, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    source = with_levels(ImageFiles(Path(), places.images))
    threads = min(MAX_THREADS, torch.get_num_threads())
    kept = max(CACHE_BYTES, most_scratch_bytes() // 2)  # what is frozen of images may be kept beside these
    return ImageFrames(source, prepare, device, cache_bytes=kept, threads=threads)


def validation_scene(options: TrainImagesOptions, device: torch.device) -> Scene:
    """The images of the validation split.

    Raises:
        UserError: there is no such split, or nothing can be found in it.
    """
    folder = Path(options.val_dataset)
    there = read_toml(folder).splits
    if "val" not in there:
        found = f"it has the splits {', '.join(there)}" if there else "it has no splits"
        raise UserError(
            f"{folder / TOML_NAME}: no split val, whose images decide which weights are best; {found}: add one, or "
            "name another folder with `val_dataset`"
        )
    dataset = load_dataset(str(folder), splits=("val",))
    return Scene.of(dataset.name, dataset.splits["val"], 1, 0, device, frozenset({"images"})).need_positives()
