"""Step: images to frame descriptors."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opticornet.options.modes import ExtractOptions
from opticornet.utils.errors import UserError
from opticornet.utils.extras import needs_extra
from opticornet.utils.versions import versions

if TYPE_CHECKING:
    from torch import Tensor

    from opticornet.datasets.descriptor_files import DescriptorFiles, Progress
    from opticornet.datasets.images.batches import ImageBatch
    from opticornet.datasets.images.sources import ImageSource
    from opticornet.models.images.base import ImageEncoder
    from opticornet.models.images.pca import Projection
    from opticornet.utils.signals import StopRequest

SAVE_EVERY_S = 5.0


def extract(options: ExtractOptions) -> Path:
    """Describe every image of a source by a row of a ``.npy``.

    A run that is killed continues where it stopped when called again, and then writes the same bytes; finished
    work is skipped.

    Returns:
        Path of the descriptors, (N, D) float32 or float16, rows in the source's order; the ``.json`` beside them
        names the images, the encoder, its weights and how images were prepared. With ``dataset``, the folder.

    Raises:
        UserError: options that contradict one another, bad images, missing weights, an output that holds something
            else, a full disk.
        Interrupted: the user stopped it; what was done is saved.
    """
    from opticornet.models.images.build import build_from_options
    from opticornet.utils.signals import StopRequest

    _check(options)
    with needs_extra("images"):
        import cv2  # noqa: F401 - of what every extraction needs, missing is said before any work is done
        import PIL  # noqa: F401
    traverses = _traverses(options) if options.dataset else [options]
    for traverse in traverses:
        if Path(traverse.output).is_dir():
            raise UserError(f"cannot write {traverse.output}: a folder of that name exists; choose another path")
    sources = [_source(traverse) for traverse in traverses]
    encoder = build_from_options(options.desc_type, options.part("desc_type"), options.weights)
    if options.local and encoder.local_shape is None:
        raise UserError(f"`local`: {options.desc_type} has no local features; fol has")
    if encoder.weights.kind == "random":
        print(
            f"{options.desc_type}: weights are random, its descriptors tell nothing about trained ones", file=sys.stderr
        )
    base = Path(options.dataset, "descriptors.npy") if options.dataset else Path(options.output)
    with StopRequest() as stop:
        projection = _projection(options, base, encoder, stop)
        for traverse, source in zip(traverses, sources, strict=True):
            _extract(traverse, source, encoder, projection, stop)
    return Path(options.dataset or options.output)


def _check(options: ExtractOptions) -> None:
    if not options.desc_type:
        raise UserError("`desc_type` is missing: extract needs to know the image encoder, for example hog")
    if options.dataset and (options.images or options.output):
        raise UserError("`dataset` says what to read and where to write: leave out `images` and `output`")
    if not options.dataset and not (options.images and options.output):
        raise UserError("extract needs `images` and `output`, or `dataset`")
    if not options.dataset and not options.output.endswith(".npy"):
        raise UserError(f"`output` {options.output}: wanted a file name ending in .npy")
    if options.dataset and options.skip_bad_images:
        raise UserError(
            "`skip_bad_images` would leave rows that do not match the dataset's frame tables: take such "
            "images out of the source and prepare it again"
        )
    options.refuse_unused()
    if options.batch_size < 1 or options.threads < -1 or options.pca < 0 or options.fps < 0:
        raise UserError("`threads` must be -1 or more")
    if options.pca and options.pca_file:
        raise UserError("`pca` fits a projection and `pca_file` reuses one: give one of them")
    if bool(options.pca) != bool(options.pca_from):
        raise UserError("`pca` and `pca_from` go together: how many components, and what to fit them on")
    if options.whiten and not options.pca:
        raise UserError("`whiten` belongs to `pca`; a `pca_file` whitens if it was fitted so")


def _traverses(options: ExtractOptions) -> list[ExtractOptions]:
    """The options for each traverse of a dataset folder: prepared, or one that names its images."""
    from opticornet.datasets.folder.reading import inside_folder, names_images, read_toml

    folder = Path(options.dataset)
    runs = []
    for name, traverse in read_toml(folder).traverses.items():
        if traverse.descriptors is None:
            raise UserError(
                f"traverse {name} of {folder} names no descriptors to write: give it a key descriptors in dataset.toml"
            )
        output = inside_folder(folder, traverse.descriptors)
        images = output.with_suffix(".txt")
        if not images.is_file() and names_images(folder, traverse):
            images = folder / (traverse.images or traverse.frames or "")
        elif output.suffix != ".npy" or not images.is_file():
            raise UserError(
                f"traverse {name} of {folder} has no image list {images.name}: prepare the folder with "
                "the prepare step, or give `images` and `output`"
            )
        if output.suffix != ".npy":
            raise UserError(f"{output}: wanted descriptors that end in .npy; change them in dataset.toml")
        runs.append(replace(options, images=str(images), output=str(output)))
    return runs


def _source(options: ExtractOptions) -> "ImageSource":
    """The images to describe: ``images``, or those that a dataset folder lists or names in a frame table."""
    from opticornet.datasets.folder.reading import table_images
    from opticornet.datasets.images.sources import open_images

    path = Path(options.images)
    if options.dataset and path.is_file() and path.suffix != ".txt":
        if options.fps:
            raise UserError(f"`fps` is for videos and {path} names images: leave it out")
        return table_images(Path(options.dataset), path, options.bayer)
    return open_images(path, options.fps or None, options.bayer)


def _extract(
    options: ExtractOptions,
    source: "ImageSource",
    encoder: "ImageEncoder",
    projection: "Projection | None",
    stop: "StopRequest",
) -> Path:
    from opticornet.datasets.descriptor_files import DescriptorFiles

    identity = _identity(options, encoder, projection, source)
    files = DescriptorFiles(Path(options.output), identity, options.overwrite, options.local)
    if files.is_finished():
        _say(options, f"{files.output} is finished: nothing to do")
        return files.output
    progress = files.read_progress()
    if progress.images < len(source.names):
        _write_rows(options, encoder, projection, source, files, progress, stop)
    skipped = {image["name"] for image in progress.skipped}
    if progress.rows == 0:
        first = progress.skipped[0]
        raise UserError(
            f"none of the {len(skipped)} images of {options.images} can be decoded, first "
            f"{first['name']}: {first['reason']}"
        )
    files.publish(
        {
            "rows": progress.rows,
            "source": options.images,
            "skipped": progress.skipped,
            "versions": versions("torch", "torchvision", "timm", "numpy", "PIL", "cv2", "sklearn"),
            "names": [name for name in source.names if name not in skipped],
        },
        standardised=options.standardise == "traverse",
    )
    left_out = f", {len(skipped)} images left out" if skipped else ""
    _say(options, f"{files.output}: {progress.rows} x {identity['dims']} {identity['dtype']}{left_out}")
    return files.output


def _identity(
    options: ExtractOptions, encoder: "ImageEncoder", projection: "Projection | None", source: "ImageSource"
) -> dict[str, Any]:
    """Everything a descriptor depends on, in JSON's types: two runs that agree in it write the same rows."""
    own = vars(options.part("desc_type"))
    more = {name: value for name, value in own.items() if name not in ("pool", "image_size")}
    return {
        "encoder": options.desc_type,
        "pool": own.get("pool"),
        **({"options": more} if more else {}),
        "weights": asdict(encoder.weights),
        "preprocess": {"kind": type(encoder.preprocess).__name__}
        | {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(encoder.preprocess).items()
        },
        "projection": projection
        and {"dims": len(projection.components), "whiten": projection.whiten, "fitted_on": projection.fitted_on},
        "standardise": options.standardise,
        "dims": len(projection.components) if projection else encoder.out_dims,
        "dtype": "float16" if options.half else "float32",
        "amp": options.amp,
        "local_shape": list(encoder.local_shape) if options.local and encoder.local_shape else None,
        "images": {
            "count": len(source.names),
            "fps": options.fps or None,
            "bayer": options.bayer or None,
            "sha256": source.digest,
        },
    }


