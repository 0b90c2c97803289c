"""Published files of SeqVLAD, STA and the network that both start from: what is read from them, and into what."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from opticornet.models.images.base import load_state
from opticornet.models.sequences.sta.sizes import HEAD_WIDTH

SPATIAL, TEMPORAL, TOKENIZER = "encoder.spatial.classifier.", "encoder.temporal.", "encoder.spatial.tokenizer."
TABLES = ("rel_pos_h", "rel_pos_w", "rel_pos_t")


@dataclass(frozen=True)
class Names:
    """How a kind of file calls the parts of its network; all but the first may be missing in it."""

    tokenizer: str
    spatial: str
    temporal: str = ""


STA_NAMES = Names(TOKENIZER, SPATIAL, TEMPORAL)
SEQVLAD_NAMES = Names("encoder.tokenizer.", "encoder.classifier.")
IMAGENET_NAMES = Names("tokenizer.", "classifier.")


def is_imagenet(tensors: Iterable[str]) -> bool:
    """Whether names are those of the classification network that SeqVLAD and STA start from."""
    names = tuple(tensors)
    return any(name.startswith("tokenizer.") for name in names) and any(
        name.startswith("classifier.") for name in names
    )


def published_names(tensors: Mapping[str, Tensor], published: Names) -> Names:
    """The names in a file of weights: ImageNet's, or those ``published`` of the method."""
    return IMAGENET_NAMES if is_imagenet(tensors) else published


def sizes_in(tensors: Mapping[str, Tensor], names: Names) -> dict[str, Any]:
    """What a file says of the fields of :class:`.sizes.Sizes`, and ``positions``, the tokens of a grid; what it says
    nothing of is left out.

    Heads are what tables of relative positions say, else one per 64 channels, else left out; the grid is left out where
    its number of tokens is no square.
    """
    found: dict[str, Any] = {}
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    convolutions = [shape for key, shape in shapes.items() if key.startswith(names.tokenizer) and len(shape) == 4]
    if convolutions:
        found |= {"kernel": convolutions[0][-1], "stages": len(convolutions)}
    imagenet = names is IMAGENET_NAMES
    for prefix, field in ((names.spatial, "layers"), (names.temporal, "temporal_layers")):
        if prefix and (count := _blocks(shapes, prefix)):
            found |= {} if imagenet else {field: count}
            found |= _stack(shapes, prefix)
    if not imagenet:
        grid = found.get("grid")
        found["spatial_relative"] = _extent(shapes, names.spatial)
        found["temporal_relative"] = _extent(shapes, names.temporal) if names.temporal else None
        if grid is None and found["spatial_relative"]:
            found["grid"] = found["spatial_relative"][1:]
    if len(centroids := shapes.get("aggregator.centroids", ())) == 2:
        found["clusters"] = centroids[0]
    return found


def _blocks(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> int:
    return len({match[1] for key in shapes if (match := re.match(re.escape(prefix) + r"blocks\.(\d+)\.", key))})


def _stack(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    positions = shapes.get(f"{prefix}positional_emb", ())
    if len(positions) == 3:
        dims, side = positions[2], math.isqrt(positions[1])
        found |= {"dims": dims, "positions": positions[1]}
        if side**2 == positions[1]:
            found["grid"] = (side, side)
        width = shapes.get(f"{prefix}blocks.0.self_attn.rel_pos_t", (0, HEAD_WIDTH))[-1]
        if width and dims % width == 0:
            found["heads"] = dims // width
        hidden = shapes.get(f"{prefix}blocks.0.linear1.weight", ())
        if hidden and hidden[0] % dims == 0:
            found["ratio"] = hidden[0] // dims
    return found


def _extent(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> tuple[int, int, int] | None:
    tables = [shapes.get(f"{prefix}blocks.0.self_attn.rel_pos_{axis}", ()) for axis in "thw"]
    if not all(len(table) == 2 for table in tables):
        return None
    frames, rows, columns = ((table[0] + 1) // 2 for table in tables)
    return frames, rows, columns


def load_published_state(encoder: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Load a published file strictly; what it has of a stack that the encoder does without is left out.

    Raises:
        UserError: it is of another network, with the first missing, unexpected and mismatching names.
    """
    own = encoder.state_dict()
    without = [prefix for prefix in (SPATIAL, TEMPORAL) if not any(key.startswith(prefix) for key in own)]
    if any(key.startswith("encoder.spatial.") for key in own):  # an STA, of one part or both
        tensors = {key: value for key, value in tensors.items() if not key.startswith(tuple(without))}
    load_state(encoder, tensors, source)


def load_imagenet(encoder: nn.Module, tensors: Mapping[str, Tensor], source: str) -> tuple[str, ...]:
    """Start both stacks from the blocks of the ImageNet network that they have, and the tokenizer from its own.

    Returns:
        names of the encoder that it does not have: the classifier's own are dropped, and tables of relative positions
        and SeqVLAD stay as they are.

    Raises:
        UserError: the file lacks other names, or they have other shapes.
    """
    own = encoder.state_dict()
    taken, left = {}, []
    for key, value in own.items():
        source_key = _imagenet_key(key)
        if source_key is None:
            left.append(key)
            taken[key] = value
        elif source_key in tensors:
            taken[key] = tensors[source_key]
    with torch.no_grad():
        load_state(encoder, taken, source)
    return tuple(left)


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
