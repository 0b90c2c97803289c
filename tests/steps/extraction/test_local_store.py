"""``--mode extract --local --localStore``: local features in files of bounded size, and how a test finds them."""

import json
import os
import shutil
import signal
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import opticornet.models.images
import opticornet.steps.extraction.trained
from opticornet.cli import main
from opticornet.datasets.descriptors import local_files
from opticornet.datasets.descriptors.local_features import open_local_features
from opticornet.models.images.base import ImageEncoder, ImageEncoderOptions, Preprocess, WeightsRecord
from opticornet.steps.extract import ExtractOptions, extract
from opticornet.steps.extraction.space import size_in_words
from opticornet.utils.errors import UserError
from opticornet.utils.signals import Interrupted

ROWS, CHANNELS = 6, 4
IMAGE_BYTES = 2 * ROWS * CHANNELS


class Toy(ImageEncoder):
    """The mean colour, and local features of which the last row is unused."""

    out_dims = 3
    local_shape = (ROWS, CHANNELS)

    def __init__(self, misbehave=None):
        super().__init__()
        self.preprocess = Preprocess(None)
        self.weights = WeightsRecord("random", "toy")
        self.misbehave, self.batches = misbehave, 0

    def local_by_reliability(self, images, features):
        self.batches += 1
        local = nn.functional.normalize(images[:, :CHANNELS, :ROWS, :CHANNELS].mean(1) + 0.1, dim=2)
        local[:, -1] = 0
        if self.misbehave:
            self.misbehave(self.batches, local)
        return nn.functional.normalize(images.mean((2, 3)), dim=1), local[:, :features]

    def forward(self, images):
        return self.local_by_reliability(images, ROWS)[0]


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

    install()
    return install


@pytest.fixture
def small_files(monkeypatch):
    """Files of four images."""
    monkeypatch.setattr(local_files, "FILE_BYTES", 4 * IMAGE_BYTES + 1)


def photos(folder, count=10, seed=0, first=0):
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(seed)
    for i in range(count):
        picture = Image.fromarray(generator.integers(0, 255, (12, 16, 3), np.uint8))
        if i >= first:
            picture.save(folder / f"{i:02}.png")
    return folder


def options(folder, name="out.npy", **changes):
    given = {"images": str(folder / "photos"), "desc_type": "toy", "output": str(folder / name), "batch_size": 3,
             "threads": -1, "quiet": True, "local": True, "local_store": str(folder / "store")}  # fmt: skip
    return ExtractOptions.of(**{name: value for name, value in (given | changes).items() if value is not None})


def stored(folder, stem="out"):
    return [np.load(path) for path in sorted(folder.glob(f"{stem}-local-*.npy"))]


def test_files_of_bounded_size_hold_what_one_file_would(tmp_path, toy, small_files):
    photos(tmp_path / "photos")
    extract(options(tmp_path))
    parts = stored(tmp_path / "store")
    assert [part.shape for part in parts] == [(4, ROWS, CHANNELS), (4, ROWS, CHANNELS), (2, ROWS, CHANNELS)]
    assert {part.dtype for part in parts} == {np.dtype(np.float16)}
    extract(options(tmp_path, "beside.npy", local_store=None))
    beside = np.load(tmp_path / "beside-local.npy")
    assert beside.dtype == np.float32
    assert np.array_equal(np.concatenate(parts), beside.astype(np.float16))
    assert np.load(tmp_path / "out.npy").dtype == np.float32
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["local_shape"] == [ROWS, CHANNELS]
    assert record["local_store"] == str(tmp_path / "store")
    names = ["out-local-00000.npy", "out-local-00001.npy", "out-local-00002.npy", "out-local.json"]
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == names


def test_single_precision_where_it_is_asked_for(tmp_path, toy):
    photos(tmp_path / "photos", 2)
    extract(options(tmp_path, local_dtype="float32"))
    assert stored(tmp_path / "store")[0].dtype == np.float32


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_stopped_extraction_continues_to_the_same_bytes(tmp_path, toy, small_files, batch):
    photos(tmp_path / "photos")
    toy(lambda number, _: os.kill(os.getpid(), signal.SIGTERM) if number == batch else None)
    with pytest.raises(Interrupted, match=f"stopped after {3 * batch} of 10 images"):
        extract(options(tmp_path))
    encoder = toy()
    extract(options(tmp_path))
    assert encoder.batches == 4 - batch
    check_equal_to_a_straight_run(tmp_path)
    encoder = toy()
    extract(options(tmp_path))
    assert encoder.batches == 0  # finished work is skipped


