import numpy as np
import pytest
import torch

from opticornet.models.images.hog import BINS, build_hog, cell_histograms, normalise_blocks


def test_an_edge_fills_the_bins_of_its_direction():
    grey = np.zeros((16, 16), np.float32)
    grey[:, 4:] = 1  # brighter to the right: direction 0, between the centres of the last bin and the first
    cells = cell_histograms(grey)
    assert cells.shape == (2, 2, BINS)
    wanted = np.zeros(BINS)
    wanted[[0, -1]] = 8  # two columns of eight pixels, magnitude 1, half to each bin
    np.testing.assert_allclose(cells[0, 0], wanted, atol=1e-5)
    np.testing.assert_allclose(cells[:, 1], 0, atol=1e-5)
    opposite = cell_histograms(1 - grey)[0, 0]
    assert set(np.flatnonzero(opposite > 1e-3)) == {BINS // 2 - 1, BINS // 2}  # the sign is kept


def test_histograms_hold_the_whole_magnitude():
    grey = np.random.default_rng(0).random((32, 24), np.float32)
    padded = np.pad(grey, 1, mode="edge").astype(float)
    magnitude = np.hypot(padded[1:-1, 2:] - padded[1:-1, :-2], padded[2:, 1:-1] - padded[:-2, 1:-1])
    wanted = magnitude.reshape(4, 8, 3, 8).sum((1, 3))
    np.testing.assert_allclose(cell_histograms(grey).sum(2), wanted, rtol=1e-4)


def test_blocks_are_clipped_unit_vectors_in_raster_order():
    cells = np.random.default_rng(0).random((3, 4, BINS)).astype(np.float32) * 10
    blocks = normalise_blocks(cells)
    assert blocks.shape == (2, 3, 4 * BINS)
    by_hand = np.concatenate([cells[1, 2], cells[1, 3], cells[2, 2], cells[2, 3]]).astype(float)
    by_hand = np.minimum(by_hand / np.linalg.norm(by_hand), 0.2)
    np.testing.assert_allclose(blocks[1, 2], by_hand / np.linalg.norm(by_hand), rtol=1e-4)


def test_descriptor_does_not_see_brightness_or_contrast():
    encoder = build_hog()
    image = np.random.default_rng(0).integers(60, 120, (64, 64), np.uint8)
    first, second = (torch.from_numpy(encoder.preprocess(x))[None] for x in (image, 2 * image + 10))
    assert first.shape == (1, encoder.out_dims) == (1, 3136)
    assert torch.nn.functional.cosine_similarity(first, second).item() > 0.999
    assert encoder(first).norm().item() == pytest.approx(1)


def test_sizes_that_cannot_be_cut_into_cells_are_refused():
    with pytest.raises(ValueError, match="8x8 cells"):
        build_hog(image_size=(60, 64))
    with pytest.raises(ValueError, match="at least 2 per side"):
        build_hog(image_size=(8, 64))


def recall_at_1(queries, references, correct):
    nearest = (queries @ references.T).argmax(1)
    return correct(torch.arange(len(queries)), nearest).double().mean().item()


def test_accuracy_on_a_real_corridor(shared):
    from opticornet.datasets.images.sources import open_images

    encoder = build_hog()
    folder = shared / "data" / "corridor"
    described = []
    for name in ("query", "ref"):
        source = open_images(folder / name)
        raw = np.stack([encoder.preprocess(source.read(i, grey=True)) for i in range(len(source.names))])
        described.append(encoder(torch.from_numpy(raw)))
    table = torch.from_numpy(np.loadtxt(folder / "ground_truth.csv", delimiter=",", skiprows=1, dtype=int))
    first, last = table[:, 1], table[:, 2]
    recall = recall_at_1(*described, lambda query, found: (found >= first[query]) & (found <= last[query]))
    assert recall >= 0.5  # a plain 64x32 HOG: 0.41
