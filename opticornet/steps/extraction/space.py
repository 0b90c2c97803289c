"""Whether the disk holds what an extraction is to write, said before anything is written."""

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np

from opticornet.steps.extraction.job import ExtractionJob
from opticornet.utils.errors import UserError


def check_space(jobs: list[ExtractionJob]) -> None:
    """Print what local features will take, where there are such.

    Raises:
        UserError: a disk has less room than all sources need.
    """
    needed: Counter[int] = Counter()
    folders: dict[int, Path] = {}
    for job in jobs:
        left = job.files.images_left()
        row_bytes = job.dims * np.dtype(job.files.identity["dtype"]).itemsize
        for path, each in ((job.files.output, row_bytes), (job.files.arrays[-1], job.local_bytes)):
            folder = _existing(path.parent)
            disk = os.stat(folder).st_dev
            needed[disk] += left * each
            folders.setdefault(disk, folder)
    if not jobs[0].options.quiet and jobs[0].local_shape:
        print(estimate(jobs))
    for disk, size in needed.items():
        free = shutil.disk_usage(folders[disk]).free
        if size > free:
            raise UserError(
                f"cannot write below {folders[disk]}: it needs {size_in_words(size)} more and the disk has "
                f"{size_in_words(free)} free; free some space, or use `half`, `pca` or fewer `local_features`"
            )


def estimate(jobs: list[ExtractionJob]) -> str:
    """What the local features of all sources take, in a line."""
    first = jobs[0]
    images, left = (
        sum(counts) for counts in zip(*((len(j.source.names), j.files.images_left()) for j in jobs), strict=True)
    )
    rows, channels = first.local_shape or (0, 0)
    folder = first.files.arrays[-1].parent
    to_come = "" if left == images else f", {size_in_words(left * first.local_bytes)} of it to come"
    free = shutil.disk_usage(_existing(folder)).free
    return (
        f"local features: {images} images x {first.local_bytes} bytes ({rows} x {channels} {first.local_dtype}) = "
        f"{size_in_words(images * first.local_bytes)}{to_come}; {size_in_words(free)} free in {folder}"
    )


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.is_dir())


def size_in_words(size: int) -> str:
    """Bytes in words."""
    if size < 1e6:
        return f"{size} bytes"
    return f"{size / 1e6:.3g} MB" if size < 1e9 else f"{size / 1e9:.3g} GB"