def _write_rows(
    options: ExtractOptions,
    encoder: "ImageEncoder",
    projection: "Projection | None",
    source: "ImageSource",
    files: "DescriptorFiles",
    progress: "Progress",
    stop: "StopRequest",
) -> None:
    """Append the rows still missing to the unfinished files. Progress is saved every few seconds and at the end."""
    from tqdm import tqdm

    from opticornet.datasets.descriptor_files import unfinished_path
    from opticornet.utils.rows import RowWriter
    from opticornet.utils.signals import Interrupted

    total = len(source.names)
    shapes: list[tuple[int, ...]] = [(files.identity["dims"],)]
    if files.with_local and encoder.local_shape is not None:
        shapes.append(encoder.local_shape)
    writers = [
        RowWriter(unfinished_path(path), shape, files.identity["dtype"], progress.rows)
        for path, shape in zip(files.arrays, shapes, strict=True)
    ]
    needed = sum(writer.row_bytes for writer in writers) * (total - progress.images)
    if options.standardise == "traverse":  # writes the descriptors once more, beside the plain ones
        needed += writers[0].row_bytes * total
    _check_space(files.output, needed)

    def save() -> None:
        for writer in writers:
            writer.sync()
        files.save_progress(progress)

    save()  # from here on the unfinished files say what they are
    saved_at = time.monotonic()
    bar = tqdm(
        total=total, initial=progress.images, unit=" images", disable=True if options.quiet else None, smoothing=0.05
    )
    try:
        for batch, outputs in _described(options, encoder, projection, source, progress):
            for writer, rows in zip(writers, outputs, strict=True):
                writer.append(rows.numpy())
            progress.images = batch.stop
            progress.rows += len(batch.names)
            progress.skipped += [asdict(bad) for bad in batch.bad]
            bar.update(progress.images - bar.n)
            if stop.signum is not None:
                break
            if time.monotonic() - saved_at >= SAVE_EVERY_S:
                save()
                saved_at = time.monotonic()
    except UserError:
        if stop.signum is None:  # otherwise the signal reached the decoding workers too
            raise
    finally:
        bar.close()
        save()
        for writer in writers:
            writer.close()
    if stop.signum is not None and progress.images < total:
        raise Interrupted(f"stopped after {progress.images} of {total} images; the same command continues", stop.signum)


