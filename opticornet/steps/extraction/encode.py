"""Batches of images through an image encoder."""

import os
from collections.abc import Iterator

import torch
from torch import Tensor

from opticornet.datasets.descriptors.files import Progress
from opticornet.datasets.images.batches import NO_CONTRAST, ImageBatch, UnusableImage, image_batches
from opticornet.models.images.pca import Projector
from opticornet.steps.extraction.job import ExtractionJob
from opticornet.utils.device import choose_device
from opticornet.utils.errors import UserError


def described_batches(job: ExtractionJob, progress: Progress) -> Iterator[tuple[ImageBatch, list[Tensor]]]:
    """Batches from where ``progress`` stands, each with its descriptors (B, D) and, if wanted, local features.

    The rows of images that cannot be used are zeros.

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
        _check_batch(batch, job, progress)
        outputs = [torch.zeros(batch.stop - batch.start, *shape) for shape in job.row_shapes]
        if batch.rows:
            encoded = _encode(job, batch.images, device)
            for rows in encoded:
                _check_finite(rows.flatten(1), batch.rows, job)
            flat = _mark_zeros(encoded[0], batch, job)
            if project:
                encoded[0] = project(encoded[0])
            places = torch.tensor(batch.rows) - batch.start
            for output, rows in zip(outputs, encoded, strict=True):
                output[places] = rows.cpu().float()
                output[places[flat]] = 0
        yield batch, outputs


def decoding_workers(threads: int) -> int:
    """The processes that decode images: ``threads``; 0: one per core, 8 at most; -1: none."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {0: min(8, cores), -1: 0}.get(threads, threads)


def _encode(job: ExtractionJob, images: Tensor, device: torch.device) -> list[Tensor]:
    """Descriptors (M, D) of prepared images (M, ...) and, if wanted, their local features (M, R, C), the most reliable
    first, on the device."""
    encoder, options, shape = job.encoder, job.options, job.local_shape
    try:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=options.amp):
            moved = images.to(device, non_blocking=True)
            return [encoder(moved)] if shape is None else list(encoder.local_by_reliability(moved, shape[0]))
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"the device's memory is too small for {len(images)} images of {tuple(images.shape[1:])} at once: use a "
            "smaller `batch_size`"
        ) from error
    except ValueError as error:  # how an encoder refuses image sizes
        raise UserError(f"{options.desc_type}: {error}") from error


def _check_batch(batch: ImageBatch, job: ExtractionJob, progress: Progress) -> None:
    """Raise :class:`UserError` for an image that cannot be decoded, or whose size differs from those before it."""
    options = job.options
    damaged = next((image for image in batch.unusable if image.is_damaged), None)
    if damaged and not options.skip_bad_images:
        raise UserError(
            f"cannot decode the image {damaged.name}: {damaged.reason}; repair it, or go on without such images with "
            "`skip_bad_images`"
        )
    odd = batch.odd
    if batch.shape is not None:
        progress.shape = progress.shape or list(batch.shape)
        if list(batch.shape) != progress.shape:
            odd = job.source.names[batch.decoded[0]]
    if odd:
        assert progress.shape is not None  # an image of another shape came before this one
        size = " x ".join(map(str, progress.shape[-2:]))
        raise UserError(
            f"the image {odd} is not {size} pixels as those before it, and {options.desc_type} needs one "
            "size: choose it with `image_size`"
        )


def _check_finite(descriptors: Tensor, rows: list[int], job: ExtractionJob) -> None:
    """Raise :class:`UserError` where a descriptor (M, D), or local features as (M, R * C), have NaN or infinity; the M
    images are ``rows`` of the source.

    None of them is flat: the encoder is at fault.
    """
    finite = descriptors.isfinite()
    if not finite.all():
        name = job.source.names[rows[int((~finite).any(1).nonzero()[0])]]
        raise UserError(
            f"the descriptor of {name} has NaN or infinity: wanted finite numbers; check the weights, and run "
            "without `amp`"
        )


def _mark_zeros(descriptors: Tensor, batch: ImageBatch, job: ExtractionJob) -> Tensor:
    """Count images in which the encoder sees nothing as without contrast; (M,) bool, which of the batch's they are."""
    zero = ~descriptors.any(1).cpu()
    for row in (batch.rows[i] for i in zero.nonzero()[:, 0].tolist()):
        batch.unusable.append(UnusableImage(row, job.source.names[row], NO_CONTRAST))
    batch.unusable.sort(key=lambda image: image.row)
    return zero
