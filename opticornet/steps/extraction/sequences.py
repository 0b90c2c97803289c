"""Sequence descriptors of a dataset's windows, as a dataset folder of their own."""

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from opticornet.datasets.catalogue import split_names
from opticornet.datasets.descriptors.arrays import open_descriptors
from opticornet.datasets.descriptors.files import DescriptorFiles, unfinished_path
from opticornet.datasets.descriptors.identity import DescriptorIdentity
from opticornet.datasets.drives import join_drives
from opticornet.datasets.folder.tables import run_bounds
from opticornet.datasets.folder.toml import ROLES, TOML_NAME
from opticornet.datasets.folder.writing import describe_dataset, side_names
from opticornet.datasets.images.digest import digest_of, fingerprint
from opticornet.datasets.images.sources import ImageFiles
from opticornet.datasets.split_names import chosen_splits
from opticornet.datasets.traverse import Dataset, Split, Traverse
from opticornet.datasets.windows import Windows
from opticornet.evaluation.scene import Scene
from opticornet.evaluation.scoring import adaptation_record
from opticornet.inference.encode import encode, frames_of
from opticornet.inference.load import LoadedEncoder
from opticornet.options.extract_sequences import ExtractSequencesOptions
from opticornet.options.test import TestOptions
from opticornet.steps.testing.check import check_test_options
from opticornet.steps.testing.runs import Runs, check_descriptors, find_runs, load_searched, resolve
from opticornet.steps.testing.scenes import open_scenes
from opticornet.utils.device import cpu_threads
from opticornet.utils.errors import UserError
from opticornet.utils.options import flag_of, option_fields
from opticornet.utils.rows import RowWriter
from opticornet.utils.signals import Interrupted, StopRequest
from opticornet.utils.versions import versions

BLOCK = 1024  # windows that are encoded and written at a time


@dataclass(frozen=True)
class SequenceJob:
    """The windows of one drive, and what turns each into a row.

    Attributes:
        name: of its files.
        scene, windows: what is encoded.
        loaded: encodes it.
        options: of a test that would do so.
    """

    name: str
    scene: Scene
    windows: Windows
    loaded: LoadedEncoder
    options: TestOptions

    @property
    def dims(self) -> int:
        """O of the descriptors."""
        return self.loaded.encoder.encoding_dims(self.windows.length)

    def identity(self) -> dict[str, Any]:
        """Everything a descriptor depends on, in JSON's types, with the keys of an extraction of frames."""
        options, weights, traverse = self.options, self.loaded.weights, self.windows.traverse
        method = options.part("pooling")
        own = {flag_of(f)[2:]: getattr(method, name) for name, f in option_fields(type(method)).items()}
        adaptation = adaptation_record(self.scene.adaptation)
        made = DescriptorIdentity.beside(traverse) if self.loaded.encoder.takes == "descriptors" else None
        of_windows = {
            "sequence": self.windows.length,
            "windows": self.scene.protocol.window_rule(self.windows),
            "backwards": self.windows.backwards,
            "adaptation": adaptation and asdict(adaptation),
            "crop": list(options.crop),
            "frames": made and asdict(made),
        }
        file = {"kind": "none", "name": "", "sha256": None}
        if weights is not None:
            file = {"kind": "file", "name": Path(weights.path).name, "sha256": weights.sha256}
        return {
            "encoder": options.pooling,
            "weights": file,
            "options": {flag: list(value) if isinstance(value, tuple) else value for flag, value in own.items()},
            "preprocess": of_windows,
            "dims": self.dims,
            "dtype": "float32",
            "amp": options.amp,
            "images": {"count": len(self.windows), "sha256": self.digest()},
        }

    def digest(self) -> str:
        """SHA-256 (hex) of which windows these are and of the files their frames are in."""
        windows, traverse = self.windows, self.windows.traverse
        if self.loaded.encoder.takes == "images":
            source = ImageFiles(Path(), traverse.need_images()).digest
        else:
            source = f"{traverse.source} {fingerprint(Path(traverse.source))}"
        return digest_of([source, *(f"{row} {start}" for row, start in zip(windows.rows, windows.starts, strict=True))])

    def details(self) -> dict[str, Any]:
        """What is recorded beside the identity: which frames each row stands for, by image, else by name or number."""
        windows, traverse = self.windows, self.windows.traverse
        frames = traverse.first_row
        images = traverse.images and tuple(map(os.path.abspath, traverse.images))
        labels = images or traverse.names or tuple(map(str, range(frames, frames + len(traverse))))
        return {
            "rows": len(windows),
            "source": traverse.images_source if self.loaded.encoder.takes == "images" else traverse.source,
            "versions": versions("torch", "numpy", "PIL"),
            "names": [labels[row] for row in windows.rows.tolist()],
            "frame_rows": (windows.rows + frames).tolist(),
            "first_frame_rows": (windows.starts + frames).tolist(),
        }

    def as_traverse(self, path: Path) -> Traverse:
        """The windows as frames, whose descriptors are in the file ``path``."""
        windows, traverse = self.windows, self.windows.traverse
        rows = windows.rows
        breaks = (np.diff(rows) != 1) | (np.diff(traverse.bounds[rows, 0]) != 0)
        return replace(
            traverse,
            name=traverse.name,
            descriptors=open_descriptors(path),
            positions=windows.positions,
            bounds=run_bounds(np.concatenate([[0], np.cumsum(breaks)])),
            names=traverse.names and tuple(traverse.names[row] for row in rows.tolist()),
            timestamps=None if traverse.timestamps is None else traverse.timestamps[rows],
            images=traverse.images and tuple(traverse.images[row] for row in rows.tolist()),
            drive_images=None,
            source=str(path),
            local_features=None,
            lat_lon=None,
            scored=None,
            usable=None,
            filled=None,
            first_row=0,
        )