@pytest.mark.parametrize("before", [4, 6, 8])
def test_images_that_were_added_follow_the_finished_ones(tmp_path, toy, small_files, before):
    photos(tmp_path / "photos", before)
    extract(options(tmp_path))
    photos(tmp_path / "photos", 10, first=before)
    encoder = toy()
    extract(options(tmp_path))
    assert encoder.batches == -(-(10 - before // 3 * 3) // 3)
    check_equal_to_a_straight_run(tmp_path)


def check_equal_to_a_straight_run(folder):
    extract(options(folder, local_store=str(folder / "straight"), output=str(folder / "straight" / "out.npy")))
    for path in (folder / "straight").glob("*.npy"):
        there = folder / path.name if path.name == "out.npy" else folder / "store" / path.name
        assert path.read_bytes() == there.read_bytes(), path.name
    assert not list(folder.rglob("*.part"))


def test_a_store_of_a_relative_path_is_one_place(tmp_path, toy, small_files, monkeypatch):
    """Also before it is there: what its first run writes, the same command finishes."""
    photos(tmp_path / "photos")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    toy(lambda number, _: os.kill(os.getpid(), signal.SIGTERM) if number == 1 else None)
    with pytest.raises(Interrupted):
        extract(options(tmp_path, local_store="loc"))
    toy()
    for _ in range(2):
        extract(options(tmp_path, local_store="loc"))
    assert record_of(tmp_path)["local_store"] == str(tmp_path / "loc")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert open_local_features(tmp_path / "out.npy", 10).shape == (10, ROWS, CHANNELS)


def record_of(folder):
    return json.loads((folder / "out.json").read_text())


@pytest.mark.parametrize("batches", [2, 4])
def test_a_moved_store_is_continued(tmp_path, toy, small_files, batches):
    """Unfinished, or finished and then of more images."""
    photos(tmp_path / "photos", 3 * batches)
    if batches == 2:
        toy(lambda number, _: os.kill(os.getpid(), signal.SIGTERM) if number == 1 else None)
        with pytest.raises(Interrupted):
            extract(options(tmp_path))
    else:
        extract(options(tmp_path))
    (tmp_path / "store").rename(tmp_path / "moved")
    with pytest.raises(UserError, match=f"local_store {tmp_path / 'store'}, now {tmp_path / 'nowhere'}"):
        extract(options(tmp_path, local_store=str(tmp_path / "nowhere")))
    encoder, moved = toy(), str(tmp_path / "moved")
    if batches == 4:
        extract(options(tmp_path, local_store=moved))
        assert encoder.batches == 0
        assert record_of(tmp_path)["local_store"] == moved  # where a test looks for it
        photos(tmp_path / "photos", 14, first=12)
    extract(options(tmp_path, local_store=moved))
    assert encoder.batches == 1
    assert record_of(tmp_path)["local_store"] == moved
    (tmp_path / "moved").rename(tmp_path / "store")
    check_equal_to_a_straight_run(tmp_path)


def test_an_unfinished_store_is_not_overwritten_by_another_extraction(tmp_path, toy, small_files):
    photos(tmp_path / "photos")
    photos(tmp_path / "others", seed=1)
    toy(lambda number, _: os.kill(os.getpid(), signal.SIGTERM) if number == 2 else None)
    with pytest.raises(Interrupted):
        extract(options(tmp_path))
    toy()
    other = {"images": str(tmp_path / "others"), "output": str(tmp_path / "other" / "out.npy")}
    with pytest.raises(UserError, match=r"out-local\.json\.part is of another extraction \(some of the 10 images"):
        extract(options(tmp_path, **other))
    extract(options(tmp_path))
    check_equal_to_a_straight_run(tmp_path)


def test_the_default_precision_may_be_asked_for(tmp_path, toy):
    photos(tmp_path / "photos", 2)
    extract(options(tmp_path))
    assert record_of(tmp_path)["local_dtype"] == "float16"
    encoder = toy()
    extract(options(tmp_path, local_dtype="float16"))
    assert encoder.batches == 0
    with pytest.raises(UserError, match=r"local_dtype float16, now float32"):
        extract(options(tmp_path, local_dtype="float32"))


def test_a_bound_keeps_the_most_reliable(tmp_path, toy, small_files):
    photos(tmp_path / "photos")
    extract(options(tmp_path))
    whole = np.concatenate(stored(tmp_path / "store"))
    with pytest.raises(
        UserError, match=r"out-local\.json is of another extraction \(local_shape \[6, 4\], now \[2, 4\]"
    ):
        extract(options(tmp_path, local_features=2))
    extract(options(tmp_path, local_features=2, overwrite=True))
    (part,) = stored(tmp_path / "store")  # the files of the larger ones are gone
    assert np.array_equal(part, whole[:, :2])
    with pytest.raises(UserError, match="`local_features` 7: toy has 6 of an image"):
        extract(options(tmp_path, local_features=7, overwrite=True))


def test_what_is_written_is_estimated_before(tmp_path, toy, monkeypatch, capsys):
    photos(tmp_path / "photos")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 599))
    with pytest.raises(UserError, match="it needs 600 bytes more and the disk has 599 bytes free"):
        extract(options(tmp_path, quiet=False))
    line = f"local features: 10 images x 48 bytes (6 x 4 float16) = 480 bytes; 599 bytes free in {tmp_path / 'store'}\n"
    assert capsys.readouterr().out == line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 600))  # 480 and 10 x 3 x 4
    extract(options(tmp_path))
    photos(tmp_path / "photos", 12, first=10)
    extract(options(tmp_path, quiet=False))
    assert "12 images x 48 bytes (6 x 4 float16) = 576 bytes, 96 bytes of it to come; " in capsys.readouterr().out


