"""Batches of images through an image encoder."""

import os
from collections.abc import Iterator

import torch
from torch import Tensor

from opticornet.datasets.descriptor_files import Progress
from opticornet.datasets.images.batches import ImageBatch, image_batches
from opticornet.models.images.base import ImageEncoder
from opticornet.models.images.pca import Projector
from opticornet.options.modes import ExtractOptions
from opticornet.steps.extraction.job import ExtractionJob
from opticornet.utils.device import choose_device
from opticornet.utils.errors import UserError


def described_batches(job: ExtractionJob, progress: Progress) -> Iterator[tuple[ImageBatch, list[Tensor]]]:
    """Batches from where ``progress`` stands, each with its descriptors (M, D) and, if wanted, local features.

    Raises:
        UserError: an image that cannot be decoded or has another size, too little memory, NaN or infinity.
    """
    options = job.options
    device = choose_device(options.device, nocuda=False)
    encoder = job.encoder.to(device)
    project = Projector(job.projection, device) if job.projection else None
    batches = image_batches(
        job.source,
        encoder.preprocess,
        size=options.batch_size,
        start=progress.images,
        workers=decoding_workers(options.threads),
        pin_memory=device.type == "cuda",
        background=device.type == "cpu" and encoder.weights.kind != "none",
    )
    for batch in batches:
        _check_batch(batch, options, progress)
        outputs = [torch.empty(0)] * len(job.row_shapes)
        if batch.names:
            outputs = _encode(encoder, batch.images, device, options)
            if project:
                outputs[0] = project(outputs[0])
            outputs = [output.cpu() for output in outputs]
            _check_finite(outputs[0], batch.names)
        yield batch, outputs


def decoding_workers(threads: int) -> int:
    """The processes that decode images: ``threads``; 0: one per core, 8 at most; -1: none."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {0: min(8, cores), -1: 0}.get(threads, threads)


def _encode(encoder: ImageEncoder, images: Tensor, device: torch.device, options: ExtractOptions) -> list[Tensor]:
    """Descriptors (M, D) of prepared images (M, ...) and, if wanted, their local features, on the device."""
    try:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=options.amp):
            moved = images.to(device, non_blocking=True)
            return list(encoder.forward_with_local(moved)) if options.local else [encoder(moved)]
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"the device's memory is too small for {len(images)} images of {tuple(images.shape[1:])} at once: use a "
            "smaller `batch_size`"
        ) from error
    except ValueError as error:  # how an encoder refuses image sizes
        raise UserError(f"{options.desc_type}: {error}") from error


def _check_batch(batch: ImageBatch, options: ExtractOptions, progress: Progress) -> None:
    """Raise :class:`UserError` for an image that cannot be decoded, or whose size differs from those before it."""
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


def _check_finite(descriptors: Tensor, names: list[str]) -> None:
    """Raise :class:`UserError` where a descriptor (M, D) has NaN or infinity; ``names`` are those of the M images."""
    finite = descriptors.isfinite()
    if not finite.all():
        row = int((~finite).any(1).nonzero()[0])
        raise UserError(
            f"the descriptor of {names[row]} has NaN or infinity: wanted finite numbers; check the weights, and run "
            "without `amp`"
        )
