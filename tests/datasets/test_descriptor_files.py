import numpy as np
import pytest

from datasets import descriptor_files
from datasets.descriptor_files import DescriptorFiles, Progress, part_of, standardise
from utils.errors import UserError


def files(tmp_path, encoder="hog", **options):
    return DescriptorFiles(tmp_path / "d.npy", {"encoder": encoder, "images": {"count": 3}}, **options)


def test_standardise_is_the_plain_formula_in_any_blocks(tmp_path, monkeypatch):
    rows = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    rows[:, 2] = 0.1  # never varies
    np.save(tmp_path / "d.npy", rows)
    monkeypatch.setattr(descriptor_files, "BLOCK_BYTES", 7 * 4 * 8)
    standardise(tmp_path / "d.npy")
    wanted = np.delete((rows - rows.mean(0)) / rows.std(0), 2, axis=1)
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    found = np.load(tmp_path / "d.npy")
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.delete(found, 2, axis=1), wanted, atol=1e-5)
    np.testing.assert_array_equal(found[:, 2], 0)
    assert not part_of(tmp_path / "d.npy").exists()


def test_published_work_is_finished_and_another_encoder_is_refused(tmp_path):
    mine = files(tmp_path)
    assert not mine.is_finished()
    part_of(mine.output).write_bytes(b"rows")
    mine.save_progress(Progress(images=3, rows=3))
    mine.publish({"names": ["a", "b", "c"]})
    assert mine.is_finished()
    assert mine.output.read_bytes() == b"rows"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.json", "d.npy"]
    with pytest.raises(UserError, match="encoder hog, now netvlad"):
        files(tmp_path, "netvlad").is_finished()
    assert not files(tmp_path, "netvlad", overwrite=True).is_finished()
    mine.record.unlink()
    with pytest.raises(UserError, match="no readable record"):
        mine.is_finished()


def test_killed_while_publishing_is_completed(tmp_path):
    mine = files(tmp_path, with_local=True)
    for path in mine.arrays:
        part_of(path).write_bytes(path.name.encode())
    mine.save_progress(Progress(images=3, rows=3))
    part_of(mine.local).rename(mine.local)  # as far as an earlier run came
    descriptor_files.write_json(mine.record, mine.identity)
    assert not mine.is_finished()
    assert mine.read_progress() == Progress(images=3, rows=3)
    mine.publish({})
    assert mine.is_finished()
    assert [path.read_bytes() for path in mine.arrays] == [b"d.npy", b"d-local.npy"]


def test_unfinished_work_of_another_kind_is_refused(tmp_path):
    files(tmp_path).save_progress(Progress(images=2, rows=1, skipped=[{"name": "a", "reason": "b"}], shape=[3, 2, 2]))
    assert files(tmp_path).read_progress().rows == 1
    with pytest.raises(UserError, match="begun otherwise and never finished"):
        files(tmp_path, "netvlad").read_progress()
    assert files(tmp_path, "netvlad", overwrite=True).read_progress() == Progress()