def test_sizes_are_said_in_their_own_unit():
    assert [size_in_words(size) for size in (999_999, 12_340_000, 5_000_000_000)] == ["999999 bytes", "12.3 MB", "5 GB"]


def test_files_that_are_lost_are_told(tmp_path, toy, small_files):
    photos(tmp_path / "photos")
    extract(options(tmp_path))
    (tmp_path / "store" / "out-local-00001.npy").unlink()
    with pytest.raises(UserError, match=r"out-local-00001\.npy is missing: give `overwrite`"):
        extract(options(tmp_path))


def test_features_that_are_no_numbers_are_not_written(tmp_path, toy):
    photos(tmp_path / "photos")

    def spoil(number, local):
        if number == 2:
            local[1, 3] = torch.nan

    toy(spoil)
    with pytest.raises(UserError, match=r"the descriptor of 04\.png has NaN or infinity"):
        extract(options(tmp_path))


def test_what_needs_local_features_is_refused_without(tmp_path, toy, capsys):
    for more in (["--localStore", "x"], ["--localFeatures", "3"], ["--localDtype", "float16"]):
        assert main(["--mode", "extract", "--descType", "hog", "--images", "x", "--output", "x.npy", *more]) == 2
        assert f"{more[0]} changes nothing here: no local features are written" in capsys.readouterr().err


@pytest.fixture
def dataset(tmp_path, toy, small_files):
    """Two drives of the same images, extracted into a store."""
    folder = tmp_path / "data"
    for name in ("day", "night"):
        (folder / name).mkdir(parents=True)
        photos(folder / name / "images")
        (folder / f"{name}.txt").write_text("".join(f"{name}/images/{i:02}.png\n" for i in range(10)))
    (folder / "dataset.toml").write_text("""
name = "two"
units = "frames"
[traverses.day]
descriptors = "day/frames.npy"
images = "day/images"
[traverses.night]
descriptors = "night/frames.npy"
images = "night/images"
[splits.test]
reference = "day"
query = "night"
positive_radius = 0.5
""")
    extract(ExtractOptions.of(dataset=str(folder), desc_type="toy", batch_size=3, threads=-1, quiet=True, local=True,
                              local_store=str(tmp_path / "store")))  # fmt: skip
    return folder


def rerank(folder, *more):
    return main(["--mode", "test", "--dataset", str(folder), "--pooling", "single", "--seqL", "1", "--rerank", "local",
                 "--topK", "5", "--bootstrap", "0", "--device", "cpu", "--latencyQueries", "0", "--adapt", "none",
                 "--resultsPath", str(folder / "out"), *more])  # fmt: skip


