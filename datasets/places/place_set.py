"""What image encoders learn from: images whose places are known."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class PlaceSet:
    """N images of P places.

    Attributes:
        name: where it comes from, for messages.
        images: (N,) absolute paths.
        place: (N,) int64, 0 to P - 1, of each image.
        labels: (P,) names of the places.
        group: (P,) int64, of each place: the city, camera or floor that it is in, which come one after the other in the
            order of the source.
        rank: (N,) int64, of each image: which of its place's it is where not all are taken, 0 first (GSV-Cities: by
            year, month and latitude, falling); None: the source does not say.
        positions: (P, 2) float64 in metres; None where they are not known.
        separation: places nearer than this, in metres, may look alike: no batch holds both.
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
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.images)
