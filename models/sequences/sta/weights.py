"""Published files of SeqVLAD, STA and the network that both start from: what is read from them, and into what."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from opticornet.models.images.base import load_state

LAYERS = {"spatial": "layers", "temporal": "temporal_layers"}
TABLES = ("rel_pos_t", "rel_pos_h", "rel_pos_w")


@dataclass(frozen=True)
class Names:
    """How a kind of file calls the parts of its network; all but the first may be missing in it."""

    tokenizer: str
    spatial: str
    temporal: str = ""


STA_NAMES = Names("encoder.spatial.tokenizer.", "encoder.spatial.classifier.", "encoder.temporal.")
SEQVLAD_NAMES = Names("encoder.tokenizer.", "encoder.classifier.")
IMAGENET_NAMES = Names("tokenizer.", "classifier.")


def is_imagenet(tensors: Iterable[str]) -> bool:
    """Whether names are those of the classification network that SeqVLAD and STA start from."""
    names = tuple(tensors)
    return any(name.startswith("tokenizer.") for name in names) and any(
        name.startswith("classifier.") for name in names
    )


def sizes_in(tensors: Mapping[str, Tensor], published: Names) -> dict[str, Any]:
    """What a file, of a method's ``published`` names or the ImageNet network, says of sizes.

    Fields of :class:`.sizes.Sizes`; ``positions``, the tokens of a grid; ``frames``, for how many there are relative
    positions; and of STA ``relative``, of which stacks: "none", "spatial", "temporal" or "both". What it says nothing
    of is left out. Heads are what tables of relative positions say, else left out; the grid is what the spatial
    stack's tables say, else square, else left out.
    """
    names = IMAGENET_NAMES if is_imagenet(tensors) else published
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    found: dict[str, Any] = {}
    convolutions = [shape for key, shape in shapes.items() if key.startswith(names.tokenizer) and len(shape) == 4]
    if convolutions:
        found |= {"kernel": convolutions[0][-1], "stages": len(convolutions)}
    stacks = {"spatial": names.spatial, "temporal": names.temporal}
    counts = {stack: _blocks(shapes, prefix) if prefix else 0 for stack, prefix in stacks.items()}
    for stack in (stack for stack, count in counts.items() if count):
        found |= _positions(shapes, stacks[stack])
    if names is IMAGENET_NAMES:  # of whose 14 blocks the first ones are taken
        return found
    found |= {field: counts[stack] for stack, field in LAYERS.items() if counts[stack]}
    tables = {stack: _tables(shapes, stacks[stack]) for stack in counts if counts[stack]}
    relative = [stack for stack, shapes_of_axes in tables.items() if shapes_of_axes]
    if tables and published is STA_NAMES:
        found["relative"] = "both" if len(relative) == 2 else (*relative, "none")[0]
    if relative:
        (frames, width), *_ = tables[relative[0]]
        found["frames"] = _places(frames)
        if width and found.get("dims", 0) % width == 0:
            found["heads"] = found["dims"] // width
    sides = tuple(_places(shape[0]) for shape in tables.get("spatial", [])[1:] if shape)
    if len(sides) == 2 and math.prod(sides) == found.get("positions"):
        found["grid"] = sides
    if len(centroids := shapes.get("aggregator.centroids", ())) == 2:
        found["clusters"] = centroids[0]
    return found


def _blocks(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> int:
    return len({match[1] for key in shapes if (match := re.match(re.escape(prefix) + r"blocks\.(\d+)\.", key))})


def _positions(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> dict[str, Any]:
    """What the learned positions of a stack say."""
    shape = shapes.get(f"{prefix}positional_emb", ())
    if len(shape) != 3:
        return {}
    side = math.isqrt(shape[1])
    square = {"grid": (side, side)} if side**2 == shape[1] else {}
    return {"dims": shape[2], "positions": shape[1], **square}


def _tables(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> list[tuple[int, ...]]:
    """Shapes of a stack's first tables of relative positions, of frames, rows and columns; none where it has none."""
    found = [shapes.get(f"{prefix}blocks.0.self_attn.{table}", ()) for table in TABLES]
    return found if len(found[0]) == 2 else []


def _places(rows: int) -> int:
    """Of so many rows in a table of relative positions."""
    return (rows + 1) // 2


def load_published_state(encoder: nn.Module, tensors: Mapping[str, Tensor], source: str) -> tuple[str, ...]:
    """Load a published file strictly; what it has of a stack that the encoder does without is left out.

    Of the ImageNet network the first blocks are taken, for both stacks, without its classifier.

    Returns:
        names that the ImageNet network does not have: they stay as they are.

    Raises:
        UserError: it is of another network, with the first missing, unexpected and mismatching names.
    """
    own = encoder.state_dict()
    left: tuple[str, ...] = ()
    if is_imagenet(tensors):
        named = {key: _imagenet_key(key) for key in own}
        left = tuple(key for key, name in named.items() if name is None)
        tensors = {
            key: own[key] if name is None else tensors[name]
            for key, name in named.items()
            if name is None or name in tensors
        }
    elif any(key.startswith(STA_NAMES.tokenizer) for key in own):
        without = tuple(p for p in (STA_NAMES.spatial, STA_NAMES.temporal) if not any(key.startswith(p) for key in own))
        tensors = {key: value for key, value in tensors.items() if not key.startswith(without)}
    load_state(encoder, tensors, source)
    return left


def _imagenet_key(key: str) -> str | None:
    """What the ImageNet network calls one of an encoder's tensors; None: it has none like it."""
    if key.startswith("aggregator.") or key.endswith(TABLES):
        return None
    for names in (STA_NAMES, SEQVLAD_NAMES):
        for prefix, other in (
            (names.tokenizer, "tokenizer."),
            (names.spatial, "classifier."),
            (names.temporal, "classifier."),
        ):
            if prefix and key.startswith(prefix):
                return other + key.removeprefix(prefix)
    return None
