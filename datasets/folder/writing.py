"""A whole dataset written as a folder."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from opticornet.datasets.drives import frame_labels
from opticornet.datasets.folder.positives import write_positives
from opticornet.datasets.folder.tables import write_frames
from opticornet.datasets.folder.toml import ROLES, TOML_NAME, FolderEntry, SplitEntry, TraverseEntry, write_toml
from opticornet.datasets.traverse import Dataset, Traverse
from opticornet.utils.errors import UserError
from opticornet.utils.files import atomic_path


def write_dataset(folder: str | Path, dataset: Dataset) -> None:
    """Write a whole dataset as a folder: descriptors, frames, positives, and last of all ``dataset.toml``.

    Every split gets files of its own (``test-query.npy``; of several drives ``test-query-rain.npy``), holding just its
    rows. Descriptors are copied in blocks;
    images stay where they are.

    Raises:
        UserError: the folder holds a dataset already, or cannot be written.
    """
    folder = Path(folder)
    if (folder / TOML_NAME).exists():
        raise UserError(f"{folder} holds a dataset already; choose another folder")
    for name, split in dataset.splits.items():
        for role, side in zip(ROLES, split.sides, strict=True):
            for drive in _named(side, f"{name}-{role}"):
                _write_descriptors(folder, drive)
    describe_dataset(folder, dataset)


def describe_dataset(folder: Path, dataset: Dataset) -> None:
    """What :func:`write_dataset` writes besides the descriptors, which are there.

    Raises:
        UserError: the folder cannot be written.
    """
    traverses, splits = {}, {}
    for name, split in dataset.splits.items():
        reference, query = (_named(side, f"{name}-{role}") for role, side in zip(ROLES, split.sides, strict=True))
        for drive in (*reference, *query):
            traverses[drive.name] = _write_table(folder, drive)
        positives = None
        if split.positives is not None:
            positives = f"{name}-positives.csv"
            labels = (_labels(drives) for drives in (query, reference))
            write_positives(folder / positives, split.positives, *labels)
        splits[name] = SplitEntry(
            reference=_one_or_all(reference),
            query=_one_or_all(query),
            positive_radius=split.positive_radius,
            negative_radius=split.negative_radius,
            positives=positives,
        )
    units = next(iter(dataset.splits.values())).units
    write_toml(folder, FolderEntry(dataset.name, units, traverses, splits))


def side_names(side: Traverse, name: str) -> list[str]:
    """What the files of a side's drives are called: by the side's name and, of several, by their own."""
    drives = side.drives
    return [f"{name}-{drive.name}" if len(drives) > 1 else name for drive in drives]


def _named(side: Traverse, name: str) -> list[Traverse]:
    return [replace(part, name=own) for part, own in zip(side.parts, side_names(side, name), strict=True)]


def _one_or_all(drives: list[Traverse]) -> str | tuple[str, ...]:
    names = tuple(drive.name for drive in drives)
    return names[0] if len(names) == 1 else names


def _labels(drives: list[Traverse]) -> tuple[str, ...] | None:
    """What a table of positives calls frames; None where row numbers stand for them."""
    labels = frame_labels(drives)
    return None if isinstance(labels, int) else labels


def _write_descriptors(folder: Path, traverse: Traverse) -> None:
    descriptors = traverse.descriptors
    if descriptors is None:
        return
    with atomic_path(folder / f"{traverse.name}.npy") as temporary:
        copy = np.lib.format.open_memmap(temporary, "w+", descriptors.dtype, (len(traverse), traverse.dims))
        step = max(1, (16 << 20) // (4 * traverse.dims))
        for start in range(0, len(traverse), step):
            copy[start : start + step] = descriptors[start : start + step]
        copy.flush()


def _write_table(folder: Path, traverse: Traverse) -> TraverseEntry:
    name = traverse.name
    position_names = ("frame",) if traverse.units == "frames" else ("x", "y", "z")
    columns: dict[str, Any] = {}
    if traverse.names:
        columns["name"] = traverse.names
    for column, values in zip(position_names, traverse.positions.T.tolist(), strict=False):
        columns[column] = ["" if np.isnan(value) else value for value in values]
    columns["sequence"] = np.unique(traverse.bounds[:, 0], return_inverse=True)[1].tolist()
    if traverse.timestamps is not None:
        columns["timestamp"] = traverse.timestamps.tolist()
    if traverse.images:
        columns["image"] = [os.path.abspath(image) for image in traverse.images]
    for column, flags in (("score", traverse.scored), ("usable", traverse.usable)):
        if flags is not None:
            columns[column] = flags.astype(int).tolist()
    write_frames(folder / f"{name}.csv", columns)
    return TraverseEntry(None if traverse.descriptors is None else f"{name}.npy", f"{name}.csv")
