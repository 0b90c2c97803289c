"""What image encoders learn from: images whose places are known."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class PlaceSet:
    """N images of P places.

    Attributes:
        name: where it comes from, for messages.
        images: (N,) absolute paths.
        place: (N,) int64, 0 to P - 1, of each image; every place has one.
        labels: (P,) names of the places, in the order in which the source first names them.
        group: (P,) int64, of each place: the city, camera or floor that it is in, which come one after the other in the
            order of the source.
        rank: (N,) int64, of each image: which of its place's it is where not all are taken, 0 first (GSV-Cities: by
            year, month and latitude, falling); None: the source does not say.
        positions: (P, D) float64, D 1 to 3, in metres (of a split in frames: in frames), NaN of a place that is
            nowhere; None where they are not known.
        separation: places no farther apart than this, in the unit of positions, may look alike: no batch holds both;
            0: any may be in one.
        group_names: of the groups, in their order.
        notes: lines that a user should see.
    """

    name: str
    images: tuple[str, ...]
    place: np.ndarray
    labels: tuple[str, ...]
    group: np.ndarray
    rank: np.ndarray | None = None
    positions: np.ndarray | None = None
    separation: float = 0.0
    group_names: tuple[str, ...] = ("",)
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.images)

    @property
    def counts(self) -> np.ndarray:
        """(P,) int64 images of each place."""
        return np.bincount(self.place, minlength=len(self.labels))
