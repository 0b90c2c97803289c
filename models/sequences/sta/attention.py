"""Attention across the frames of a window: among all tokens, or in small windows of the grid.

Where relative positions count, the logit of a query q at (t, y, x) and a key at (t', y', x') has, beside their scaled
product, q . (R_t[t - t'] + R_y[y - y'] + R_x[x - x']), with q as it is and tables R that all heads share (Li et al.,
"MViTv2", CVPR 2022, equation 4). Here these terms are further channels of the queries, and the keys say by 0 and 1
which of them is theirs: one fused product gives all of it, and no matrix of biases is ever made.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from opticornet.models.images.cct import Attention, Grid

WINDOW, STRIDE = 6, 3  # tokens: side of a window of the grid, and how far the next one is
WINDOWS_AT_ONCE = 14  # of one size each, that the processor's cache holds
Extent = tuple[int, int, int]  # frames, rows, columns


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
            for axis, size in zip("thw", relative, strict=True):
                table = nn.Parameter(torch.empty(2 * size - 1, dims // heads))
                nn.init.trunc_normal_(table, std=0.02)
                self.register_parameter(f"rel_pos_{axis}", table)
        self.is_relative = relative is not None

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        q, k, v = self.projected(tokens, grid)  # (B, L, rows, columns, heads, d)
        q, k, v = (each.flatten(1, 3).transpose(1, 2) for each in (q, k, v))  # (B, heads, L N, d)
        attended = self.attend(q, k, v, (tokens.shape[1], *grid))
        return self.proj(attended.transpose(1, 2).flatten(2)).view_as(tokens)

    def projected(self, tokens: Tensor, grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, L, rows, columns, heads, d), once per token."""
        qkv = self.qkv(tokens).unflatten(3, (3, self.heads, -1)).unflatten(2, grid)
        q, k, v = qkv.unbind(4)
        return q, k, v

    def attend(self, q: Tensor, k: Tensor, v: Tensor, extent: Extent) -> Tensor:
        """Attention of (B, heads, T, d) among the T tokens of an extent, row by row of frame by frame."""
        if not self.is_relative:
            return functional.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout)
        dims, scale = q.shape[-1], q.shape[-1] ** -0.5
        terms, own = self.relative_terms(q, extent), which_term(extent, k)
        q = torch.cat([q * scale, terms], dim=-1)  # (B, heads, T, d + frames + rows + columns)
        k = torch.cat([k, own.expand(*k.shape[:-1], -1)], dim=-1)
        v = functional.pad(v, (0, own.shape[-1]))  # fused kernels take one width
        return functional.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout, scale=1.0)[..., :dims]

    def relative_terms(self, q: Tensor, extent: Extent) -> Tensor:
        """Each query's terms with the frames, rows and columns: (B, heads, T, d) -> (B, heads, T, sum of extent)."""
        axes = zip("thw", extent, strict=True)
        tables = [resized_table(self.get_parameter(f"rel_pos_{axis}"), size).flip(0) for axis, size in axes]
        products = (q @ torch.cat(tables).T).unflatten(2, extent)  # (B, heads, *extent, sum of 2 size - 1)
        found = []
        parts = products.split([len(table) for table in tables], dim=-1)
        for axis, (part, size) in enumerate(zip(parts, extent, strict=True), start=2):
            # a query at p and a key at m take row size - 1 + p - m: of the table turned round, a stretch for all keys
            stretches = [part.select(axis, p)[..., size - 1 - p : 2 * size - 1 - p] for p in range(size)]
            found.append(torch.stack(stretches, dim=axis))
        return torch.cat(found, dim=-1).flatten(2, 4)


