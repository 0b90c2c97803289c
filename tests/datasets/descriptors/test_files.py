from contextlib import suppress

import numpy as np
import pytest

from opticornet.datasets.descriptors import files as descriptor_files
from opticornet.datasets.descriptors.files import (
    DescriptorFiles,
    Progress,
    read_usable,
    unfinished_path,
    usable_path,
)
from opticornet.datasets.descriptors.local_files import LocalFiles, local_features_path
from opticornet.utils.errors import UserError


def files(tmp_path, encoder="hog", **options):
    return DescriptorFiles(tmp_path / "d.npy", {"encoder": encoder, "images": {"count": 3}}, **options)


def test_published_work_is_finished_and_another_encoder_is_refused(tmp_path):
    mine = files(tmp_path)
    assert not mine.is_finished()
    unfinished_path(mine.output).write_bytes(b"rows")
    mine.save_progress(Progress(images=3))
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


def test_rows_that_an_earlier_version_standardised_are_not_taken_for_plain_ones(tmp_path):
    mine = files(tmp_path)
    unfinished_path(mine.output).write_bytes(b"rows")
    mine.publish({"standardise": "traverse"})
    with pytest.raises(UserError, match=r"made otherwise \(standardise traverse, which earlier versions did\)"):
        mine.is_finished()
    unfinished_path(mine.output).write_bytes(b"rows")
    mine.publish({"standardise": "none"})
    assert mine.is_finished()


def test_killed_while_publishing_is_completed(tmp_path):
    mine = files(tmp_path, local=LocalFiles.beside(tmp_path / "d.npy", 3))
    for path in mine.arrays:
        unfinished_path(path).write_bytes(path.name.encode())
    mine.save_progress(Progress(images=3))
    unfinished_path(mine.arrays[1]).rename(mine.arrays[1])  # as far as an earlier run came
    descriptor_files.write_json(mine.record, mine.identity)
    assert not mine.is_finished()
    assert mine.read_progress() == Progress(images=3)
    mine.publish({})
    assert mine.is_finished()
    assert [path.read_bytes() for path in mine.arrays] == [b"d.npy", b"d-local.npy"]


def test_unfinished_work_of_another_kind_is_refused(tmp_path):
    unusable = [{"row": 0, "name": "a", "reason": "b"}]
    files(tmp_path).save_progress(Progress(images=2, unusable=unusable, shape=[3, 2, 2]))
    assert files(tmp_path).read_progress().usable.tolist() == [False, True]
    with pytest.raises(UserError, match="started otherwise and never finished"):
        files(tmp_path, "netvlad").read_progress()
    assert files(tmp_path, "netvlad", overwrite=True).read_progress() == Progress()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("usable", [None, np.array([True, False, True, True, True])])
@pytest.mark.parametrize("call", range(14))
def test_killed_at_any_step_of_publishing_gives_the_same_bytes(tmp_path, monkeypatch, call, usable, overwrite):
    """Every change of a name is a moment at which the process may end."""
    raw = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    mine = files(tmp_path, local=LocalFiles.beside(tmp_path / "d.npy", 5), overwrite=overwrite)
    if overwrite:
        for path in (*mine.arrays, usable_path(mine.output)):
            path.write_bytes(b"old")
    for path in mine.arrays:
        with unfinished_path(path).open("wb") as file:
            np.save(file, raw)
    mine.save_progress(Progress(images=5))
    made = []

    def dying(function):
        def step(*arguments, **named):
            made.append(function)
            if len(made) > call:
                raise Killed
            return function(*arguments, **named)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(descriptor_files.os, "replace", dying(descriptor_files.os.replace))
        patch.setattr(descriptor_files.Path, "unlink", dying(descriptor_files.Path.unlink))
        with suppress(Killed):
            mine.publish({}, usable=usable)
    if unfinished_path(mine.record).exists() and not mine.is_finished():
        assert mine.read_progress() == Progress(images=5)
        mine.publish({}, usable=usable)
    for path in mine.arrays:
        np.testing.assert_array_equal(np.load(path), raw)
    mask = [] if usable is None else ["d.usable.npy"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d-local.npy", "d.json", "d.npy", *mask]
    found = read_usable(mine.output, 5)
    assert (None if found is None else found.tolist()) == (None if usable is None else usable.tolist())


def test_a_run_that_described_nothing_stands_in_nobodys_way(tmp_path):
    files(tmp_path).save_progress(Progress())
    assert files(tmp_path, "netvlad").read_progress() == Progress()


def test_a_record_of_something_else_is_refused(tmp_path):
    (tmp_path / "d.json").write_text('{"my": "notes"}')
    with pytest.raises(UserError, match=r"d\.json exists and is no record of descriptors"):
        files(tmp_path).is_finished()
    assert not files(tmp_path, overwrite=True).is_finished()


def test_local_features_of_an_earlier_encoder_do_not_stay(tmp_path):
    mine = files(tmp_path, overwrite=True)
    beside = local_features_path(mine.output)
    beside.write_bytes(b"old")
    with pytest.raises(UserError, match="exists and was made otherwise"):
        files(tmp_path).is_finished()
    unfinished_path(mine.output).write_bytes(b"rows")
    mine.publish({})
    assert not beside.exists()


def test_whatever_says_which_rows_are_usable_is_checked(tmp_path):
    assert read_usable(tmp_path / "d.npy", 3) is None
    np.save(tmp_path / "d.usable.npy", [True, False, True])
    assert read_usable(tmp_path / "d.npy", 3).tolist() == [True, False, True]
    whole = (tmp_path / "d.usable.npy").read_bytes()
    for content in (whole[:20], whole[:-1], whole.replace(b"|b1", b"|u1"), b"", whole.replace(b"(3,)", b"(3, ")):
        (tmp_path / "d.usable.npy").write_bytes(content)
        with pytest.raises(UserError, match=r"d\.usable\.npy: .*extract"):
            read_usable(tmp_path / "d.npy", 3)
    (tmp_path / "d.usable.npy").write_bytes(whole)
    with pytest.raises(UserError, match=r"wanted \(4,\) bool, one per row of d\.npy"):
        read_usable(tmp_path / "d.npy", 4)


def test_progress_that_makes_no_sense_starts_again(tmp_path):
    mine = files(tmp_path)
    for progress in ({"images": 3, "rows": 3}, None):
        descriptor_files.write_json(unfinished_path(mine.record), {"identity": mine.identity, "progress": progress})
        assert mine.read_progress() == Progress()
