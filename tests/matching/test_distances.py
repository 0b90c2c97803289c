"""Distances by a matrix product against distances by differences."""

import numpy as np
import pytest
import torch

from opticornet.matching import distances
from opticornet.matching.distances import euclidean


def plain(query: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return np.linalg.norm(query[:, None].astype(np.float64) - reference[None], axis=2)


def unit_rows(generator, count: int, dims: int) -> np.ndarray:
    rows = generator.standard_normal((count, dims)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("scale", [1, 1000])
def test_equals_differences(scale):
    generator = np.random.default_rng(0)
    query, reference = scale * unit_rows(generator, 40, 300), scale * unit_rows(generator, 60, 300)
    ours = euclidean(torch.from_numpy(query), torch.from_numpy(reference))
    np.testing.assert_allclose(ours, plain(query, reference), rtol=5e-7)


@pytest.mark.parametrize("offset", [1e-6, 1e-4, 1e-2, 0.1, 0.24, 0.26])
def test_near_duplicates_keep_their_digits(offset):
    generator = np.random.default_rng(1)
    reference = unit_rows(generator, 50, 1024)
    query = reference + np.float32(offset) * unit_rows(generator, 50, 1024)
    ours = euclidean(torch.from_numpy(query), torch.from_numpy(reference))
    np.testing.assert_allclose(ours, plain(query, reference), atol=1e-6, rtol=1e-6)


def test_equal_rows_are_exactly_zero_apart():
    rows = torch.from_numpy(unit_rows(np.random.default_rng(2), 200, 512))
    assert not euclidean(rows, rows).diagonal().any()


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("common", [3.0, 30.0])
def test_rows_with_much_in_common_keep_their_digits_without_a_difference_for_every_pair(common, scaled, monkeypatch):
    recomputed = []
    plain_recompute = distances._recompute
    monkeypatch.setattr(
        distances,
        "_recompute",
        lambda squared, chosen, *rest: (recomputed.append(int(chosen.sum())), plain_recompute(squared, chosen, *rest)),
    )
    rows = np.random.default_rng(3).standard_normal((300, 64)).astype(np.float32) + np.float32(common)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / lengths
    query, reference = torch.from_numpy(unit[180:]), torch.from_numpy(rows if scaled else unit)
    scale = torch.from_numpy(1 / lengths[:, 0]) if scaled else None
    squared = torch.from_numpy(unit).square().sum(1)
    ours = euclidean(query, reference, None, squared, scale)
    np.testing.assert_allclose(ours, plain(unit[180:], unit), atol=2e-6)
    assert sum(recomputed) < 0.02 * ours.numel()


def test_clusters_far_apart_are_recomputed_pair_by_pair():
    generator = np.random.default_rng(4)
    centres = np.repeat(unit_rows(generator, 2, 256), 50, axis=0)
    rows = centres + np.float32(1e-3) * unit_rows(generator, 100, 256)
    np.testing.assert_allclose(euclidean(*map(torch.from_numpy, (rows, rows))), plain(rows, rows), atol=1e-6)
