import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import opticornet.steps.extraction.trained
from opticornet.datasets.descriptors.files import usable_path
from opticornet.datasets.images.decoding import decode
from opticornet.models.images.base import ImageEncoder, ImageEncoderOptions, Preprocess, WeightsRecord
from opticornet.steps.extract import ExtractOptions, extract
from opticornet.utils.errors import UserError
from opticornet.utils.signals import Interrupted


@pytest.fixture
def photos(tmp_path):
    """Ten small images, all different."""
    folder = tmp_path / "photos"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for i in range(10):
        Image.fromarray(generator.integers(0, 255, (48, 64, 3), np.uint8)).save(folder / f"{i}.png")
    return folder


def options(photos, name="out.npy", **changes):
    return ExtractOptions.of(
        **{
            "images": str(photos),
            "desc_type": "hog",
            "output": str(photos.parent / name),
            "batch_size": 3,
            "threads": -1,
            "quiet": True,
        }
        | changes
    )


def record_of(path):
    return json.loads(path.with_suffix(".json").read_text())


def usable_of(path):
    return np.load(usable_path(path))


class Toy(ImageEncoder):
    """Mean colours of the halves, and two local rows; can be made to misbehave at a given batch."""

    out_dims = 6
    local_shape = (2, 3)

    def __init__(self, misbehave=None):
        super().__init__()
        self.preprocess = Preprocess(None)
        self.weights = WeightsRecord("random", "toy")
        self.misbehave = misbehave
        self.batches = 0

    def local_by_reliability(self, images, features):
        self.batches += 1
        if self.misbehave:
            self.misbehave(self.batches)
        local = images.unflatten(3, (2, -1)).mean((2, 4)).transpose(1, 2)  # (B, 2, 3)
        return nn.functional.normalize(local.flatten(1), dim=1), local[:, :features]

    def forward(self, images):
        return self.local_by_reliability(images, 2)[0]


@dataclass(frozen=True, kw_only=True)
class ToyOptions(ImageEncoderOptions):
    def build(self):
        return Toy()


@pytest.fixture
def toy(monkeypatch):
    def install(misbehave=None):
        encoder = Toy(misbehave)
        monkeypatch.setitem(opticornet.models.images.IMAGE_ENCODERS, "toy", ToyOptions)
        monkeypatch.setattr(opticornet.steps.extraction.trained, "build_from_options", lambda *_: encoder)
        return encoder

    return install


def test_each_image_becomes_the_row_of_its_place(photos):
    path = extract(options(photos))
    rows, record = np.load(path), record_of(path)
    assert rows.shape == (10, 3136)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    assert record["names"] == [f"{i}.png" for i in range(10)]
    assert record["encoder"] == "hog"
    assert record["dims"] == 3136
    assert record["preprocess"] == {"kind": "Hog", "size": [64, 64]}
    assert record["weights"]["kind"] == "none"
    assert record["versions"].keys() >= {"python", "torch", "numpy", "PIL", "cv2", "torchvision", "timm"}
    encoder = opticornet.models.images.build.build_image_encoder("hog")
    alone = encoder(torch.from_numpy(encoder.preprocess(decode(photos / "7.png", grey=True)))[None])
    np.testing.assert_allclose(rows[7], alone[0], atol=1e-6)
    assert sorted(file.name for file in photos.parent.iterdir()) == ["out.json", "out.npy", "photos"]


def test_pictures_of_other_kinds_are_counted(photos, capsys):
    (photos / "a.heic").touch()
    (photos / "b.GIF").touch()
    extract(options(photos))
    assert f"{photos}: passed over 1 .gif, 1 .heic" in capsys.readouterr().err


def test_half_and_workers_and_a_list(photos):
    whole = np.load(extract(options(photos)))
    (photos / "list.txt").write_text("4.png\n2.png\n")
    half = extract(options(photos, "half.npy", images=str(photos / "list.txt"), half=True, threads=2))
    assert np.load(half).dtype == np.float16
    np.testing.assert_allclose(np.load(half), whole[[4, 2]], atol=1e-3)
    assert record_of(half)["names"] == ["4.png", "2.png"]


