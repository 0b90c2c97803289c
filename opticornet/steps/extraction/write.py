"""The descriptors of one source to its files, from where an earlier run stopped."""

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from opticornet.datasets.descriptors.files import DescriptorFiles, Progress, unfinished_path
from opticornet.datasets.images.batches import NO_CONTRAST, ImageBatch
from opticornet.options.modes import ExtractOptions
from opticornet.steps.extraction.encode import described_batches
from opticornet.steps.extraction.job import ExtractionJob
from opticornet.steps.extraction.local_rows import LocalWriter
from opticornet.utils.errors import UserError
from opticornet.utils.rows import RowWriter
from opticornet.utils.signals import Interrupted, StopRequest
from opticornet.utils.versions import versions

SAVE_EVERY_S = 5.0


def write_descriptors(job: ExtractionJob, stop: StopRequest) -> Path:
    """Describe every image of a source that is not described yet. Returns the path of the finished descriptors.

    Where images were appended to a source since, finished rows are kept and the new ones follow them.

    Raises:
        UserError: bad images, an output that holds something else, a full disk.
        Interrupted: the user stopped it; what was done is saved.
    """
    options, source, files = job.options, job.source, job.files
    identity = files.identity
    if files.is_finished():
        _say(options, f"{files.output} is finished: nothing to do")
        return files.output
    progress = files.read_progress()
    if progress.images < len(source.names):
        progress.keep(progress.images - progress.images % options.batch_size)  # batches as if all were new
        _write_rows(job, files, progress, stop)
    if len(progress.unusable) == progress.images:
        first = progress.unusable[0]
        raise UserError(
            f"none of the {progress.images} images of {options.images} can be used, first "
            f"{first['name']}: {first['reason']}"
        )
    files.publish(
        {
            "rows": progress.images,
            "source": os.path.abspath(options.images),
            "unusable": progress.unusable,
            "shape": progress.shape,
            "versions": versions("torch", "torchvision", "timm", "numpy", "PIL", "cv2", "sklearn"),
            "names": list(source.names),
        },
        usable=progress.usable,
    )
    shape = f"{progress.images} x {identity['dims']} {identity['dtype']}"
    _say(options, f"{files.output}: {shape}{_in_words(progress.unusable)}")
    return files.output


def _in_words(unusable: list[dict[str, Any]]) -> str:
    flat = sum(image["reason"] == NO_CONTRAST for image in unusable)
    counts = {"damaged": len(unusable) - flat, "without contrast": flat}
    parts = [f"{count} {what}" for what, count in counts.items() if count]
    return f"; {' and '.join(parts)}, marked as not usable" if parts else ""


def _write_rows(job: ExtractionJob, files: DescriptorFiles, progress: Progress, stop: StopRequest) -> None:
    """Append the rows still missing to the unfinished files. Progress is saved every few seconds and at the end."""
    total = len(job.source.names)
    unfinished = UnfinishedRows(job, files, progress)
    unfinished.save()  # from here on the unfinished files say what they are
    hidden = True if job.options.quiet else None
    bar = tqdm(total=total, initial=progress.images, unit=" images", disable=hidden, smoothing=0.05)
    try:
        for batch, outputs in described_batches(job, progress):
            unfinished.append(batch, outputs)
            bar.update(progress.images - bar.n)
            if stop.signum is not None:
                break
            if time.monotonic() - unfinished.saved_at >= SAVE_EVERY_S:
                unfinished.save()
    except UserError:
        if stop.signum is None:  # otherwise the signal reached the decoding workers too
            raise
    finally:
        bar.close()
        unfinished.save()
        unfinished.close()
    if stop.signum is not None and progress.images < total:
        raise Interrupted(f"stopped after {progress.images} of {total} images; the same command continues", stop.signum)


class UnfinishedRows:
    """The arrays of an extraction while they grow, and the progress that says how many of their rows are certain."""

    def __init__(self, job: ExtractionJob, files: DescriptorFiles, progress: Progress) -> None:
        self.files, self.progress = files, progress
        self.saved_at = 0.0
        kept, dtype = progress.images, files.identity["dtype"]
        self.writers: list[RowWriter | LocalWriter] = [
            RowWriter(unfinished_path(files.output), (job.dims,), dtype, kept)
        ]
        if files.local and job.local_shape:
            reopened = not unfinished_path(files.record).exists()
            self.writers.append(LocalWriter(files.local, job.local_shape, job.local_dtype, kept, reopened))

    def append(self, batch: ImageBatch, outputs: list[Tensor]) -> None:
        """Append a batch's rows (B, ...) to each of the arrays."""
        for writer, rows in zip(self.writers, outputs, strict=True):
            writer.append(rows.numpy())
        self.progress.images = batch.stop
        self.progress.unusable += [asdict(image) for image in batch.unusable]

    def save(self) -> None:
        """Bring rows and then progress to the disk."""
        for writer in self.writers:
            writer.sync()
        self.files.save_progress(self.progress)
        self.saved_at = time.monotonic()

    def close(self) -> None:
        """Close the arrays."""
        for writer in self.writers:
            writer.close()


def _say(options: ExtractOptions, line: str) -> None:
    if not options.quiet:
        print(line)
