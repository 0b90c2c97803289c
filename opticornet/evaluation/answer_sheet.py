"""What was answered to every query, in the words of the data: names, times and places instead of row numbers."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opticornet.datasets.labels import first_repeated
from opticornet.datasets.traverse import Units
from opticornet.datasets.windows import Windows
from opticornet.evaluation.no_answer import NoAnswer
from opticornet.matching.ranking import Ranking

PLACE_COLUMNS = {1: ("frame",), 2: ("x", "y"), 3: ("x", "y", "z")}  # by the columns of positions


@dataclass(frozen=True)
class SheetSide:
    """The queries, or the references.

    Attributes:
        traverse: its name.
        names: of each frame: its name; without, its image's; without, its row in its drive.
        images: of each frame: its image's path below the folder of images, where several drives have the same behind
            the drive's name; None where there are none.
        times: (M,) float64 seconds, or None.
        positions: (M, P) float64 in ``units``, NaN where not known.
        lat_lon: (M, 2) degrees, or None.
        units: of the positions.
        drives: name of each frame's drive; None where there is one.
    """

    traverse: str
    names: tuple[str, ...]
    images: tuple[str, ...] | None
    times: np.ndarray | None
    positions: np.ndarray
    lat_lon: np.ndarray | None
    units: Units
    drives: tuple[str, ...] | None = None

    @classmethod
    def of(cls, side: Windows) -> "SheetSide":
        """One side of a scene."""
        traverse, rows = side.traverse, side.rows
        parts = side.parts
        below = None if traverse.images is None else tuple(path for part in parts for path in _paths_below(part))
        drives = tuple(part.traverse.name for part in parts for _ in range(len(part))) if len(parts) > 1 else None
        numbers = tuple(map(str, traverse.drive_rows[rows].tolist()))
        return cls(
            traverse=traverse.name,
            names=tuple(traverse.names[row] for row in rows) if traverse.names else below or numbers,
            images=None if below is None else _told_apart(below, drives),
            times=None if traverse.timestamps is None else traverse.timestamps[rows],
            positions=side.positions,
            lat_lon=None if traverse.lat_lon is None else traverse.lat_lon[rows],
            units=traverse.units,
            drives=drives,
        )

    @property
    def image_names(self) -> tuple[str, ...]:
        """Of each frame its image, else its name, behind the drive's name where several drives have the same."""
        return self.images or _told_apart(self.names, self.drives)

    @property
    def places(self) -> tuple[tuple[str, ...], np.ndarray]:
        """What a place is told by, and its values (M, P): latitude and longitude where they are known."""
        if self.lat_lon is not None:
            return ("lat", "lon"), self.lat_lon
        return PLACE_COLUMNS[self.positions.shape[1]], self.positions


@dataclass(frozen=True)
class AnswerSheet:
    """The first K answers to M queries.

    Attributes:
        query, reference: the two sides.
        references: (M, K) int64 numbers of references, best first; -1 where nothing was found.
        distances: (M, K) float32, lower is surer.
        margin: (M,) float64, how much further the first reference lies whose window shares no frame with the best's;
            NaN where the ranking holds none.
        refused: (M,) bool, the method says "no answer"; None where it never does.
        confidence: (M,) float64, the chance that the first answer is right, as measured on a split that is not the
            tested one; None where it was not measured.
    """

    query: SheetSide
    reference: SheetSide
    references: np.ndarray
    distances: np.ndarray
    margin: np.ndarray
    refused: np.ndarray | None
    confidence: np.ndarray | None

    @classmethod
    def of(
        cls, reference: Windows, query: Windows, ranking: Ranking, top_k: int, no_answer: NoAnswer | None = None
    ) -> "AnswerSheet":
        """The first ``top_k`` of a ranking, or as many as it holds."""
        first, best = ranking.first(top_k), ranking.distances[:, 0]
        calibration = None if no_answer is None else no_answer.calibration
        return cls(
            query=SheetSide.of(query),
            reference=SheetSide.of(reference),
            references=first.indices,
            distances=first.distances,
            margin=margins(ranking, reference),
            refused=None if no_answer is None else no_answer.refuses(best),
            confidence=None if calibration is None else calibration.of(best),
        )

    def answered(self) -> np.ndarray:
        """(M,) bool: queries that have an answer."""
        found = self.references[:, 0] >= 0
        return found if self.refused is None else found & ~self.refused


def margins(ranking: Ranking, reference: Windows) -> np.ndarray:
    """(M,) float64, see :attr:`AnswerSheet.margin`."""
    starts = reference.starts[ranking.indices]  # (M, K)
    apart = (np.abs(starts - starts[:, :1]) >= reference.length) & (ranking.indices >= 0)
    second = np.take_along_axis(ranking.distances, apart.argmax(axis=1)[:, None], axis=1)[:, 0]
    with np.errstate(invalid="ignore"):
        margin = second.astype(np.float64) - ranking.distances[:, 0]
    return np.where(apart.any(axis=1) & (ranking.indices[:, 0] >= 0), margin, np.nan)


def _told_apart(names: tuple[str, ...], drives: tuple[str, ...] | None) -> tuple[str, ...]:
    """Names of frames, behind their drives' where several drives have the same."""
    if drives is None or first_repeated(names) is None:
        return names
    return tuple(f"{drive}/{name}" for drive, name in zip(drives, names, strict=True))


def _paths_below(drive: Windows) -> list[str]:
    """The image paths of one drive's frames below the folder of images, or of the table that lists them."""
    source = Path(drive.traverse.images_source)
    folder = source if source.is_dir() else source.parent
    images = [drive.traverse.need_images()[row] for row in drive.rows]
    paths = (os.path.relpath(image, folder) for image in images)
    return [
        os.path.basename(image) if path.startswith("..") else path for image, path in zip(images, paths, strict=True)
    ]