def extract_sequences(options: ExtractSequencesOptions) -> Path:
    """Write the sequence descriptor of every window of both sides of splits, as a test would search them.

    A run that is killed continues where it stopped when called again; finished work is skipped.

    Returns:
        The folder: a dataset folder with, for each drive of each side, ``<split>-<role>.npy`` (M, O) float32 unit rows,
        a ``.json`` that names what made them and the frames that each row stands for, and a table of those frames.

    Raises:
        UserError: bad options, data or weights, an output that holds something else, a full disk.
        Interrupted: the user stopped it; what was done is saved.
    """
    if not options.output:
        raise UserError("`output` is missing: wanted the folder to write sequence descriptors to")
    test, run = resolve(options.as_test())
    test = test.completed()
    there = split_names(test.dataset, **test.source())
    test = replace(test, splits=chosen_splits(test.splits, there, f"dataset {test.dataset}"))
    check_test_options(test)
    test, runs = find_runs(test, run)
    folder = Path(options.output)
    with cpu_threads(test.threads), StopRequest() as stop:
        scenes = open_scenes(test, runs)
        jobs = {name: jobs_of(test, name, scene, runs) for name, scene in scenes.items()}
        _check_output(folder, jobs, options.overwrite)
        for job in (job for sides in jobs.values() for side in sides for job in side):
            write_sequences(job, folder, options, stop)
    splits = {name: _as_split(scenes[name].split, scenes[name], sides, folder) for name, sides in jobs.items()}
    describe_dataset(folder, Dataset(f"{next(iter(scenes.values())).dataset}-{test.pooling}", splits))
    return folder


def jobs_of(options: TestOptions, name: str, scene: Scene, runs: Runs) -> tuple[list[SequenceJob], list[SequenceJob]]:
    """What is to be encoded of each drive of the reference, and of the query.

    Raises:
        UserError: the encoder does not fit the data, or its frames were made otherwise.
    """
    loaded = load_searched(options, scene, runs.method)
    check_descriptors(options, scene, runs, loaded, None)
    loaded.encoder.to(scene.device)
    reference, query = (
        [
            SequenceJob(file, scene, part, loaded, options)
            for file, part in zip(side_names(side.traverse, f"{name}-{role}"), side.parts, strict=True)
        ]
        for role, side in zip(ROLES, (scene.reference, scene.query), strict=True)
    )
    return reference, query


def write_sequences(job: SequenceJob, folder: Path, options: ExtractSequencesOptions, stop: StopRequest) -> None:
    """Encode the windows that are not encoded yet."""
    identity, count = job.identity(), len(job.windows)
    files = DescriptorFiles(folder / f"{job.name}.npy", identity, options.overwrite)
    if files.is_finished():
        _say(options, f"{files.output} is finished: nothing to do")
        return
    progress = files.read_progress()
    progress.keep(progress.images - progress.images % BLOCK)
    writer = RowWriter(unfinished_path(files.output), (job.dims,), np.float32, progress.images)
    files.save_progress(progress)
    windows, encoder = job.windows, job.loaded.encoder
    frames = frames_of(windows.traverse, encoder, job.scene.device)
    try:
        for first in range(progress.images, count, BLOCK):
            starts = windows.starts[first : first + BLOCK]
            rows = encode(encoder, frames, starts, windows.length, backwards=windows.backwards, amp=job.options.amp)
            writer.append(rows.cpu().numpy())
            writer.sync()
            progress.images = writer.rows
            files.save_progress(progress)
            if stop.signum is not None and writer.rows < count:
                raise Interrupted(
                    f"stopped after {writer.rows} of {count} windows of {job.name}; the same command continues",
                    stop.signum,
                )
    finally:
        writer.close()
    files.publish(job.details())
    _say(options, f"{files.output}: {count} x {job.dims} float32")


def _check_output(folder: Path, jobs: dict[str, Any], overwrite: bool) -> None:
    """Raise :class:`UserError` where another dataset is."""
    first = next(iter(jobs.values()))[0][0]
    if (folder / TOML_NAME).exists() and not (folder / f"{first.name}.npy").exists() and not overwrite:
        raise UserError(f"{folder} holds another dataset: choose another `output`, or give `overwrite` to replace it")


def _as_split(split: Split, scene: Scene, sides: tuple[list[SequenceJob], list[SequenceJob]], folder: Path) -> Split:
    """The split of the windows that take part."""
    reference, query = (
        join_drives([job.as_traverse(folder / f"{job.name}.npy") for job in side], str(folder)) for side in sides
    )
    return replace(split, reference=reference, query=query, positives=scene.truth.listed, unequal_rows=None)


def _say(options: ExtractSequencesOptions, line: str) -> None:
    if not options.quiet:
        print(line)
