"""A small encoder of images that has everything training may treat on its own: blocks, two steps, something random."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.checkpoint import checkpoint

from opticornet.models.images.base import Preprocess
from opticornet.models.sequences.base import ImageSequenceEncoder
from opticornet.models.sequences.parts import Parts

DIMS = 6


class Block(nn.Module):
    """A residual layer that drops some of what it adds; counts how often it is worked out."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.dropout, self.runs = nn.Linear(DIMS, DIMS), nn.Dropout(0.3), 0

    def forward(self, tokens: Tensor) -> Tensor:
        self.runs += 1
        return tokens + self.dropout(self.linear(tokens).tanh())


class Stack(nn.Module):
    """Blocks and a norm."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.blocks, self.norm = nn.ModuleList(Block() for _ in range(count)), nn.LayerNorm(DIMS)
        self.checkpointing = False

    def forward(self, tokens: Tensor) -> Tensor:
        for block in self.blocks:
            twice = self.checkpointing and torch.is_grad_enabled()
            tokens = checkpoint(block, tokens, use_reentrant=False) if twice else block(tokens)
        return self.norm(tokens)


class TinyBlocks(ImageSequenceEncoder):
    """One stack over each frame's tokens, one over the window's, and their weighted mean."""

    describes_frames = True

    def __init__(self, size: tuple[int, int] = (8, 12)) -> None:
        super().__init__(Preprocess(size), DIMS)
        self.tokenizer, self.positions = nn.Conv2d(3, DIMS, 4, stride=4), nn.Parameter(torch.zeros(1, DIMS))
        self.spatial, self.temporal = Stack(2), Stack(1)
        self.centres = nn.Parameter(torch.ones(DIMS))
        self.described: list[int] = []

    def describe_frames(self, frames: Tensor) -> Tensor:
        self.described.append(len(frames))
        return self.spatial(self.tokenizer(frames).flatten(2).transpose(1, 2) + self.positions)  # (N, tokens, D)

    def join(self, described: Tensor) -> Tensor:
        weights = torch.arange(1.0, described.shape[1] + 1)[:, None, None]
        return normalize((self.temporal(described) * self.centres * weights).mean((1, 2)), dim=1)

    @property
    def parts(self) -> Parts:
        return Parts(
            stacks=(self.spatial, self.temporal),
            before=(self.tokenizer, self.positions),
            of_frames=(self.tokenizer, self.positions, self.spatial),
        )

    def start_from_images(self, images, generator: torch.Generator) -> None:
        seen = [self.describe_frames(batch).detach().mean((0, 1)) for batch in images]
        noise = torch.rand(DIMS, generator=generator)
        self.centres.data = torch.stack(seen).mean(0) + noise
