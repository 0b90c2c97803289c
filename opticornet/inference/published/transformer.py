"""The sizes of a DINOv2, read from its weights."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from opticornet.inference.published.weights import Weights, check_positive_integer
from opticornet.utils.errors import UserError

HEAD_WIDTH = 64  # channels of an attention head in every vision transformer that was published here


@dataclass(frozen=True)
class Transformer:
    """What a DINOv2 is built from.

    Attributes:
        dim: channels of a token.
        depth: blocks.
        heads: attention heads.
        trained_size: side in pixels of the images its position embeddings are for.
    """

    dim: int
    depth: int
    heads: int
    trained_size: int

    @classmethod
    def of(cls, weights: Weights, prefix: str, size: str, heads: int | None) -> Self:
        """Read from the weights whose names begin with ``prefix``.

        Args:
            weights: where to look.
            prefix: before the names of DINOv2's own checkpoints.
            size: the published variant that they must not contradict; empty for any.
            heads: attention heads, which no shape reveals; None: one per 64 channels.

        Raises:
            UserError: they are no DINOv2, or another published size; ``heads`` is missing or does not divide the
                channels.
        """
        from opticornet.models.images.dinov2 import PATCH, VARIANTS

        _, tokens, dim = weights.shape(f"{prefix}pos_embed", 3)
        depth = weights.count(re.escape(prefix) + r"blocks\.(\d+)\.")
        published = {variant[:2]: name for name, variant in VARIANTS.items()}
        found = published.get((dim, depth), size)
        if size and found != size:
            raise weights.misfit_error(f"it holds a DINOv2 of size {found}, wanted {size}")
        side = math.isqrt(max(tokens - 1, 0))
        if not depth or side == 0 or side**2 != tokens - 1:
            raise weights.misfit_error(f"{prefix}pos_embed has {tokens} positions in {depth} blocks: no DINOv2")
        if heads is None:
            if dim % HEAD_WIDTH:
                raise UserError(
                    f"`heads` cannot be read from {weights.source}: its {dim} channels are no multiple of "
                    f"{HEAD_WIDTH}; give {weights.method} the number of attention heads as heads=N"
                )
            heads = dim // HEAD_WIDTH
        check_positive_integer("heads", heads)
        if dim % heads:
            raise UserError(f"`heads` {heads}: wanted a divisor of the {dim} channels in {weights.source}")
        return cls(dim, depth, heads, side * PATCH)

    def fused_layers(self, weights: Weights, channels: int, layers: Sequence[int] | None) -> tuple[int, ...]:
        """The blocks whose outputs, side by side, have that many channels.

        Raises:
            UserError: no number of blocks has, or ``layers`` names others.
        """
        count = channels // self.dim
        if channels % self.dim or not 1 <= count <= self.depth:
            raise weights.misfit_error(f"conv.weight takes {channels} channels, from {self.depth} blocks of {self.dim}")
        if layers is None:
            return tuple(range(self.depth - count, self.depth))
        if not isinstance(layers, Sequence) or len(set(layers)) != count or not set(layers) <= set(range(self.depth)):
            raise UserError(f"`layers` {layers}: {weights.source} fuses {count} of the blocks 0 to {self.depth - 1}")
        return tuple(sorted(layers))
