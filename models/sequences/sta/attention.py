"""Attention across the frames of a window: among all tokens, or in small windows of the grid.

Where relative positions count, the logit of a query q at (t, y, x) and a key at (t', y', x') has, beside their scaled
product, q . (R_t[t - t'] + R_y[y - y'] + R_x[x - x']), with q as it is and tables R that all heads share (Li et al.,
"MViTv2", CVPR 2022, equation 4). The products of a query with all rows of the tables are made once per token; windows
choose theirs of them. The sums are the mask of fused attention, for so many windows at a time as a cache holds.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from opticornet.models.images.cct import Attention, Grid

WINDOW, STRIDE = 6, 3  # tokens: side of a window of the grid, and how far the next one is
LOGITS_AT_ONCE = 1_600_000  # that a processor's cache holds: of all windows of 6 x 6 x 5, one head as published
ALL = 1 << 30
Extent = tuple[int, int, int]  # frames, rows, columns
AXES = ("t", "h", "w")  # as tables of relative positions are called


class SpaceTimeAttention(Attention):
    """Attention of every token (B, L, N, D) to all tokens of all frames.

    Args:
        dims, heads: as of :class:`.cct.Attention`.
        relative: frames, rows and columns that tables of relative positions are for; others interpolate them,
            linearly; None: without.
    """

    def __init__(self, dims: int, heads: int, relative: Extent | None) -> None:
        super().__init__(dims, heads)
        if relative is not None:
            for axis, size in zip(AXES, relative, strict=True):
                table = nn.Parameter(torch.empty(2 * size - 1, dims // heads))
                nn.init.trunc_normal_(table, std=0.02)
                self.register_parameter(f"rel_pos_{axis}", table)
        self.is_relative = relative is not None

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        extent = (tokens.shape[1], *grid)
        parts = zip(*(each.split(1) for each in self.projected(tokens, extent)), strict=True)  # of one window each
        attended = torch.cat([self.attend(extent, *part) for part in parts])  # (B, heads, L N, d)
        return self.proj(attended.transpose(1, 2).flatten(2)).view_as(tokens)

    def projected(self, tokens: Tensor, extent: Extent) -> tuple[Tensor, ...]:
        """Queries, keys and values (B, heads, L N, d) of tokens (B, L, N, D), and, where relative positions count, the
        queries' products with all rows of tables for an ``extent``, (B, heads, L N, sum of 2 size - 1)."""
        qkv = self.qkv(tokens.flatten(1, 2)).unflatten(2, (3, self.heads, -1))  # (B, L N, 3, heads, d)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        if not self.is_relative:
            return q, k, v
        axes = zip(AXES, extent, strict=True)
        tables = [resized_table(self.get_parameter(f"rel_pos_{axis}"), size).flip(0) for axis, size in axes]
        return q, k, v, q @ torch.cat(tables).T

    def attend(self, extent: Extent, q: Tensor, k: Tensor, v: Tensor, products: Tensor | None = None) -> Tensor:
        """Attention of (B, M, T, d) among the T tokens of an extent, row by row of frame by frame."""
        mask = None if products is None else relative_sums(products, extent)
        return functional.scaled_dot_product_attention(q, k, v, mask, dropout_p=self.dropout)


class WindowedAttention(SpaceTimeAttention):
    """Attention inside windows of the grid that reach through all frames: (B, L, N, D) -> (B, L, N, D).

    A window has :data:`WINDOW` x :data:`WINDOW` tokens of each frame, less where the grid has less; one begins every
    :data:`STRIDE` tokens, and a last one ends at the border where that leaves a rest. What a token gets in the windows
    that hold it is added, not averaged: the published weights rely on it. So queries, keys and values are made
    once per token, and the output's projection is applied once to the sum, its bias times the number of windows.
    """

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        tiling = Tiling(tokens.shape[1], grid)
        maps = zip(
            *(each.flatten(0, 1).split(tiling.at_once(tokens)) for each in self.projected(tokens, tiling.extent)),
            strict=True,
        )
        summed = torch.cat([self.summed(tiling, part) for part in maps])  # (B heads, L, rows, columns, d)
        summed = summed.unflatten(0, (-1, self.heads)).permute(0, 2, 3, 4, 1, 5)  # (B, L, rows, columns, heads, d)
        weighed = functional.linear(summed.flatten(2, 3).flatten(3), self.proj.weight)  # (B, L, N, D)
        return weighed + tiling.coverage().to(tokens.device)[:, None] * self.proj.bias

    def summed(self, tiling: "Tiling", maps: tuple[Tensor, ...]) -> Tensor:
        """What tokens get in all windows, of some heads' queries, keys, values, ... (M, L N, ...): (M, L, *grid, d)."""
        index = tiling.index().to(maps[0].device)
        cut = (each.index_select(1, index.flatten()).unflatten(1, index.shape) for each in maps)  # (M, W, T, ...)
        return tiling.added(self.attend(tiling.extent, *cut))


