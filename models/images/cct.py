"""Compact convolutional transformers: the frame encoder of SeqVLAD and STA.

Hassani et al., "Escaping the Big Data Paradigm with Compact Transformers", 2021. Names and arithmetic are those of
their CCT-14/7x2, of which the first blocks are used and no classifier. A block differs from the usual one in that its
second norm replaces the stream that it normalises.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

STEM_CHANNELS = 64  # of every stage of the tokenizer but the last
PUBLISHED_LAYERS = 14  # whose stochastic depth the first blocks keep
DROP_PATH, ATTENTION_DROPOUT = 0.1, 0.1
Grid = tuple[int, int]  # rows and columns of tokens


class Tokenizer(nn.Module):
    """Convolutions to tokens: (B, 3, H, W) -> (B, N, ``dims``), row by row of the grid of :meth:`grid`.

    A stage is a convolution without bias, ReLU and a pool of 3 x 3 that halves.

    Args:
        dims: channels of a token.
        kernel: side of every convolution's kernel, odd; its stride is half of it, rounded down, less 1, at least 1.
        stages: how often.

    Raises:
        ValueError: the kernel is even.
    """

    def __init__(self, dims: int, kernel: int = 7, stages: int = 2) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"a kernel of {kernel}: wanted an odd one, which keeps a grid whole")
        stride = max(1, kernel // 2 - 1)
        self.step = (2 * stride) ** stages  # pixels between two tokens
        channels = [3, *[STEM_CHANNELS] * (stages - 1), dims]
        self.conv_layers = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(before, after, kernel, stride, max(1, kernel // 2), bias=False),
                    nn.ReLU(),
                    nn.MaxPool2d(3, 2, 1),
                )
                for before, after in pairwise(channels)
            )
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def grid(self, height: int, width: int) -> Grid:
        """Rows and columns of tokens.

        Raises:
            ValueError: a side is no multiple of the pixels between two tokens.
        """
        if height % self.step or width % self.step:
            raise ValueError(
                f"images of {height} x {width} pixels give no whole grid: wanted multiples of {self.step} pixels"
            )
        return height // self.step, width // self.step

    def forward(self, images: Tensor) -> Tensor:
        self.grid(*images.shape[2:])
        return self.conv_layers(images).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention of (..., N, D) among the N tokens of a grid; its queries, keys and values have no bias."""

    def __init__(self, dims: int, heads: int) -> None:
        super().__init__()
        if dims % heads:
            raise ValueError(f"{heads} heads: wanted a divisor of {dims} dimensions")
        self.heads = heads
        self.qkv = nn.Linear(dims, 3 * dims, bias=False)
        self.proj = nn.Linear(dims, dims)

    @property
    def dropout(self) -> float:
        """Of attention weights, in training."""
        return ATTENTION_DROPOUT if self.training else 0.0

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Attention inside each frame, whatever its grid; subclasses reach across frames."""
        qkv = self.qkv(tokens.flatten(0, -3)).unflatten(2, (3, self.heads, -1))  # (B, N, 3, heads, d)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, N, d)
        attended = functional.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout)
        return self.proj(attended.transpose(1, 2).flatten(2)).view_as(tokens)


class Block(nn.Module):
    """Attention, a norm of the stream itself, two linear layers: (..., N, D) -> (..., N, D).

    Args:
        dims: D.
        attention: which tokens attend to which.
        hidden: channels between the two linear layers.
        drop: the rate at which a branch is left out in training, drawn for each of the leading indices.
    """

    def __init__(self, dims: int, attention: Attention, hidden: int, drop: float) -> None:
        super().__init__()
        self.drop = drop
        self.pre_norm = nn.LayerNorm(dims)
        self.self_attn = attention
        self.linear1 = nn.Linear(dims, hidden)
        self.norm1 = nn.LayerNorm(dims)
        self.linear2 = nn.Linear(hidden, dims)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        tokens = tokens + self._dropped(self.self_attn(self.pre_norm(tokens), grid))
        tokens = self.norm1(tokens)
        return tokens + self._dropped(self.linear2(functional.gelu(self.linear1(tokens))))

    def _dropped(self, branch: Tensor) -> Tensor:
        if not self.training or not self.drop:
            return branch
        kept = torch.empty(*branch.shape[:-2], 1, 1, device=branch.device).bernoulli_(1 - self.drop)
        return branch * (kept / (1 - self.drop)).to(branch.dtype)


class Transformer(nn.Module):
    """Blocks over tokens, each grid row by row, and a norm: (..., N, D) -> (..., N, D).

    Args:
        dims: D.
        attentions: of the blocks, one each.
        grid: rows and columns that the positions are for; others interpolate them, as :func:`resized_positions` does.
        positions: learned, or by :func:`sinusoids`; "none": the attention knows them, and the positions, which the
            published weights have none the less, are not added.
        ratio: channels between a block's linear layers, over D.

    Attributes:
        checkpointing: whether blocks are worked out once more on the way back, so that training needs less memory.
    """

    def __init__(
        self,
        dims: int,
        attentions: Sequence[Attention],
        grid: Grid,
        *,
        positions: Literal["learned", "sinusoids", "none"] = "learned",
        ratio: int = 3,
    ) -> None:
        super().__init__()
        drops = [DROP_PATH * layer / (PUBLISHED_LAYERS - 1) for layer in range(len(attentions))]
        drops = [min(drop, DROP_PATH) for drop in drops]
        self.trained_grid, self.adds_positions, self.checkpointing = grid, positions != "none", False
        self.positional_emb = nn.Parameter(
            torch.zeros(1, math.prod(grid), dims), requires_grad=positions != "sinusoids"
        )
        self.attention_pool = nn.Linear(dims, 1)
        self.blocks = nn.ModuleList(
            Block(dims, attention, ratio * dims, drop) for attention, drop in zip(attentions, drops, strict=True)
        )
        self.norm = nn.LayerNorm(dims)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if positions == "sinusoids":
            self.positional_emb.data = sinusoids(math.prod(grid), dims)
        else:
            nn.init.trunc_normal_(self.positional_emb, std=0.2)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        if self.adds_positions:
            tokens = tokens + resized_positions(self.positional_emb, self.trained_grid, grid)
        for block in self.blocks:
            if self.checkpointing and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, grid, use_reentrant=False)
            else:
                tokens = block(tokens, grid)
        return self.norm(tokens)

    def pooled(self, tokens: Tensor) -> Tensor:
        """Tokens (B, N, D) of the last norm, weighted by what they are: (B, D). No place recognition method uses it."""
        weights = self.attention_pool(tokens).softmax(1)  # (B, N, 1)
        return (weights * tokens).sum(1)


class CCT(nn.Module):
    """Images to tokens: (B, 3, H, W) -> (B, N, D), of as many blocks as there are ``attentions``.

    Args:
        tokenizer: gives the tokens.
        classifier: the blocks, called as its authors call them; None: whoever takes the tokens has their own.
    """

    def __init__(self, tokenizer: Tokenizer, classifier: Transformer | None) -> None:
        super().__init__()
        self.tokenizer, self.classifier = tokenizer, classifier

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.tokenizer(images)
        return tokens if self.classifier is None else self.classifier(tokens, self.tokenizer.grid(*images.shape[2:]))


def resized_positions(positions: Tensor, trained: Grid, grid: Grid) -> Tensor:
    """Positions (1, N, D) of one grid at another, bicubic; the very same ones at the same grid."""
    if trained == grid:
        return positions
    planes = positions.transpose(1, 2).unflatten(2, trained)  # (1, D, rows, columns)
    resized = functional.interpolate(planes.float(), grid, mode="bicubic", align_corners=False)
    return resized.to(positions.dtype).flatten(2).transpose(1, 2)


def sinusoids(count: int, dims: int) -> Tensor:
    """Positions (1, ``count``, ``dims``) of Vaswani et al., "Attention Is All You Need", 2017, section 3.5."""
    rates = 10000.0 ** (-2 * torch.div(torch.arange(dims), 2, rounding_mode="floor") / dims)
    angles = torch.arange(count)[:, None] * rates
    angles[:, 0::2], angles[:, 1::2] = angles[:, 0::2].sin(), angles[:, 1::2].cos()
    return angles[None]