def _described(
    options: ExtractOptions,
    encoder: "ImageEncoder",
    projection: "Projection | None",
    source: "ImageSource",
    progress: "Progress",
) -> Iterator[tuple["ImageBatch", list["Tensor"]]]:
    """Batches from where ``progress`` stands, each with its descriptors (M, D) and, if wanted, local features."""
    import torch

    from opticornet.datasets.images.batches import image_batches
    from opticornet.models.images.pca import Projector
    from opticornet.utils.device import choose_device

    device = choose_device(options.device, nocuda=False)
    encoder = encoder.to(device)
    project = Projector(projection, device) if projection else None
    batches = image_batches(
        source,
        encoder.preprocess,
        size=options.batch_size,
        start=progress.images,
        workers=_workers(options.threads),
        pin_memory=device.type == "cuda",
        background=device.type == "cpu" and encoder.weights.kind != "none",
    )
    for batch in batches:
        _check_batch(batch, options, progress)
        outputs: list[Tensor] = [torch.empty(0)] * (2 if options.local else 1)
        if batch.names:
            try:
                with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=options.amp):
                    images = batch.images.to(device, non_blocking=True)
                    outputs = list(encoder.forward_with_local(images)) if options.local else [encoder(images)]
            except torch.OutOfMemoryError as error:
                raise UserError(
                    f"the device's memory is too small for {len(batch.images)} images of "
                    f"{tuple(batch.images.shape[1:])} at once: use a smaller `batch_size`"
                ) from error
            except ValueError as error:  # an encoder's word on image sizes it cannot take
                raise UserError(f"{options.desc_type}: {error}") from error
            if project:
                outputs[0] = project(outputs[0])
            outputs = [output.cpu() for output in outputs]
            if not outputs[0].isfinite().all():
                row = int((~outputs[0].isfinite()).any(1).nonzero()[0])
                raise UserError(
                    f"the descriptor of {batch.names[row]} has NaN or infinity: wanted finite numbers; "
                    "check the weights, and run without `amp`"
                )
        yield batch, outputs