def result(folder):
    path = max((folder / "out").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    with np.load(path.with_suffix(".npz")) as arrays:
        return json.loads(path.read_text()), arrays["distances"]


def test_a_test_finds_the_store_of_each_drive(dataset, tmp_path, capsys):
    assert [part.shape[0] for part in stored(tmp_path / "store" / "night", "frames")] == [4, 4, 2]
    assert rerank(dataset) == 0
    record, distances = result(dataset)
    assert (distances[:, 0] == -(ROWS - 1)).all()
    expected = {"features": ROWS, "channels": CHANNELS, "dtype": "float16", "bytes_per_frame": IMAGE_BYTES}
    assert record["method"]["local_features"] == expected
    assert record["timing"]["rerank_s"] > 0
    (tmp_path / "store").rename(tmp_path / "moved")
    assert rerank(dataset) == 2
    error = capsys.readouterr().err
    assert "no local features of it in" in error
    assert "--localStore" in error
    assert rerank(dataset, "--localStore", str(tmp_path / "moved"), "--localFeatures", "2") == 0
    record, distances = result(dataset)
    assert (distances[:, 0] == -2).all()
    assert record["method"]["local_features"] == expected | {"features": 2, "bytes_per_frame": 2 * 2 * CHANNELS}


def test_only_re_ranking_and_check_need_the_store(dataset, tmp_path, capsys):
    (tmp_path / "store").rename(tmp_path / "moved")
    plain = ["--mode", "test", "--dataset", str(dataset), "--pooling", "single", "--seqL", "1", "--device", "cpu"]
    assert main([*plain, "--latencyQueries", "0", "--bootstrap", "0", "--resultsPath", str(tmp_path / "out")]) == 0
    assert main(["--mode", "check", "--dataset", str(dataset)]) == 2
    assert "no local features of it in" in capsys.readouterr().err


def test_features_of_another_extraction_are_refused(dataset, tmp_path, toy, capsys):
    path = tmp_path / "store" / "night" / "frames-local.json"
    record = json.loads(path.read_text())
    record["identity"]["weights"]["name"] = "another"
    path.write_text(json.dumps(record))
    assert rerank(dataset) == 2
    error = capsys.readouterr().err
    assert "local features of another extraction than" in error
    assert error.count("\n") == 1


SECOND = "frames-local-00001.npy"


def resaved(change):
    """The second file of a store, its features changed."""
    return lambda store: np.save(store / SECOND, change(np.load(store / SECOND)))


def longer(store):
    with (store / SECOND).open("ab") as file:
        file.write(b"garbage")


def zeroed(store):
    size = (store / SECOND).stat().st_size
    os.truncate(store / SECOND, 128)  # behind the header
    os.truncate(store / SECOND, size)


def edited(change):
    """The store's record, changed."""

    def edit(store):
        path = store / "frames-local.json"
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return edit


def in_single_precision(store):
    for path in store.glob("*.npy"):
        np.save(path, np.load(path).astype(np.float32))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda store: (store / SECOND).unlink(), "no such file"),
        (lambda store: (store / SECOND).write_bytes(b"x"), "not a NumPy array file"),
        (resaved(lambda rows: rows[:3]), "(3, 6, 4) float16 does not go together with (4, 6, 4) float16"),
        (resaved(lambda rows: rows[:, :5]), "(4, 5, 4) float16 does not go together with (4, 6, 4) float16"),
        (resaved(lambda rows: rows.astype(np.float32)), "(4, 6, 4) float32 does not go together"),
        (resaved(lambda rows: rows.astype(np.int64)), "wanted float16"),
        (resaved(lambda rows: 3 * rows), "have a length of 3.0"),
        (resaved(lambda rows: rows / 16), "have a length of 0.06"),
        (in_single_precision, "float32, and the record of "),
        (longer, "7 bytes behind its (4, 6, 4) float16"),
        (zeroed, "zeros in all 4 frames of 4 that were looked at"),
        (lambda store: (store / "frames-local.json").write_text("{}"), "cannot be read"),
        (lambda store: (store / "frames-local.json").write_text("["), "cannot be read"),
        (edited(lambda record: record | {"files": record["files"][::-1]}), "its files are not numbered from 0 on"),
        (edited(lambda record: record | {"files": []}), "its files are not numbered from 0 on"),
        (edited(lambda record: record | {"files": record["files"][:2]}), "shape (8, 6, 4); wanted (10, R, C)"),
        (edited(lambda record: record | {"identity": {}}), "of another extraction than"),
    ],
)
def test_a_damaged_store_is_refused(dataset, tmp_path, capsys, damage, message):
    damage(tmp_path / "store" / "night")
    assert rerank(dataset) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_more_features_than_there_are_are_refused(dataset, capsys):
    assert rerank(dataset, "--localFeatures", "7") == 2
    assert "--localFeatures 7: " in capsys.readouterr().err


def test_features_that_are_no_numbers_are_refused(dataset, tmp_path, capsys):
    path = tmp_path / "store" / "day" / "frames-local-00000.npy"
    features = np.load(path)
    features[2, 1] = np.nan
    np.save(path, features)
    assert rerank(dataset) == 2
    assert "day" in (error := capsys.readouterr().err)
    assert "have NaN or infinity in frame 2 of the split" in error
    assert error.count("\n") == 1
