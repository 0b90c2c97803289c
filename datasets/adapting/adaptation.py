"""How the frames of a split's two traverses are adapted: the map's by all of them, the queries' as the method says."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from opticornet.datasets.adapting.rows import AdaptedRows, ByOwnMean, ByRunningMean, DriveRows, RunningMean
from opticornet.datasets.adapting.statistics import Statistics, statistics_of
from opticornet.datasets.descriptors.identity import DescriptorIdentity
from opticornet.datasets.traverse import Split, Traverse

AdaptedBy = Literal["none", "running", "traverse"]
QUERIES_OF_TRAIN = "queries of train"


@dataclass(frozen=True)
class Adaptation:
    """What is taken off the descriptors of each drive's frames.

    Attributes:
        by: of queries; "running": the mean of the frames so far; "traverse": of the whole drive, later frames included;
            "none": nothing, of neither traverse. The map is there before any query: its drives are adapted as wholes.
        scale: also divide by the standard deviation.
        begin: what a running mean begins from, of the queries of the train split; None: from the map's statistics.
        made: what made the descriptors that ``begin`` is of; None: unknown.
        why_map: where it begins from the map's, why, in words.
    """

    by: AdaptedBy = "none"
    scale: bool = False
    begin: Statistics | None = None
    made: DescriptorIdentity | None = None
    why_map: str = ""

    @property
    def begun_from(self) -> str:
        """In words, what a running mean begins from; empty where there is none."""
        if self.by != "running":
            return ""
        return "the map's mean" if self.begin is None else QUERIES_OF_TRAIN

    def fitting(self, split: Split) -> "Adaptation":
        """The same, begun from the map where the queries' descriptors are not of the kind that it would begin from."""
        if self.begin is None:
            return self
        trained, dims = len(self.begin.mean), split.query.dims
        why = f"the training queries have {trained}-D descriptors, these {dims}-D ones" if trained != dims else ""
        found = DescriptorIdentity.beside(split.query)
        if not why and self.made and found and (difference := self.made.difference(found, "training", "these")):
            why = f"the training queries' descriptors were made differently ({difference})"
        return replace(self, begin=None, made=None, why_map=why) if why else self

    def of(self, split: Split, maps: "AdaptedMaps | None" = None) -> Split:
        """The split, which it is :meth:`fitting`, with adapted descriptors, which are made as they are read; its map as
        it stands in ``maps``, where splits share it."""
        if self.by == "none":
            return split
        query = own_mean(split.query, self.scale) if self.by == "traverse" else self._running_mean(split)
        return replace(split, reference=(maps or AdaptedMaps()).of(split.reference, self.scale), query=query)

    def of_next_frame(self, dims: int) -> Callable[[np.ndarray], np.ndarray]:
        """What adapts the next frame (D,) of a drive, as a robot adapts each once; to time, as it begins from zeros."""
        zeros = np.zeros(dims)
        begin = Statistics(zeros, zeros if self.scale else None, np.array(1))
        return RunningMean(begin).add if self.by == "running" else begin.adapt

    def _running_mean(self, split: Split) -> Traverse:
        query = split.query
        begin = self.begin or pooled_statistics(split.reference, self.scale)
        rows, enters = query.need_descriptors(), entering(query)
        return _adapted(
            query,
            [
                ByRunningMean(rows[drive.start : drive.stop], enters[drive.start : drive.stop], begin)
                for drive in query.drives
            ],
        )


AS_THEY_ARE = Adaptation()


@dataclass
class AdaptedMaps:
    """Maps that are adapted already: those that splits share stay shared, and are read once.

    Attributes:
        known: maps as they are, whether they were scaled, and as they were adapted.
    """

    known: list[tuple[Traverse, bool, Traverse]] = field(default_factory=list)

    def of(self, reference: Traverse, scale: bool) -> Traverse:
        """The map with each drive's frames adapted by all of that drive."""
        for plain, scaled, adapted in self.known:
            if plain is reference and scaled == scale:
                return adapted
        adapted = own_mean(reference, scale)
        self.known.append((reference, scale, adapted))
        return adapted


def entering(traverse: Traverse) -> np.ndarray:
    """(N,) bool: frames that a mean takes in: usable ones that were not filled from their neighbours."""
    return traverse.is_usable if traverse.filled is None else traverse.is_usable & ~traverse.filled


def own_mean(traverse: Traverse, scale: bool) -> Traverse:
    """The traverse with each drive's frames adapted by all of that drive."""
    return _adapted(traverse, [ByOwnMean(statistics) for statistics in drive_statistics(traverse, scale)])


def drive_statistics(traverse: Traverse, scale: bool) -> list[Statistics]:
    """Of each drive's frames; the descriptors are read once."""
    rows, enters = traverse.need_descriptors(), entering(traverse)
    return [
        statistics_of(rows[drive.start : drive.stop], enters[drive.start : drive.stop], scale)
        for drive in traverse.drives
    ]


def pooled_statistics(traverse: Traverse, scale: bool) -> Statistics:
    """Of all frames, the variance within their drives."""
    return Statistics.pooled(drive_statistics(traverse, scale))


def _adapted(traverse: Traverse, drives: list[DriveRows]) -> Traverse:
    starts = [drive.start for drive in traverse.drives]
    return replace(traverse, descriptors=AdaptedRows(traverse.need_descriptors(), starts, drives))
