"""Which rows of the dense map are local features."""

import torch

from opticornet.models.images.base import load_state
from opticornet.models.images.fol.local_features import enlarge, select_local, top_cells

CLOSE = {"rtol": 1e-4, "atol": 2e-6}


def test_local_head_matches_original(golden, tiny):
    arrays = golden("fol/fol_localhead")
    net = tiny(6, 4, 1, local_dims=(5, 4))
    for layer, number in ((net.upconv, 1), (net.upconv2, 2)):
        load_state(layer, {"weight": arrays[f"w{number}"], "bias": arrays[f"b{number}"]}, "local head")
    dense = net.local_map(arrays["in_x"])
    torch.testing.assert_close(dense[:, :, ::4, ::4], arrays["out_z_sub"], **CLOSE)
    torch.testing.assert_close(dense.sum((2, 3)), arrays["out_z_sum"], rtol=1e-4, atol=1e-4)
    mask = enlarge(arrays["in_mask"].unflatten(1, (23, 23)), (89, 89))
    assert torch.equal(mask, arrays["out_mask_nearest"].float())
    assert torch.equal(mask.sum((1, 2)), arrays["out_mask_count"])


def test_as_many_cells_as_there_are():
    confidence = torch.tensor([[0.1, 0.4, 0.3, 0.2]])
    assert top_cells(confidence, (2, 2), 2).tolist() == [[[False, True], [True, False]]]
    assert top_cells(confidence, (2, 2)).all()


def test_selected_rows_are_in_raster_order_and_padded():
    ramp = torch.arange(1.0, 57 * 57 + 1).view(1, 1, 57, 57)
    dense = torch.cat([ramp, torch.ones_like(ramp)], dim=1)
    mask = torch.ones(1, 15, 15)
    mask[0, 0, 0] = 0  # 57 = 4 * 15 - 3 pixels per side: the first cell covers 4x4
    local = select_local(dense, mask, 3600)
    tangent = local[0, :, 0] / local[0, :, 1]
    kept = [row * 57 + column + 1 for row in range(57) for column in range(57) if row > 3 or column > 3]
    torch.testing.assert_close(tangent[: len(kept)], torch.tensor(kept, dtype=torch.float32), rtol=1e-4, atol=0)
    assert local.shape == (1, 3600, 2)
    assert not local[0, len(kept) :].any()


def test_most_reliable_rows_come_first():
    """Rows of one patch, and of equally reliable ones, stay in raster order; what is not chosen is not there."""
    ramp = torch.arange(1.0, 26).view(1, 1, 5, 5)  # of 2 x 2 patches: the first row and column have 3 positions
    dense = torch.cat([ramp, torch.ones_like(ramp)], dim=1)
    reliability = torch.tensor([[[0.2, 0.0], [0.5, 0.2]]])
    local = select_local(dense, reliability, 20)
    found = (local[0, :, 0] / local[0, :, 1])[:19].round()
    best, tied = [16, 17, 18, 21, 22, 23], [1, 2, 3, 6, 7, 8, 11, 12, 13, 19, 20, 24, 25]
    assert found.tolist() == best + tied
    assert not local[0, 19:].any()
    assert torch.equal(select_local(dense, reliability, 8), local[:, :8])
