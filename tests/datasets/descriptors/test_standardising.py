import numpy as np

from opticornet.datasets.descriptors import standardising
from opticornet.datasets.descriptors.standardising import standardise


def test_standardise_is_the_plain_formula_in_any_blocks(tmp_path, monkeypatch):
    rows = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    rows[:, 2] = 0.1  # never varies
    np.save(tmp_path / "d.npy", rows)
    monkeypatch.setattr(standardising, "BLOCK_BYTES", 7 * 4 * 8)
    standardise(tmp_path / "d.npy", tmp_path / "s.npy")
    wanted = np.delete((rows - rows.mean(0)) / rows.std(0), 2, axis=1)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    found = np.load(tmp_path / "s.npy")
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.delete(found, 2, axis=1), wanted, atol=1e-5)
    np.testing.assert_array_equal(found[:, 2], 0)
    np.testing.assert_array_equal(np.load(tmp_path / "d.npy"), rows)


def test_rows_that_are_not_usable_take_no_part_and_become_zeros(tmp_path):
    rows = np.random.default_rng(0).normal(3, 2, (20, 4)).astype(np.float16)
    usable = np.arange(20) % 4 != 1
    np.save(tmp_path / "kept.npy", rows[usable])
    rows[~usable] = 0
    np.save(tmp_path / "d.npy", rows)
    standardise(tmp_path / "d.npy", tmp_path / "s.npy", usable)
    standardise(tmp_path / "kept.npy", tmp_path / "k.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "s.npy")[usable], np.load(tmp_path / "k.npy"))
    assert not np.load(tmp_path / "s.npy")[~usable].any()