@pytest.mark.parametrize(
    "encoder",
    [
        {"desc_type": "hog"},
        {"desc_type": "thumbnail"},
        {"desc_type": "resnet18", "weights": "random", "image_size": (64, 96)},
        {"desc_type": "dinov2_vits14", "weights": "random", "image_size": (56, 70)},
    ],
)
def test_batch_size_does_not_matter(photos, encoder):
    one, four = (np.load(extract(options(photos, f"{size}.npy", batch_size=size, **encoder))) for size in (1, 4))
    np.testing.assert_allclose(one, four, rtol=0, atol=1e-5)


def test_amp_moves_descriptors_a_little_and_is_recorded(photos):
    encoder = {"desc_type": "resnet18", "weights": "random", "image_size": (64, 96)}
    exact = np.load(extract(options(photos, "exact.npy", **encoder)))
    path = extract(options(photos, amp=True, **encoder))
    assert np.load(path).dtype == np.float32
    difference = np.abs(np.load(path) - exact).max()
    assert 0 < difference < 0.02
    assert record_of(path)["amp"] is True


def test_random_weights_are_said_to_be_random(photos, capsys):
    path = extract(options(photos, desc_type="resnet18", weights="random", image_size=(32, 32)))
    assert record_of(path)["weights"] == {"kind": "random", "name": "seed 0", "sha256": None}
    assert record_of(path)["pool"] == "gem"
    assert "weights are random" in capsys.readouterr().err


def test_finished_work_is_skipped(photos, toy):
    encoder = toy()
    path = extract(options(photos))
    before, batches = path.stat().st_mtime_ns, encoder.batches
    assert extract(options(photos, batch_size=7)) == path
    assert path.stat().st_mtime_ns == before
    assert encoder.batches == batches == 4


