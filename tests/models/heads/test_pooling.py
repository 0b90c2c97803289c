"""Poolings by hand."""

import pytest
import torch

from opticornet.models.heads.pooling import build_pool

FEATURES = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 8.0]]]])


@pytest.mark.parametrize(
    ("name", "pooled"), [("gmp", (4.0, 8.0)), ("avg", (2.5, 2.0)), ("gem", (25.0 ** (1 / 3), 128.0 ** (1 / 3)))]
)
def test_positions_become_one_unit_vector(name, pooled):
    wanted = torch.nn.functional.normalize(torch.tensor([pooled]), dim=1)
    torch.testing.assert_close(build_pool(name, 2)(FEATURES), wanted)


def test_cells_of_the_grid_are_of_one_length_row_by_row():
    features = torch.zeros(1, 2, 8, 16)  # cells of 2 x 2 positions
    features[0, 0, :2, :2] = torch.tensor([[1.0, 2.0], [3.0, 6.0]])  # first cell: (3, 0)
    features[0, 1, 2:4, 14:] = 5.0  # last cell of the second row: (0, 5)
    features[0, :, 6:, :2] = torch.tensor([3.0, 4.0])[:, None, None]  # first cell of the last row
    pool = build_pool("grid", 2)
    cells = pool(features).unflatten(1, (4, 8, 2)) * 3**0.5
    wanted = torch.zeros(4, 8, 2)
    wanted[0, 0, 0] = wanted[1, 7, 1] = 1.0
    wanted[3, 0] = torch.tensor([0.6, 0.8])
    torch.testing.assert_close(cells[0], wanted)
    assert pool.out_dims == 64


def test_signed_means_keep_signs():
    torch.testing.assert_close(
        build_pool("gem", 2, signed=True)(torch.tensor([[[[1.0, 3.0]], [[-2.0, 0.0]]]])),
        torch.nn.functional.normalize(torch.tensor([[14 ** (1 / 3), -(4 ** (1 / 3))]]), dim=1),
    )


def test_another_name_is_refused():
    with pytest.raises(ValueError, match="pool must be gem, gmp, avg, grid or netvlad, got 'cls'"):
        build_pool("cls", 2)
