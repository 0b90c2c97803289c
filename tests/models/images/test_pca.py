import numpy as np
import pytest
import torch

from opticornet.models.images.pca import Projection, Projector, fit_projection
from opticornet.utils.errors import UserError


@pytest.fixture
def rows():
    generator = np.random.default_rng(0)
    return (generator.normal(size=(300, 12)) * np.linspace(5, 0.5, 12) + 2).astype(np.float32)


@pytest.mark.parametrize("memory", [1 << 30, 50 * 12 * 16])
def test_components_are_the_eigenvectors_of_the_covariance(rows, memory):
    found = fit_projection(rows, 4, whiten=False, fitted_on="", memory_bytes=memory)
    _, vectors = np.linalg.eigh(np.cov(rows.T.astype(float)))
    wanted = vectors[:, ::-1][:, :4].T
    alignment = np.abs((found.components * wanted).sum(1))  # the sign of an eigenvector is free
    tolerance = 1e-4 if memory > 1e6 else 0.05  # in blocks, what was truncated before is lost
    np.testing.assert_allclose(alignment, 1, atol=tolerance)
    np.testing.assert_allclose(found.mean, rows.mean(0), rtol=1e-4)


def test_whitening_gives_equal_variance(rows):
    found = fit_projection(rows, 4, whiten=True, fitted_on="")
    projected = (rows - found.mean) @ found.components.T
    np.testing.assert_allclose(np.cov(projected.T), np.eye(4), atol=1e-3)


def test_projected_descriptors_have_unit_length(rows):
    found = fit_projection(rows, 4, whiten=False, fitted_on="")
    projected = Projector(found, torch.device("cpu"))(torch.from_numpy(rows[:7]))
    assert projected.shape == (7, 4)
    torch.testing.assert_close(projected.norm(dim=1), torch.ones(7))


def test_a_projection_is_stored_without_pickles(rows, tmp_path):
    found = fit_projection(rows, 4, whiten=True, fitted_on="sha256 abc")
    found.save(tmp_path / "p.npz")
    again = Projection.load(tmp_path / "p.npz")
    np.testing.assert_array_equal(again.components, found.components)
    np.testing.assert_array_equal(again.mean, found.mean)
    assert again.whiten
    assert again.fitted_on == "sha256 abc"


def test_bad_fits_and_files(rows, tmp_path):
    with pytest.raises(UserError, match=r"`pca` 13: .* 300 rows of 12 dimensions; wanted 1 to 12"):
        fit_projection(rows, 13, whiten=False, fitted_on="")
    rows[3, 3] = np.nan
    with pytest.raises(UserError, match="NaN or infinity"):
        fit_projection(rows, 4, whiten=False, fitted_on="")
    with pytest.raises(UserError, match="no projection at"):
        Projection.load(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match="not a projection written by `pca`"):
        Projection.load(tmp_path / "bad.npz")
    np.savez(tmp_path / "other.npz", mean=np.zeros(3))
    with pytest.raises(UserError, match="not a projection written by `pca`"):
        Projection.load(tmp_path / "other.npz")
