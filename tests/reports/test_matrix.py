import numpy as np
import pytest

from opticornet.reports.matrix import contrast, similarity_matrix, to_bytes


def _unit(rows, dims, seed):
    vectors = np.random.default_rng(seed).standard_normal((rows, dims)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("max_side", [100, 7, 5, 1])
def test_each_value_is_the_largest_of_its_block(max_side):
    reference, query = _unit(23, 8, 0), _unit(17, 8, 1)
    matrix = similarity_matrix(reference, query, max_side, "rows")
    factor = matrix.factor
    assert max(matrix.values.shape) <= max_side
    full = query @ reference.T
    expected = [
        [full[i : i + factor, j : j + factor].max() for j in range(0, 23, factor)] for i in range(0, 17, factor)
    ]
    np.testing.assert_allclose(matrix.values, expected, atol=1e-6)
    assert matrix.shape == (17, 23)


def test_tiles_of_queries_join_without_a_seam(monkeypatch):
    reference, query = _unit(23, 8, 0), _unit(17, 8, 1)
    whole = similarity_matrix(reference, query, 12, "rows").values
    monkeypatch.setattr("opticornet.reports.matrix._BLOCK", 50)
    np.testing.assert_allclose(similarity_matrix(reference, query, 12, "rows").values, whole, atol=1e-6)


def test_bytes_span_the_range():
    assert to_bytes(np.array([-1.0, 0.0, 0.5, 1.0, 9.0]), 0.0, 1.0, levels=11).tolist() == [0, 0, 5, 10, 10]
    low, high = contrast(np.full((3, 3), 0.5, np.float32))
    assert low < high
