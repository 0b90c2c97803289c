"""What a training split is learned from: the windows of both drives, and which of them show the same place."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from opticornet.datasets.frames import FrameSource
from opticornet.datasets.positives import Positives
from opticornet.evaluation.scene import Scene
from opticornet.learning.sequences.sides import Side, as_they_are, sides
from opticornet.models.sequences.base import SequenceEncoder
from opticornet.utils.errors import UserError


@dataclass(frozen=True)
class TrainingPlaces:
    """The windows of both drives and which show the same place.

    Attributes:
        query, reference: M and N windows.
        positives: references that show a query's place.
        excluded: references too near to a query to be called another place, the positives among them.
        reference_places: (N, P) float64 where each reference is; in rows where a table says what is correct.
        negative_radius: beyond which, in these units, two references show different places.
    """

    query: Side
    reference: Side
    positives: Positives
    excluded: Positives
    reference_places: Tensor
    negative_radius: float

    @classmethod
    def of(
        cls, scene: Scene, encoder: SequenceEncoder, served: Callable[[FrameSource], FrameSource] = as_they_are
    ) -> Self:
        """Those of a scene, with frames as the encoder takes them, and as ``served`` serves these.

        Raises:
            UserError: the split says nothing of negatives, some query has none, or a traverse has no such frames.
        """
        query, reference = sides(scene, encoder, served)
        in_rows = scene.split.positives is not None  # a table counts in reference rows, and so does the radius
        places = scene.reference.rows[:, None].astype(np.float64) if in_rows else scene.reference.positions
        radius = negative_radius(scene)
        return cls(query, reference, scene.positives(), too_near(scene, radius), torch.from_numpy(places), radius)


def negative_radius(scene: Scene) -> float:
    """Beyond which a reference may be a negative.

    Raises:
        UserError: the split has none.
    """
    if scene.split.negative_radius is None:
        name = scene.split.name
        raise UserError(f"split {name} of {scene.dataset} has no negative_radius, so it cannot be trained on")
    return scene.split.negative_radius


def too_near(scene: Scene, radius: float) -> Positives:
    """References of each query up to the negative ``radius``.

    Raises:
        UserError: to some query these are all.
    """
    split, query, reference = scene.split, scene.query, scene.reference
    if split.positives is None:
        excluded = scene.protocol.excluded(query, reference, radius)
    else:  # in reference rows, as the table
        widened = split.positives.of(query.rows).widened(math.floor(radius), reference.traverse.drive_bounds)
        excluded = widened.among(reference.rows)
    if int(excluded.counts.max()) == len(reference):
        units = split.units if split.positives is None else "rows"
        raise UserError(f"a training query has no reference beyond {radius:g} {units}; lower negative_radius")
    return excluded
