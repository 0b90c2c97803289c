"""What a source gives."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from opticornet.datasets.positives import Positives
from opticornet.datasets.traverse import Units
from opticornet.utils.options import Choice


@dataclass(frozen=True)
class PreparedTraverse:
    """The frames of one drive, in order, without descriptors.

    Attributes:
        name: also the name of its files.
        images: N absolute paths, unique.
        names: N frame names, unique.
        positions: column of the frame table ("x", "y" or "lat", "lon" or "frame" ...) to (N,) values.
        sequences: N labels, equal for the frames of a sequence; None: one sequence.
        timestamps: (N,) float64 seconds, or None.
        flags: "score" and "usable" of the frame table to (N,) bool, where something was said of them.
        placed: how positions were decided, in words.
    """

    name: str
    images: tuple[str, ...]
    names: tuple[str, ...]
    positions: dict[str, np.ndarray]
    sequences: Sequence[str | int] | np.ndarray | None = None
    timestamps: np.ndarray | None = None
    flags: dict[str, np.ndarray] = field(default_factory=dict)
    placed: str = ""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def all_rows(self) -> np.ndarray:
        return np.arange(len(self))

    def sequence_numbers(self) -> np.ndarray:
        """(N,) int64 number of each frame's sequence, from 0."""
        if self.sequences is None:
            return np.zeros(len(self), np.int64)
        labels = np.asarray(self.sequences)
        return np.concatenate([[0], np.cumsum(labels[1:] != labels[:-1])])

    def take(self, rows: np.ndarray, name: str | None = None) -> "PreparedTraverse":
        """Some frames, by rising rows; what was not neighbours before is not one sequence after."""
        breaks = (np.diff(rows) != 1) | (np.diff(self.sequence_numbers()[rows]) != 0)
        return PreparedTraverse(
            name=name or self.name,
            images=tuple(self.images[row] for row in rows),
            names=tuple(self.names[row] for row in rows),
            positions={column: values[rows] for column, values in self.positions.items()},
            sequences=np.concatenate([[0], np.cumsum(breaks)]) if breaks.any() else None,
            timestamps=None if self.timestamps is None else self.timestamps[rows],
            flags={column: values[rows] for column, values in self.flags.items()},
            placed=self.placed,
        )


@dataclass(frozen=True)
class DriveRows:
    """Frames of a drive: the name of its traverse, and rising rows of the whole of it, (M,) int64."""

    drive: str
    rows: np.ndarray


@dataclass(frozen=True)
class PreparedSplit:
    """Which frames of which traverses a split compares, and what counts as the same place.

    Attributes:
        name: "train", "val" or "test".
        reference, query: the frames of each drive of either side.
        positive_radius, negative_radius: as in :class:`opticornet.datasets.traverse.Split`.
        positives: instead of a radius, the correct rows of the whole reference for each frame of the whole query, which
            are one drive each; the split then takes contiguous rows.
    """

    name: str
    reference: tuple[DriveRows, ...]
    query: tuple[DriveRows, ...]
    positive_radius: float | None = None
    negative_radius: float | None = None
    positives: Positives | None = None

    @classmethod
    def of_all_rows(
        cls,
        name: str,
        reference: Sequence[PreparedTraverse],
        query: Sequence[PreparedTraverse],
        positive_radius: float | None = None,
        negative_radius: float | None = None,
        positives: Positives | None = None,
    ) -> "PreparedSplit":
        """A split that takes all frames of its drives."""
        references, queries = (
            tuple(DriveRows(drive.name, drive.all_rows) for drive in side) for side in (reference, query)
        )
        return cls(name, references, queries, positive_radius, negative_radius, positives)

    @property
    def drives(self) -> tuple[DriveRows, ...]:
        """Of the reference, then of the query."""
        return self.reference + self.query


@dataclass(frozen=True)
class PreparedPlaces:
    """Images and their places, for training image encoders.

    Attributes:
        name: "train".
        images: N absolute paths, unique.
        columns: of the table (:func:`opticornet.datasets.places.table.read_places`) to N values: "place", and perhaps
            "group", "rank", "lat" and "lon" or "x" and "y", "heading", "time".
        separation: metres, as in :class:`opticornet.datasets.places.place_set.PlaceSet`; None: not said.
    """

    name: str
    images: tuple[str, ...]
    columns: dict[str, Sequence[Any]]
    separation: float | None = None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Prepared:
    """A dataset as read from its source: traverses and splits of them, or places, or both; ``notes`` are lines the user
    should see (frames left out, and why)."""

    units: Units
    traverses: tuple[PreparedTraverse, ...]
    splits: tuple[PreparedSplit, ...]
    notes: tuple[str, ...] = ()
    places: tuple[PreparedPlaces, ...] = ()


class Source(Choice, ABC):
    """A kind of data that can become a dataset folder: the entry of ``SOURCES``.

    A subclass is a frozen dataclass, whose fields are declared by :func:`opticornet.utils.options.option`.
    """

    @abstractmethod
    def read(self, root: Path) -> Prepared:
        """What is at ``root``, a folder, which is left as it is.

        Raises:
            UserError: anything wrong with its files.
        """
