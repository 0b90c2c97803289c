"""The sizes of SeqVLAD and STA, and how they are read from a published checkpoint."""

from dataclasses import dataclass

from opticornet.models.images.cct import Grid
from opticornet.models.sequences.sta.attention import Extent

PUBLISHED_FRAMES = 5  # of a window
HEAD_WIDTH = 64  # channels of a head in what is published


@dataclass(frozen=True)
class Sizes:
    """What the weights of SeqVLAD and STA are.

    Attributes:
        dims: D, channels of a token.
        layers, temporal_layers: blocks of the spatial and of the temporal stack.
        heads: of attention.
        clusters: K, of SeqVLAD.
        grid: rows and columns of tokens that learned positions are for.
        kernel, stages: of the tokenizer.
        spatial_relative, temporal_relative: frames, rows and columns that tables of relative positions are for; None:
            the stack has learned positions instead.
    """

    dims: int = 384
    layers: int = 4
    temporal_layers: int = 4
    heads: int = 6
    clusters: int = 64
    grid: Grid = (24, 24)
    kernel: int = 7
    stages: int = 2
    spatial_relative: Extent | None = None
    temporal_relative: Extent | None = None