KILLED = """
import os, signal, sys
sys.path[:0] = [{root!r}, {tests!r}]
import opticornet.steps.extraction.trained
import opticornet.steps.extract as extract
import opticornet.steps.extraction.write as write
from test_extract import Toy, ToyOptions
def kill(batch):
    if batch == 3:
        os.kill(os.getpid(), signal.SIGKILL)
write.SAVE_EVERY_S = {every}
opticornet.models.images.IMAGE_ENCODERS["toy"] = ToyOptions
opticornet.steps.extraction.trained.build_from_options = lambda *_: Toy(kill)
extract.extract(extract.ExtractOptions.of(images={images!r}, desc_type="toy", output={output!r}, batch_size=3,
                                          threads=-1, quiet=True, local=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("every", "certain"), [(0.0, 6), (1e9, 0)])
def test_a_killed_run_continues_and_writes_the_same_bytes(photos, toy, root, every, certain):
    for i in (1, 7):  # black; the batches hold other images too
        Image.new("RGB", (64, 48)).save(photos / f"{i}.png")
    output = photos.parent / "killed.npy"
    code = KILLED.format(
        root=str(root), tests=str(Path(__file__).parent), every=every, images=str(photos), output=str(output)
    )
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not output.exists()
    progress = json.loads((photos.parent / "killed.json.part").read_text())["progress"]
    assert progress["images"] == certain
    encoder = toy()
    extract(options(photos, "killed.npy", desc_type="toy", local=True))
    assert encoder.batches == (10 - certain + 2) // 3  # only what was missing
    extract(options(photos, "straight.npy", desc_type="toy", local=True))
    assert np.flatnonzero(~usable_of(output)).tolist() == [1, 7]
    for ending in (".npy", "-local.npy", ".usable.npy", ".json"):
        straight = photos.parent / f"straight{ending}"
        assert straight.read_bytes() == (photos.parent / f"killed{ending}").read_bytes()


def test_local_features_lie_beside_the_descriptors(photos, toy):
    toy()
    path = extract(options(photos, local=True, half=True))
    local = np.load(photos.parent / "out-local.npy")
    assert local.shape == (10, 2, 3)
    assert local.dtype == np.float16
    unit = local.reshape(10, 6) / np.linalg.norm(local.reshape(10, 6), axis=1, keepdims=True)
    np.testing.assert_allclose(np.load(path), unit, atol=2e-3)
    assert record_of(path)["local_shape"] == [2, 3]


def test_a_stop_request_saves_what_is_done(photos, toy):
    toy(lambda batch: os.kill(os.getpid(), signal.SIGTERM) if batch == 2 else None)
    with pytest.raises(Interrupted, match="stopped after 6 of 10 images; the same command continues"):
        extract(options(photos))
    encoder = toy()
    path = extract(options(photos))
    assert encoder.batches == 2
    assert path.read_bytes() == extract(options(photos, "straight.npy")).read_bytes()


def test_a_stop_request_that_also_ends_the_workers_is_no_error(photos, toy, monkeypatch):
    import opticornet.steps.extraction.encode as module

    toy()
    batches = module.image_batches

    def ended(*arguments, **named):
        yield next(batches(*arguments, **named))
        os.kill(os.getpid(), signal.SIGTERM)
        raise UserError("a decoding worker was stopped by the system")

    monkeypatch.setattr(module, "image_batches", ended)
    with pytest.raises(Interrupted, match="stopped after 3 of 10 images"):
        extract(options(photos))


def test_a_corrupt_image_stops_with_its_name_or_is_marked(photos, capsys):
    whole = np.load(extract(options(photos, "whole.npy")))
    content = (photos / "4.png").read_bytes()
    (photos / "4.png").write_bytes(content[: len(content) // 2])
    (photos / "8.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot decode the image 4\.png: .*truncated.*`skip_bad_images`") as error:
        extract(options(photos))
    assert "\n" not in str(error.value)
    path = extract(options(photos, skip_bad_images=True, quiet=False))  # continues
    assert capsys.readouterr().out == f"{path}: 10 x 3136 float32; 2 damaged, marked as not usable\n"
    whole[[4, 8]] = 0
    np.testing.assert_array_equal(np.load(path), whole)
    assert np.flatnonzero(~usable_of(path)).tolist() == [4, 8]
    assert [(image["row"], image["name"]) for image in record_of(path)["unusable"]] == [(4, "4.png"), (8, "8.png")]
    assert record_of(path)["unusable"][1]["reason"] == "the file is empty"
    assert record_of(path)["names"] == [f"{i}.png" for i in range(10)]


@pytest.fixture
def tunnel(photos):
    """Photos of which one is black, one white, one grey, one damaged."""
    Image.new("RGB", (64, 48)).save(photos / "2.png")
    Image.new("RGB", (64, 48), (255, 255, 255)).save(photos / "5.png")
    Image.fromarray(np.random.default_rng(9).integers(100, 103, (48, 64), np.uint8)).save(photos / "6.png")
    (photos / "7.png").write_bytes(b"no image")
    return photos


@pytest.mark.parametrize(
    "encoder",
    [{"desc_type": "hog"}, {"desc_type": "thumbnail"}, {"desc_type": "resnet18", "weights": "random", "half": True}],
)
def test_frames_without_contrast_are_marked_and_nothing_stops(tunnel, capsys, encoder):
    (tunnel / "7.png").unlink()
    path = extract(options(tunnel, quiet=False, image_size=(32, 64), **encoder))
    assert "3 without contrast, marked as not usable" in capsys.readouterr().out
    assert usable_of(path).tolist() == [True, True, False, True, True, False, False, True, True]
    assert usable_of(path).tolist() == np.load(path).any(axis=1).tolist()
    reasons = [(image["name"], image["reason"]) for image in record_of(path)["unusable"]]
    assert reasons == [(f"{i}.png", "no contrast") for i in (2, 5, 6)]


def test_an_encoder_that_sees_nothing_in_an_image_marks_it_before_it_is_projected(photos):
    Image.fromarray(np.indices((48, 64)).sum(0).astype(np.uint8) % 2 * 9).save(photos / "3.png")  # gone when shrunk
    path = extract(options(photos, desc_type="thumbnail", image_size=(16, 16), pca=4, pca_from=str(photos)))
    assert np.flatnonzero(~usable_of(path)).tolist() == [3]
    assert not np.load(path)[3].any()
    plain = np.load(photos.parent / "out.pca-train.npy")
    with np.load(photos.parent / "out.pca.npz") as projection:
        np.testing.assert_allclose(projection["mean"], np.delete(plain, 3, axis=0).mean(0), atol=1e-6)


def test_marks_of_an_earlier_extraction_do_not_stay(tunnel):
    path = extract(options(tunnel, skip_bad_images=True))
    for i in (2, 5, 6, 7):
        shutil.copyfile(tunnel / "1.png", tunnel / f"{i}.png")
    extract(options(tunnel, overwrite=True))
    assert not usable_path(path).exists()
    assert record_of(path)["unusable"] == []


def test_marked_rows_survive_a_stop(tunnel, toy):
    toy(lambda batch: os.kill(os.getpid(), signal.SIGTERM) if batch == 2 else None)
    with pytest.raises(Interrupted, match="stopped after 6 of 10 images"):
        extract(options(tunnel, skip_bad_images=True))
    toy()
    path = extract(options(tunnel, skip_bad_images=True))
    straight = extract(options(tunnel, "straight.npy", skip_bad_images=True))
    assert path.read_bytes() == straight.read_bytes()
    assert usable_path(path).read_bytes() == usable_path(straight).read_bytes()
    assert np.flatnonzero(~usable_of(path)).tolist() == [2, 5, 6, 7]


def test_nothing_but_corrupt_images(photos):
    for image in photos.iterdir():
        image.write_bytes(b"")
    with pytest.raises(UserError, match=r"none of the 10 images of .* can be used, first 0\.png: the file is empty"):
        extract(options(photos, skip_bad_images=True))
    assert not (photos.parent / "out.npy").exists()


@pytest.mark.parametrize("odd", [3, 4])  # first of a batch, and inside one
def test_images_of_different_sizes_need_a_size(photos, toy, odd):
    Image.new("RGB", (20, 20)).save(photos / f"{odd}.png")
    toy()
    with pytest.raises(UserError, match=rf"image {odd}\.png is not 48 x 64 pixels .*`image_size`"):
        extract(options(photos))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"desc_type": "thumbnail"}, "made otherwise \\(encoder hog, now thumbnail\\)"),
        ({"image_size": (32, 64)}, "preprocess size \\[64, 64\\], now \\[32, 64\\]"),
        ({"half": True}, "dtype float32, now float16"),
    ],
)
def test_another_extraction_is_refused_without_overwrite(photos, changes, message):
    path = extract(options(photos))
    before = path.read_bytes()
    with pytest.raises(UserError, match=message):
        extract(options(photos, **changes))
    assert path.read_bytes() == before
    extract(options(photos, overwrite=True, **changes))
    assert path.read_bytes() == extract(options(photos, "fresh.npy", **changes)).read_bytes()


def test_other_images_are_refused(photos):
    path = extract(options(photos))
    (photos / "9.png").unlink()
    with pytest.raises(UserError, match=r"made otherwise \(of 10 images, now there are 9\):"):
        extract(options(photos))
    path.with_suffix(".json").unlink()
    with pytest.raises(UserError, match="no readable record beside it"):
        extract(options(photos))


@pytest.fixture
def growing(photos):
    """A drive of seven of the photos, one of them black, and what appends the other three, one of them white."""
    Image.new("RGB", (64, 48)).save(photos / "1.png")
    Image.new("RGB", (64, 48), (255, 255, 255)).save(photos / "8.png")
    later = photos.parent / "later"
    later.mkdir()
    for i in (7, 8, 9):
        (photos / f"{i}.png").rename(later / f"{i}.png")

    def append():
        for path in later.iterdir():
            path.rename(photos / path.name)

    return photos, append


@pytest.mark.parametrize("encoder", [{"desc_type": "hog"}, {"desc_type": "resnet18", "weights": "random"}])
def test_frames_appended_to_a_drive_are_appended_to_its_rows(growing, encoder):
    photos, append = growing
    encoder |= {"image_size": (32, 32)}
    path = extract(options(photos, **encoder))
    assert len(np.load(path)) == 7
    append()
    extract(options(photos, **encoder))
    straight = extract(options(photos, "straight.npy", **encoder))
    assert path.read_bytes() == straight.read_bytes()
    assert usable_path(path).read_bytes() == usable_path(straight).read_bytes()
    assert record_of(path) == record_of(straight)
    assert len(list(photos.parent.glob("out*"))) == 3  # nothing unfinished is left


def test_only_the_batch_that_was_not_full_and_new_images_are_encoded(growing, toy):
    photos, append = growing
    toy()
    extract(options(photos))
    append()
    encoder = toy()
    assert len(np.load(extract(options(photos)))) == 10
    assert encoder.batches == 2  # images 6 to 8, and 9


def test_appending_that_is_stopped_keeps_the_finished_rows_and_continues(growing, toy):
    photos, append = growing
    toy()
    path = extract(options(photos, local=True))
    before = path.read_bytes()
    append()
    toy(lambda batch: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted, match="stopped after 9 of 10 images"):
        extract(options(photos, local=True))
    assert path.read_bytes() == before
    shutil.copyfile(photos / "0.png", photos / "a.png")  # and more frames meanwhile
    toy()
    extract(options(photos, local=True))
    straight = extract(options(photos, "straight.npy", local=True))
    for ending in (".npy", "-local.npy", ".usable.npy", ".json"):
        assert straight.with_name(f"straight{ending}").read_bytes() == path.with_name(f"out{ending}").read_bytes()


def test_images_that_changed_or_lie_between_are_not_appended(growing):
    photos, append = growing
    path = extract(options(photos))
    before = path.read_bytes()
    append()
    shutil.copyfile(photos / "4.png", photos / "3.png")
    with pytest.raises(UserError, match="of 7 images, now there are 10, of which the first 7 are not the same"):
        extract(options(photos))
    (photos / "3.png").rename(photos / "b.png")
    with pytest.raises(UserError, match="of 7 images, now there are 10, of which the first 7 are not the same"):
        extract(options(photos))
    assert path.read_bytes() == before


def test_appending_does_not_change_the_range_of_deep_images(thermal):
    (thermal / "first.txt").write_text("".join(f"{i}.png\n" for i in range(6)))
    path = extract(options(thermal, images=str(thermal / "first.txt")))
    (thermal / "first.txt").write_text("".join(f"{i}.png\n" for i in range(10)))
    with pytest.raises(UserError, match=r"images range \[7600.*\], now \[7601") as error:
        extract(options(thermal, images=str(thermal / "first.txt")))
    assert "`levels` keeps" in str(error.value)
    low, high = record_of(path)["images"]["range"]
    extract(options(thermal, images=str(thermal / "first.txt"), levels=(low, high)))
    assert len(np.load(path)) == 10


def test_a_finished_extraction_needs_nothing_to_be_writable(tunnel, monkeypatch, capsys):
    extract(options(tunnel, skip_bad_images=True, pca=3, pca_from=str(tunnel), overwrite=True))

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    for module, name in ((os, "unlink"), (os, "replace"), (os, "rename"), (os, "mkdir")):
        monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    extract(options(tunnel, skip_bad_images=True, pca=3, pca_from=str(tunnel), quiet=False))
    assert "out.npy is finished: nothing to do" in capsys.readouterr().out
    (tunnel.parent / "out.npy.part").touch()  # left by a run that was killed at its very end
    extract(options(tunnel, skip_bad_images=True, pca=3, pca_from=str(tunnel), quiet=False))
    assert "out.npy is finished: nothing to do" in capsys.readouterr().out


def test_a_full_disk_loses_nothing(photos, monkeypatch):
    reserve, calls = os.posix_fallocate, []

    def fills_up(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        reserve(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", fills_up)
        with pytest.raises(UserError, match="the disk is full") as error:
            extract(options(photos))
    assert "\n" not in str(error.value)
    assert json.loads((photos.parent / "out.json.part").read_text())["progress"]["images"] == 6
    path = extract(options(photos))
    assert path.read_bytes() == extract(options(photos, "straight.npy")).read_bytes()


def test_a_disk_too_small_is_seen_beforehand(photos, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(UserError, match="needs 125440 bytes more and the disk has 1 bytes free"):
        extract(options(photos))


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_output_that_is_a_folder_is_refused_before_any_work(photos, dataset, toy, overwrite):
    encoder = toy()
    (photos.parent / "out.npy").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*out\.npy: a folder of that name exists"):
        extract(options(photos, overwrite=overwrite))
    (dataset / "b.npy").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*b\.npy: a folder of that name exists"):
        extract(options(dataset, images="", output="", dataset=str(dataset), overwrite=overwrite))
    assert encoder.batches == 0


def test_descriptors_that_are_not_finite_are_refused(photos, toy):
    encoder = toy()
    encoder.forward = lambda images: torch.full((len(images), 6), torch.nan)
    with pytest.raises(UserError, match=r"descriptor of 0\.png has NaN or infinity"):
        extract(options(photos))


def test_pca_is_fitted_stored_and_reused(photos):
    raw = extract(options(photos, "raw.npy"))
    path = extract(options(photos, pca=4, whiten=True, pca_from=str(photos)))
    rows = np.load(path)
    assert rows.shape == (10, 4)
    centred = np.load(raw) - np.load(raw).mean(0)
    left, _, _ = np.linalg.svd(centred, full_matrices=False)
    white = left[:, :4] * np.sign((left[:, :4] * rows).sum(0))
    np.testing.assert_allclose(rows, white / np.linalg.norm(white, axis=1, keepdims=True), atol=1e-4)
    from_file = extract(options(photos, "file.npy", pca=4, whiten=True, pca_from=str(raw)))
    again = extract(options(photos, "again.npy", pca_file=str(photos.parent / "out.pca.npz")))
    assert path.read_bytes() == from_file.read_bytes() == again.read_bytes()
    assert record_of(path)["projection"]["whiten"] is True
    with pytest.raises(UserError, match="holds another projection"):
        extract(options(photos, pca=3, pca_from=str(photos)))


def test_projections_that_do_not_fit(photos):
    extract(options(photos, "raw.npy", desc_type="thumbnail"))
    with pytest.raises(UserError, match=r"holds \(10, 2048\): wanted \(N, 3136\)"):
        extract(options(photos, pca=4, pca_from=str(photos.parent / "raw.npy")))
    extract(options(photos, "small.npy", pca=4, pca_from=str(photos)))
    with pytest.raises(UserError, match="projects 3136 dimensions, the encoder gives 2048"):
        extract(options(photos, "t.npy", desc_type="thumbnail", pca_file=str(photos.parent / "small.pca.npz")))
    with pytest.raises(UserError, match="no descriptors at"):
        extract(options(photos, "u.npy", pca=4, pca_from="none.npy"))
    (photos.parent / "bad.npy").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not a NumPy array file"):
        extract(options(photos, "u.npy", pca=4, pca_from=str(photos.parent / "bad.npy")))


@pytest.mark.parametrize("dims", [11, 4000])
def test_more_components_than_there_can_be_are_refused_before_any_work(photos, dims):
    with pytest.raises(UserError, match=f"`pca` {dims}: the descriptors to fit on are 10 rows of 3136 dimensions"):
        extract(options(photos, pca=dims, pca_from=str(photos)))
    with pytest.raises(UserError, match="no images at nowhere"):
        extract(options(photos, images="nowhere", pca=4, pca_from=str(photos)))
    assert [file.name for file in photos.parent.iterdir()] == ["photos"]


@pytest.mark.parametrize("content", [b"", np.full((9, 3136), "a"), np.ones((9, 3136), complex)])
def test_descriptors_to_fit_on_that_are_none(photos, content):
    path = photos.parent / "raw.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    with pytest.raises(UserError, match=r"raw\.npy: ") as error:
        extract(options(photos, pca=4, pca_from=str(path)))
    assert "\n" not in str(error.value)


@pytest.fixture
def dataset(photos):
    """A folder as prepare writes it, two traverses."""
    (photos / "dataset.toml").write_text("""
