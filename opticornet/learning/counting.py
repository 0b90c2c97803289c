"""Operations and memory of a call, counted on tensors without values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

Found = TypeVar("Found")

WORK_UNITS = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"))


@dataclass(frozen=True)
class Cost:
    """What one call costs.

    Attributes:
        operations: multiplications and additions on the way forward; the way back takes about twice as many.
        gradient_bytes: what is remembered in float32 for the way back.
    """

    operations: int
    gradient_bytes: int


def places_of_weights(module: nn.Module) -> set[int]:
    """Where the weights of a module lie."""
    return {parameter.untyped_storage()._cdata for parameter in module.parameters()}


def counted(call: Callable[[Tensor], Found], given: Tensor, weights: set[int]) -> tuple[Cost, Found]:
    """What a call costs, and what it returns; ``weights`` are where those lie that are there anyway.

    Raises:
        RuntimeError: of tensors without values, where what the call does depends on them.
    """
    kept: dict[int, int] = {}  # bytes by where they lie: what is remembered twice takes memory once
    alive = []

    def remember(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage.nbytes()
            alive.append(storage)
        return tensor

    with (
        FlopCounterMode(display=False) as counter,  # type: ignore[no-untyped-call]
        torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor),
    ):
        found = call(given)
    return Cost(int(counter.get_total_flops()), sum(kept.values())), found


def memory_in_words(size: int) -> str:
    """Bytes of memory: ``2.1 GiB``, ``35 MiB``."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def work_in_words(operations: int) -> str:
    """Operations on numbers: ``2.02 GFLOP``, ``1.2 EFLOP``."""
    unit, prefix = next(pair for pair in WORK_UNITS if operations >= pair[0] or pair is WORK_UNITS[-1])
    return f"{operations / unit:.3g} {prefix}FLOP"