@dataclass(frozen=True)
class Tiling:
    """Windows of the grid that reach through all frames.

    Attributes:
        frames: L.
        grid: rows and columns of a frame's N tokens.
    """

    frames: int
    grid: Grid

    @property
    def starts(self) -> tuple[list[int], list[int]]:
        """The rows and the columns at which windows begin; their number is W."""
        return window_starts(self.grid[0]), window_starts(self.grid[1])

    @property
    def extent(self) -> Extent:
        """Frames, rows and columns of a window; their product is T."""
        return self.frames, window_side(self.grid[0]), window_side(self.grid[1])

    def at_once(self, like: Tensor) -> int:
        """How many heads' logits a cache holds; on a GPU all."""
        rows, columns = self.starts
        numbers = len(rows) * len(columns) * math.prod(self.extent) ** 2
        return max(1, LOGITS_AT_ONCE // numbers) if like.device.type == "cpu" else ALL

    def index(self) -> Tensor:
        """Which of the L N tokens each window holds, frame by frame: (W, T) int64."""
        (rows, columns), (frames, height, width) = self.starts, self.extent
        y = torch.tensor(rows)[:, None] + torch.arange(height)  # (windows, height)
        x = torch.tensor(columns)[:, None] + torch.arange(width)
        places = (
            (y[:, None, :, None] * self.grid[1] + x[None, :, None, :]).flatten(2).flatten(0, 1)
        )  # (W, height width)
        return (torch.arange(frames)[:, None] * math.prod(self.grid) + places[:, None]).flatten(1)

    def added(self, windows: Tensor) -> Tensor:
        """The sum of windows (M, W, T, d) where they overlap: (M, L, rows, columns, d)."""
        rows, columns = self.starts
        windows = windows.unflatten(2, self.extent).unflatten(1, (len(rows), len(columns)))
        windows = windows.permute(0, 3, 1, 4, 2, 5, 6)  # (M, L, windows, height, windows, width, d)
        return overlap_add(overlap_add(windows, 4, columns, self.grid[1]), 2, rows, self.grid[0])

    def coverage(self) -> Tensor:
        """How many windows hold each token of a frame, (N,)."""
        counts = [torch.zeros(size) for size in self.grid]
        for starts, count in zip(self.starts, counts, strict=True):
            for start in starts:
                count[start : start + WINDOW] += 1
        return (counts[0][:, None] * counts[1]).flatten()


def relative_sums(products: Tensor, extent: Extent) -> Tensor:
    """What relative positions add to each logit, (..., T, T), of queries' products (..., T, sum of 2 size - 1) with all
    rows of tables that were turned round."""
    parts = products.split([2 * size - 1 for size in extent], dim=-1)
    found = []
    for axis, (part, size) in enumerate(zip(parts, extent, strict=True), start=products.ndim - 2):
        # a query at p and a key at m take row size - 1 + p - m: of the table turned round, a stretch for all keys
        places = part.unflatten(-2, extent)
        stretches = [places.select(axis, p)[..., size - 1 - p : 2 * size - 1 - p] for p in range(size)]
        found.append(torch.stack(stretches, dim=axis).flatten(-4, -2))  # (..., T, size)
    frames, rows, columns = found
    inside = (rows[..., :, None] + columns[..., None, :]).flatten(-2)  # (..., T, rows columns)
    return (frames[..., :, None] + inside[..., None, :]).flatten(-2)


def window_side(size: int) -> int:
    """Tokens of a window along a side of ``size`` tokens."""
    return min(WINDOW, size)


def window_starts(size: int) -> list[int]:
    """Where windows begin along a side of ``size`` tokens."""
    last = max(size - WINDOW, 0)
    starts = list(range(0, last + 1, STRIDE))
    return starts if starts[-1] == last else [*starts, last]


def overlap_add(windows: Tensor, axis: int, starts: list[int], size: int) -> Tensor:
    """The sum of windows that begin at ``starts`` of a side: (..., W, w, ...), W at ``axis``, to (..., size, ...)."""
    shape = windows.shape
    out = windows.new_zeros(*shape[:axis], size, *shape[axis + 2 :])
    for number, start in enumerate(starts):
        out.narrow(axis, start, shape[axis + 1]).add_(windows.select(axis, number))
    return out


def resized_table(table: Tensor, size: int) -> Tensor:
    """A table of relative positions (2 n - 1, d), interpolated linearly for ``size`` places; itself for n."""
    wanted = 2 * size - 1
    if len(table) == wanted:
        return table
    return functional.interpolate(table.T[None].float(), wanted, mode="linear")[0].T.to(table.dtype)