class WindowedAttention(SpaceTimeAttention):
    """Attention inside windows of the grid that reach through all frames: (B, L, N, D) -> (B, L, N, D).

    A window has :data:`WINDOW` x :data:`WINDOW` tokens of each frame, less where the grid has less; one begins every
    :data:`STRIDE` tokens, and a last one ends at the border where that leaves a rest. What a token gets in the windows
    that hold it is added, not averaged: the published weights rely on it. So queries, keys and values are made
    once per token, and the output's projection is applied once to the sum, its bias times the number of windows.
    """

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        rows, columns = (window_starts(size) for size in grid)
        extent = (tokens.shape[1], window_side(grid[0]), window_side(grid[1]))
        index = window_tokens(rows, columns, extent, grid[1]).to(tokens.device)
        cut = (windows_of(each, index).split(WINDOWS_AT_ONCE) for each in self.projected(tokens, grid))
        attended = torch.cat([self.attend(q, k, v, extent) for q, k, v in zip(*cut, strict=True)])  # (B W, heads, T, d)
        windows = attended.unflatten(2, extent).unflatten(0, (-1, len(rows), len(columns)))
        windows = windows.permute(0, 4, 1, 5, 2, 6, 3, 7)  # (B, L, windows, height, windows, width, heads, d)
        summed = overlap_add(overlap_add(windows, 4, columns, grid[1]), 2, rows, grid[0])
        weighed = functional.linear(summed.flatten(2, 3).flatten(3), self.proj.weight)  # (B, L, N, D)
        return weighed + covered(rows, columns, grid).to(tokens.device)[:, None] * self.proj.bias


def window_side(size: int) -> int:
    """Tokens of a window along a side of ``size`` tokens."""
    return min(WINDOW, size)


def window_starts(size: int) -> list[int]:
    """Where windows begin along a side of ``size`` tokens."""
    last = max(size - WINDOW, 0)
    starts = list(range(0, last + 1, STRIDE))
    return starts if starts[-1] == last else [*starts, last]


def window_tokens(rows: list[int], columns: list[int], extent: Extent, width: int) -> Tensor:
    """Which tokens of a grid of that ``width`` each window holds, (W, height x width of a window) int64."""
    y = torch.tensor(rows)[:, None] + torch.arange(extent[1])  # (windows, height)
    x = torch.tensor(columns)[:, None] + torch.arange(extent[2])
    return (y[:, None, :, None] * width + x[None, :, None, :]).flatten(2).flatten(0, 1)


def windows_of(maps: Tensor, index: Tensor) -> Tensor:
    """The windows of maps (B, L, rows, columns, heads, d), each frame by frame: (B W, heads, T, d)."""
    taken = maps.flatten(2, 3).index_select(2, index.flatten()).unflatten(2, index.shape)
    return taken.permute(0, 2, 4, 1, 3, 5).flatten(3, 4).flatten(0, 1)  # of (B, L, W, tokens, heads, d)


def overlap_add(windows: Tensor, axis: int, starts: list[int], size: int) -> Tensor:
    """The sum of windows that begin at ``starts`` of a side: (..., W, w, ...), W at ``axis``, to (..., size, ...)."""
    shape = windows.shape
    out = windows.new_zeros(*shape[:axis], size, *shape[axis + 2 :])
    for number, start in enumerate(starts):
        out.narrow(axis, start, shape[axis + 1]).add_(windows.select(axis, number))
    return out


def covered(rows: list[int], columns: list[int], grid: Grid) -> Tensor:
    """How many windows hold each token, (N,)."""
    counts = [torch.zeros(size) for size in grid]
    for starts, count in zip((rows, columns), counts, strict=True):
        for start in starts:
            count[start : start + WINDOW] += 1
    return (counts[0][:, None] * counts[1]).flatten()


def which_term(extent: Extent, like: Tensor) -> Tensor:
    """For each token of an extent 1 at its frame, its row and its column, else 0: (T, sum of extent)."""
    axes = [torch.eye(size, device=like.device, dtype=like.dtype) for size in extent]
    places = torch.cartesian_prod(*(torch.arange(size, device=like.device) for size in extent))  # (T, 3)
    return torch.cat([axis[place] for axis, place in zip(axes, places.T, strict=True)], dim=1)


def resized_table(table: Tensor, size: int) -> Tensor:
    """A table of relative positions (2 n - 1, d), interpolated linearly for ``size`` places; itself for n."""
    wanted = 2 * size - 1
    if len(table) == wanted:
        return table
    return functional.interpolate(table.T[None].float(), wanted, mode="linear")[0].T.to(table.dtype)
