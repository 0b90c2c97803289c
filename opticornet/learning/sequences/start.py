"""The weights that training starts from, where they are worked out from training frames."""

from collections.abc import Iterator

import torch
from torch import Tensor

from opticornet.evaluation.scene import Scene
from opticornet.inference.described import DescribedFrames
from opticornet.learning.sequences.places import TrainingPlaces
from opticornet.learning.sequences.same_places import same_places
from opticornet.learning.sequences.sides import Side
from opticornet.models.sequences.base import IMAGES_AT_ONCE, ImageSequenceEncoder, SequenceEncoder
from opticornet.utils.errors import UserError

IMAGES = 500  # the first ones of as many windows are what an encoder of images starts from, as SeqVLAD's authors do


def start_from_data(encoder: SequenceEncoder, scene: Scene, places: TrainingPlaces, generator: torch.Generator) -> None:
    """Prepare an encoder: of descriptors from frames of the same places, of images from some of both drives.

    Raises:
        UserError: it cannot start from these.
    """
    try:
        if isinstance(encoder, ImageSequenceEncoder):
            encoder.start_from_images(some_images(places, generator), generator)
        else:
            encoder.initialise(same_places(scene).pairs())
    except ValueError as error:
        kind = "kmeans" if encoder.takes == "images" else "whitening"
        raise UserError(f"`init` {kind}: {error}; use `init` random") from error


def some_images(places: TrainingPlaces, generator: torch.Generator) -> Iterator[Tensor]:
    """The first images of windows drawn from both drives, :data:`IMAGES` at most: batches (N, 3, H, W)."""
    query, reference = places.query, places.reference
    drawn = torch.randperm(len(query) + len(reference), generator=generator)[:IMAGES]
    from_query = drawn < len(query)
    yield from first_images(query, drawn[from_query])
    yield from first_images(reference, drawn[~from_query] - len(query))


def first_images(side: Side, rows: Tensor) -> Iterator[Tensor]:
    """The first images of some windows (W,): batches (N, 3, H, W)."""
    images = side.frames.images if isinstance(side.frames, DescribedFrames) else side.frames
    for starts in side.starts[rows].split(IMAGES_AT_ONCE) if len(rows) else ():
        yield images.windows(starts, 1)[:, 0]