name = "two"
units = "frames"
[traverses.a]
descriptors = "a.npy"
[traverses.b]
descriptors = "b.npy"
[splits.test]
reference = "a"
query = "b"
positive_radius = 1
""")
    (photos / "a.txt").write_text("".join(f"{i}.png\n" for i in range(6)))
    (photos / "b.txt").write_text("".join(f"{i}.png\n" for i in range(6, 10)))
    return photos


def test_every_traverse_of_a_dataset_folder(dataset):
    run = options(dataset, images="", output="", dataset=str(dataset), pca=3, pca_from=str(dataset / "a.txt"))
    assert extract(run) == dataset
    rows = [np.load(dataset / f"{name}.npy") for name in "ab"]
    assert [len(part) for part in rows] == [6, 4]
    whole = extract(options(dataset, pca_file=str(dataset / "descriptors.pca.npz")))
    np.testing.assert_array_equal(np.concatenate(rows), np.load(whole))
    assert extract(run) == dataset  # finished


@pytest.fixture
def thermal(dataset):
    """The dataset, its images deep: traverse a fills 7600 to 8400, b is 100 levels warmer."""
    for i in range(10):
        noise = np.random.default_rng(i).integers(7600, 8401, (48, 64))
        Image.fromarray((noise + 100 * (i > 5)).astype(np.uint16)).save(dataset / f"{i}.png")
    return dataset


def ranges_of(dataset, **changes):
    extract(options(dataset, images="", output="", dataset=str(dataset), overwrite=True, **changes))
    return [record_of(dataset / f"{name}.npy")["images"]["range"] for name in "ab"]


def test_deep_images_are_scaled_by_the_range_of_their_drive_or_one_that_is_shared(thermal):
    own = ranges_of(thermal)
    np.testing.assert_allclose(own, [[7600, 8400], [7700, 8500]], atol=3)
    assert ranges_of(thermal, shared_range=True) == [own[0], own[0]]
    assert ranges_of(thermal, levels=(7000.0, 9000.0)) == [[7000, 9000], [7000, 9000]]


def test_another_range_is_another_extraction(thermal):
    path = extract(options(thermal, levels=(7600.0, 8500.0)))
    assert extract(options(thermal, levels=(7600.0, 8500.0))) == path
    with pytest.raises(UserError, match=r"images range \[7600.0, 8500.0\], now \[7600.0, 8400.0\]"):
        extract(options(thermal, levels=(7600.0, 8400.0)))


def test_a_range_shared_with_what_a_projection_is_fitted_on(thermal):
    ranges_of(thermal, shared_range=True, pca=3, pca_from=str(thermal / "b.txt"))
    fitted = record_of(thermal / "descriptors.pca-train.npy")["images"]["range"]
    assert fitted == record_of(thermal / "a.npy")["images"]["range"]


def test_a_range_that_no_image_needs_is_refused(dataset):
    with pytest.raises(UserError, match=r"`levels` changes nothing here: .* and there are none$"):
        extract(options(dataset, levels=(0.0, 100.0)))
    with pytest.raises(UserError, match=r"`shared_range` changes nothing here: .* none among those of the reference"):
        ranges_of(dataset, shared_range=True)


def test_a_bad_image_of_a_dataset_folder_keeps_its_row(dataset):
    whole = np.load(extract(options(dataset, images=str(dataset / "b.txt"))))
    (dataset / "7.png").write_text("no image")
    run = options(dataset, images="", output="", dataset=str(dataset))
    with pytest.raises(UserError) as error:
        extract(run)
    assert str(error.value) == (
        "cannot decode the image 7.png: not an image; repair it, or go on without such images with `skip_bad_images`"
    )
    extract(options(dataset, images="", output="", dataset=str(dataset), skip_bad_images=True))
    whole[1] = 0
    np.testing.assert_array_equal(np.load(dataset / "b.npy"), whole)
    assert usable_of(dataset / "b.npy").tolist() == [True, False, True, True]
    assert not usable_path(dataset / "a.npy").exists()
    assert record_of(dataset / "b.npy")["names"] == ["6.png", "7.png", "8.png", "9.png"]


def test_a_dataset_folder_without_image_lists(dataset):
    (dataset / "b.txt").unlink()
    with pytest.raises(UserError, match=r"traverse b of .* has no image list b\.txt: prepare the folder"):
        extract(options(dataset, images="", output="", dataset=str(dataset)))


def test_a_video(tmp_path):
    import cv2

    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for i in range(20):
        writer.write(np.random.default_rng(i).integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    path = extract(options(tmp_path / "v.avi", fps=2.0, threads=2))
    assert np.load(path).shape == (4, 3136)
    assert record_of(path)["names"] == ["frame-000000", "frame-000005", "frame-000010", "frame-000015"]
    assert record_of(path)["images"]["fps"] == 2.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": ""}, "extract needs `images` and `output`, or `dataset`"),
        ({"desc_type": ""}, "`desc_type` is missing"),
        ({"dataset": "data"}, "leave out `images` and `output`"),
        ({"shared_range": True}, "`shared_range` is for the drives of a `dataset`"),
        ({"dataset": "d", "images": "", "output": "", "shared_range": True, "levels": (0.0, 1.0)}, "give one of them"),
        ({"levels": (3.0, 1.0)}, "`levels` 3 1: wanted the grey levels"),
        ({"output": "out.h5"}, "wanted a file name ending in .npy"),
        ({"image_size": (3,)}, "`image_size` 3: wanted height and width"),
        ({"image_size": (0, 3)}, "`image_size` 0 3: wanted height and width"),
        ({"batch_size": 0}, "`batch_size` 0: wanted a number of at least 1"),
        ({"pca": 3}, "`pca` and `pca_from` go together"),
        ({"pca": 3, "pca_from": "a", "pca_file": "b"}, "give one of them"),
        ({"whiten": True}, "`whiten` belongs to `pca`"),
        ({"local": True}, "hog has no local features"),
        ({"fps": 3.0}, "`fps` is for videos"),
        ({"images": "nowhere"}, "no images at nowhere"),
        ({"pca_file": "nowhere.npz"}, "no projection at nowhere.npz"),
    ],
)
def test_options_that_cannot_be_meant(photos, changes, message):
    with pytest.raises(UserError, match=message):
        extract(options(photos, **changes))
    assert [file.name for file in photos.parent.iterdir()] == ["photos"]


def test_an_output_that_cannot_be_written(photos):
    (photos.parent / "file").touch()
    with pytest.raises(UserError, match="a part of the path is a file"):
        extract(options(photos, "file/out.npy"))


def test_memory_does_not_hold_the_descriptors(photos):
    """What is mapped at any time is a batch, not the file."""
    mapped = []
    memmap = np.memmap

    class Watch(memmap):
        def __new__(cls, *arguments, **named):
            array = memmap(*arguments, **named)
            mapped.append(array.shape)
            return array

    np.memmap = Watch
    try:
        extract(options(photos))
    finally:
        np.memmap = memmap
    assert mapped == [(3, 3136), (3, 3136), (3, 3136), (1, 3136)]


SEEING = {
    "desc_type": "super-cricavpr-small",
    "weights": "random",
    "image_size": (42, 42),
    "fused_layers": (0, 1),
    "context": 2,
}


def test_images_that_see_one_another_are_of_one_batch(photos):
    with pytest.raises(
        UserError, match="`context` 2: that many images see one another, which `batch_size` 3 would part"
    ):
        extract(options(photos, **SEEING))
    together = np.load(extract(options(photos, **SEEING, batch_size=4)))
    record = record_of(photos.parent / "out.npy")
    assert record["options"] == {"context": 2, "fused_layers": [0, 1]}
    before = (photos.parent / "out.npy").stat().st_mtime_ns
    extract(options(photos, **SEEING, batch_size=4))
    assert (photos.parent / "out.npy").stat().st_mtime_ns == before  # what is done is not done again
    pairs = np.load(extract(options(photos, "pairs.npy", **SEEING, batch_size=2)))
    np.testing.assert_allclose(together, pairs, atol=1e-5)
    alone = np.load(extract(options(photos, "alone.npy", **SEEING | {"context": 0}, batch_size=4)))
    assert np.abs(together - alone).max() > 1e-3
