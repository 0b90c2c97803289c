"""What an encoder of images is made of, as far as training may leave parts of it as they are."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from torch import nn

Part = nn.Module | nn.Parameter


class BlockStack(Protocol):
    """A stack of transformer blocks.

    Attributes:
        blocks: one after the other.
        checkpointing: whether blocks are worked out once more on the way back, so that training needs less memory.
    """

    blocks: nn.ModuleList
    checkpointing: bool


@dataclass(frozen=True)
class Parts:
    """The parts of an encoder of images.

    Attributes:
        stacks: its stacks of transformer blocks.
        before: what comes before the blocks: what makes tokens of images, and positions.
        of_frames: what describes single frames; what joins them is the rest.
    """

    stacks: tuple[BlockStack, ...] = ()
    before: tuple[Part, ...] = ()
    of_frames: tuple[Part, ...] = ()

    def first_blocks(self, count: int) -> tuple[Part, ...]:
        """The first ``count`` blocks of each stack, and what comes before them.

        Raises:
            ValueError: no stack has so many.
        """
        most = max((len(stack.blocks) for stack in self.stacks), default=0)
        if count > most:
            raise ValueError(f"it has {most} blocks in a row at most" if most else "it has no blocks")
        return (*self.before, *(block for stack in self.stacks for block in stack.blocks[:count]))


def modules_of(parts: Iterable[Part]) -> tuple[nn.Module, ...]:
    """Those that are modules."""
    return tuple(part for part in parts if isinstance(part, nn.Module))


def weights_of(parts: Iterable[Part]) -> Iterable[nn.Parameter]:
    """All of their weights."""
    for part in parts:
        yield from part.parameters() if isinstance(part, nn.Module) else (part,)