def _check_batch(batch: "ImageBatch", options: ExtractOptions, progress: "Progress") -> None:
    if batch.bad and not options.skip_bad_images:
        bad = batch.bad[0]
        advice = (
            "repair it, or take it out of the source and prepare again"
            if options.dataset
            else "repair or remove it, or leave such images out with `skip_bad_images`"
        )
        raise UserError(f"cannot decode the image {bad.name}: {bad.reason}; {advice}")
    shape = list(batch.images.shape[1:])
    if batch.names and progress.shape is None:
        progress.shape = shape
    odd = batch.names[0] if batch.names and shape != progress.shape else batch.odd
    if odd:
        assert progress.shape is not None  # an image of another shape came before this one
        size = " x ".join(map(str, progress.shape[-2:]))
        raise UserError(
            f"the image {odd} is not {size} pixels as those before it, and {options.desc_type} needs one "
            "size: choose it with `image_size`"
        )


def _projection(
    options: ExtractOptions, base: Path, encoder: "ImageEncoder", stop: "StopRequest"
) -> "Projection | None":
    """The projection to use: none, that of ``pca_file``, or one fitted here (or by this run before it was killed).

    What is fitted here is stored beside ``base``, under its name.
    """
    from opticornet.datasets.arrays import open_descriptors
    from opticornet.datasets.images.sources import open_images
    from opticornet.models.images.pca import Projection, check_dims, fit_projection
    from opticornet.utils.checkpoints import sha256

    if options.pca_file:
        return _fitting(Projection.load(Path(options.pca_file)), options.pca_file, encoder)
    if not options.pca:
        return None
    training = Path(options.pca_from)
    if training.suffix != ".npy":
        source = open_images(training, bayer=options.bayer)
        check_dims(options.pca, len(source.names), encoder.out_dims)  # before all of them are described
        training = base.with_name(f"{base.stem}.pca-train.npy")
        _extract(
            replace(
                options,
                images=options.pca_from,
                output=str(training),
                pca=0,
                pca_from="",
                whiten=False,
                half=False,
                local=False,
                standardise="none",
                fps=0.0,
            ),
            source,
            encoder,
            None,
            stop,
        )
    elif not training.is_file():
        raise UserError(f"no descriptors at {training}: give `pca_from` images or a .npy that exists")
    fitted_on = f"sha256 {sha256(training)}"
    path = base.with_suffix(".pca.npz")
    if path.exists() and not options.overwrite:
        stored = Projection.load(path)
        if (len(stored.components), stored.whiten, stored.fitted_on) != (options.pca, options.whiten, fitted_on):
            raise UserError(
                f"{path} holds another projection: reuse it with `pca_file`, choose another `output`, or "
                "give `overwrite` to replace it"
            )
        return _fitting(stored, path, encoder)
    descriptors = open_descriptors(training)
    if descriptors.shape[1] != encoder.out_dims:
        raise UserError(
            f"{training} holds {descriptors.shape}: wanted (N, {encoder.out_dims}) to project what "
            f"{options.desc_type} gives"
        )
    projection = fit_projection(descriptors, options.pca, whiten=options.whiten, fitted_on=fitted_on)
    projection.save(path)
    return projection


def _fitting(projection: "Projection", path: str | Path, encoder: "ImageEncoder") -> "Projection":
    if len(projection.mean) != encoder.out_dims:
        raise UserError(
            f"{path} projects {len(projection.mean)} dimensions, the encoder gives {encoder.out_dims}: use "
            "one that was fitted on this encoder"
        )
    return projection


def _check_space(output: Path, needed: int) -> None:
    free = shutil.disk_usage(output.parent).free
    if needed > free:
        raise UserError(
            f"cannot write {output}: it needs {needed / 1e9:.1f} GB more and the disk has "
            f"{free / 1e9:.1f} GB free; free some space, or use `half` or `pca`"
        )


def _workers(threads: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {0: min(8, cores), -1: 0}.get(threads, threads)


def _say(options: ExtractOptions, line: str) -> None:
    if not options.quiet:
        print(line)
