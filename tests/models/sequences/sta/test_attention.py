"""Attention across frames against the numbers of the original, and against its definition."""

import pytest
import torch
from torch.nn import functional

from opticornet.models.images.cct import Block
from opticornet.models.sequences.sta import attention
from opticornet.models.sequences.sta.attention import (
    AXES,
    SpaceTimeAttention,
    Tiling,
    WindowedAttention,
    resized_table,
    window_starts,
)

CLOSE, GRID = {"rtol": 1e-4, "atol": 2e-6}, (24, 24)


@pytest.fixture
def check_against(golden, state_of):
    """check_against(module, name): output and gradients, of 5 frames each, are those of a file."""

    def check(module: torch.nn.Module, name: str) -> None:
        fixture = golden(f"sta/{name}")
        module.load_state_dict(state_of(fixture))
        compare(module.eval(), fixture, 5)

    return check


def compare(module, fixture, length):
    tokens = fixture["in_x"].requires_grad_()
    out = module(tokens.unflatten(0, (-1, length)), GRID).flatten(0, 1)
    torch.testing.assert_close(out, fixture["out_y"], **CLOSE)
    (out * fixture["in_G"]).sum().backward()
    wanted = {"x": fixture["grad_x"]} | {k[5:]: v for k, v in fixture.items() if k.startswith("grad/")}
    found = {"x": tokens.grad} | {key: p.grad for key, p in module.named_parameters()}
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value, rtol=1e-3, atol=2e-6 * value.abs().max().item() + 2e-6)


@pytest.mark.parametrize(("name", "relative"), [("rel", (5, 6, 6)), ("norel", None)])
def test_windows_are_attended_as_in_the_original(check_against, name, relative):
    check_against(WindowedAttention(12, 3, relative), f"sta_attn_temporal_{name}")


def test_all_frames_are_attended_as_in_the_original(check_against):
    check_against(SpaceTimeAttention(8, 2, (5, 24, 24)), "sta_attn_spatial_rel")


def test_a_block_is_that_of_the_original(check_against):
    check_against(Block(12, WindowedAttention(12, 3, (5, 6, 6)), 36, 0.0), "sta_layer_temporal")


def by_definition(module, tokens, grid):
    """Window by window: all of attention with its projection, added up."""
    (rows, columns), out = grid, torch.zeros_like(tokens).unflatten(2, grid)
    maps, height, width = tokens.unflatten(2, grid), min(6, grid[0]), min(6, grid[1])
    for top in window_starts(rows):
        for left in window_starts(columns):
            window = maps[:, :, top : top + height, left : left + width]
            part = window.flatten(1, 3)  # (B, T, D)
            q, k, v = module.qkv(part).unflatten(2, (3, module.heads, -1)).permute(2, 0, 3, 1, 4)
            logits = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5
            if module.is_relative:
                places = torch.cartesian_prod(*(torch.arange(n) for n in window.shape[1:4]))
                for axis, size, place in zip(AXES, window.shape[1:4], places.T, strict=True):
                    table = resized_table(getattr(module, f"rel_pos_{axis}"), size)
                    logits = logits + torch.einsum("bhnd,nmd->bhnm", q, table[place[:, None] - place + size - 1])
            attended = module.proj((logits.softmax(3) @ v).transpose(1, 2).flatten(2))
            out[:, :, top : top + height, left : left + width] += attended.view_as(window)
    return out.flatten(2, 3)


@pytest.mark.parametrize("at_once", [1, 1_600_000])
@pytest.mark.parametrize("relative", [None, (3, 6, 6), (5, 4, 6)])
@pytest.mark.parametrize(("length", "grid"), [(3, (9, 12)), (2, (4, 8)), (4, (7, 6)), (1, (2, 11))])
def test_any_grid_is_tiled_by_windows(relative, length, grid, at_once, monkeypatch):
    monkeypatch.setattr(attention, "LOGITS_AT_ONCE", at_once)
    torch.manual_seed(0)
    module = WindowedAttention(8, 2, relative).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    tokens = torch.randn(2, length, grid[0] * grid[1], 8)
    with torch.no_grad():
        torch.testing.assert_close(module(tokens, grid), by_definition(module, tokens, grid), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "starts"),
    [(24, [0, 3, 6, 9, 12, 15, 18]), (6, [0]), (4, [0]), (7, [0, 1]), (8, [0, 2]), (9, [0, 3]), (10, [0, 3, 4])],
)
def test_the_last_window_ends_at_the_border(size, starts):
    assert window_starts(size) == starts


def test_tokens_are_covered_once_at_the_border_and_four_times_inside():
    coverage = Tiling(5, GRID).coverage().view(GRID)
    assert (coverage[0, 0], coverage[2, 3], coverage[3, 3], coverage[20, 20], coverage[23, 20]) == (1, 2, 4, 4, 2)


def test_tables_are_interpolated_where_sizes_differ_only():
    table = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    assert resized_table(table, 5) is table
    expected = functional.interpolate(table.T[None], size=13, mode="linear")[0].T
    torch.testing.assert_close(resized_table(table, 7), expected)
