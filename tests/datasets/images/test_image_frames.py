"""Images served as frames: decoded as extraction decodes them, kept within a budget, one line where one is bad."""

import warnings
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from opticornet.datasets.drives import join_drives
from opticornet.datasets.images.batches import image_batches
from opticornet.datasets.images.frames import ImageFrames, check_image_files
from opticornet.datasets.images.kept import KeptArrays
from opticornet.datasets.images.sources import ImageFiles
from opticornet.datasets.traverse import Traverse
from opticornet.models.images.base import Preprocess
from opticornet.utils.errors import UserError

COUNT, HEIGHT, WIDTH = 12, 6, 8
PIXEL_BYTES = 3 * HEIGHT * WIDTH  # of a frame that is kept: not yet normalised
CPU = torch.device("cpu")


@pytest.fixture
def paths(tmp_path) -> tuple[str, ...]:
    """PNGs of noise."""
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        pixels = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    return tuple(str(tmp_path / f"{number}.png") for number in range(COUNT))


class Counted(ImageFiles):
    """Images that remember which of them were read."""

    @cached_property
    def read_rows(self) -> list[int]:
        return []

    def read(self, index: int, grey: bool = False) -> np.ndarray:
        self.read_rows.append(index)
        return super().read(index, grey)


def frames_of(paths, **settings) -> ImageFrames:
    return ImageFrames(Counted(Path(), paths), Preprocess(None), CPU, **settings)


def expected(paths) -> torch.Tensor:
    """(N, 3, H, W), as extraction prepares them."""
    (batch,) = image_batches(ImageFiles(Path(), paths), Preprocess(None), size=len(paths))
    return batch.images


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("cache_bytes", [0, 4 * PIXEL_BYTES, 1 << 20])
def test_rows_and_windows_are_the_images_that_extraction_prepares(paths, threads, cache_bytes):
    frames, whole = frames_of(paths, threads=threads, cache_bytes=cache_bytes), expected(paths)
    assert len(frames) == COUNT
    assert frames.frame_shape == (3, HEIGHT, WIDTH)
    starts = torch.tensor([7, 0, 0, 3, 8])  # any order, repeated, overlapping
    for _ in range(2):  # again, from what was kept
        assert torch.equal(frames.rows(3, 9), whole[3:9])
        windows = frames.windows(starts, 4)
        assert windows.dtype == torch.float32
        assert torch.equal(windows, whole[starts[:, None] + torch.arange(4)])


def test_windows_with_a_gap_between_them_read_no_frame_of_the_gap(paths):
    frames = frames_of(paths)
    rows, begins = frames.around(np.array([0, 1, 8, 9]), 2)
    assert begins.tolist() == [0, 1, 3, 4]
    assert torch.equal(rows, expected(paths)[[0, 1, 2, 8, 9, 10]])
    assert {*frames.source.read_rows} == {0, 1, 2, 8, 9, 10}


def test_what_is_kept_stays_within_its_budget_and_is_what_was_used_last(paths):
    frames = frames_of(paths, cache_bytes=4 * PIXEL_BYTES + 1)
    for start in range(COUNT - 3):
        frames.rows(start, start + 4)
        assert frames._kept.file_bytes <= frames.cache_bytes
    assert frames.source.read_rows == [*range(COUNT)]  # each image once
    frames.rows(8, 12)
    frames.rows(0, 1)  # in the place of frame 8
    del frames.source.read_rows[:]
    frames.rows(9, 12)
    assert frames.source.read_rows == []


def test_a_budget_below_one_frame_keeps_nothing(paths):
    frames = frames_of(paths, cache_bytes=PIXEL_BYTES - 1)
    frames.rows(0, 4)
    assert frames._kept.file_bytes == 0
    del frames.source.read_rows[:]
    frames.rows(0, 4)
    assert frames.source.read_rows == [0, 1, 2, 3]


def test_over_epochs_of_windows_in_random_order_each_image_is_decoded_once(paths):
    frames, whole, generator = frames_of(paths, cache_bytes=COUNT * PIXEL_BYTES), expected(paths), torch.Generator()
    for _ in range(3):
        for starts in torch.randperm(COUNT - 4, generator=generator).split(2):
            assert torch.equal(frames.windows(starts, 5), whole[starts[:, None] + torch.arange(5)])
    assert sorted(frames.source.read_rows) == [*range(COUNT)]


def test_what_is_prepared_in_one_step_is_kept_as_it_is(paths):
    class Doubled:
        grey = False

        def __call__(self, image: np.ndarray) -> np.ndarray:
            return 2 * image.transpose(2, 0, 1).astype(np.float32)

    frames = ImageFrames(Counted(Path(), paths), Doubled(), CPU)
    for _ in range(2):
        assert torch.equal(frames.rows(3, 5)[0], torch.from_numpy(Doubled()(np.array(Image.open(paths[3])))))
    assert sorted(frames.source.read_rows) == [0, 3, 4]
    with pytest.raises(ValueError, match="prepared in one step, so that there are no pixels to alter"):
        frames.altered(np.array([[0, 1]]), lambda window: window)


def test_pixels_of_a_window_are_altered_together_before_they_are_normalised(paths):
    frames, seen = frames_of(paths), []

    def mirrored(window: torch.Tensor) -> torch.Tensor:
        seen.append((window.dtype, tuple(window.shape)))
        return window.flip(3)

    rows = np.array([[5, 4, 4], [0, 1, 2]])
    altered = frames.altered(rows, mirrored)
    assert torch.equal(altered, expected(paths)[torch.from_numpy(rows)].flip(4))
    assert seen == [(torch.uint8, (3, 3, HEIGHT, WIDTH))] * 2
    assert sorted(frames.source.read_rows) == [0, 1, 2, 4, 5]
    assert torch.equal(frames.rows(0, 6), expected(paths)[:6])  # what is kept is as it was


def test_a_file_that_cannot_grow_keeps_what_it_has(monkeypatch):
    kept = KeptArrays(np.zeros(4, np.uint8), 12)
    for row in range(2):
        kept.keep(row, np.full(4, row, np.uint8))
    monkeypatch.setattr(kept._file, "write", lambda data: (_ for _ in ()).throw(OSError(28, "no space left")))
    kept.keep(2, np.full(4, 2, np.uint8))
    monkeypatch.undo()
    assert kept.get(2) is None
    assert [kept.get(row).tolist() for row in range(2)] == [[0] * 4, [1] * 4]
    kept.keep(3, np.full(4, 3, np.uint8))  # instead of the one used longest ago
    assert kept.get(0) is None
    assert kept.get(3).tolist() == [3] * 4
    assert kept.file_bytes == 8


def test_changing_a_served_frame_does_not_change_what_is_kept(paths):
    frames = frames_of(paths)
    frames.rows(0, 2).zero_()
    assert torch.equal(frames.rows(0, 2), expected(paths)[:2])


def test_blocks_are_smaller_the_larger_frames_are(paths):
    large = ImageFrames(ImageFiles(Path(), paths), Preprocess((1024, 1024)), CPU)
    assert large.block == (64 << 20) // (4 * 3 * 1024 * 1024)
    huge = ImageFrames(ImageFiles(Path(), paths), Preprocess((4096, 4096)), CPU)
    assert huge.block == 1


@pytest.mark.parametrize("threads", [1, 4])
def test_a_corrupt_image_is_one_line_that_names_it(paths, threads):
    Path(paths[5]).write_bytes(Path(paths[5]).read_bytes()[:60])
    frames = frames_of(paths, threads=threads)
    frames.rows(0, 5)
    with pytest.raises(UserError, match=r"cannot decode the image .*5\.png: .*; repair it") as caught:
        frames.windows(torch.tensor([3]), 4)
    assert "\n" not in str(caught.value)


def test_an_image_of_another_size_is_one_line_that_names_it(paths):
    Image.new("RGB", (9, 6)).save(paths[5])
    with pytest.raises(UserError, match=r"5\.png becomes a frame of 3 x 6 x 9, the first .* one of 3 x 6 x 8: give"):
        frames_of(paths).rows(0, COUNT)
    resized = ImageFrames(ImageFiles(Path(), paths), Preprocess((4, 4)), CPU)
    assert resized.rows(0, COUNT).shape == (COUNT, 3, 4, 4)


def traverse(images: tuple[str, ...] | None) -> Traverse:
    descriptors = None if images else np.ones((COUNT, 2), np.float32)
    positions, bounds = np.arange(float(COUNT))[:, None], np.tile([0, COUNT], (COUNT, 1))
    return Traverse("drive", descriptors, positions, "frames", bounds, images=images, images_source="photos")


def test_missing_files_are_counted(paths):
    check_image_files(traverse(paths))
    for number in (3, 7):
        Path(paths[number]).unlink()
    with pytest.raises(UserError, match=r"drive: 2 of its 12 images do not exist, first .*3\.png; .* paths in photos"):
        check_image_files(traverse(paths))
    with pytest.raises(UserError, match="drive has descriptors only"):
        check_image_files(traverse(None))


def test_threads_leave_the_filters_of_warnings_as_they_were(paths):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        frames_of(paths, threads=4, cache_bytes=0).rows(0, COUNT)
        assert warnings.filters == before


def test_deep_images_of_a_cut_are_scaled_by_the_range_of_the_whole_drive(tmp_path):
    for number in range(4):
        ramp = np.linspace(7600 + 200 * number, 7800 + 200 * number, 48).reshape(6, 8)
        Image.fromarray(ramp.astype(np.uint16)).save(tmp_path / f"{number}.png")
    images = tuple(str(tmp_path / f"{number}.png") for number in range(4))
    drive = Traverse("day", None, np.arange(4.0)[:, None], "frames", np.tile([0, 4], (4, 1)), images=images)
    scale = Preprocess(None, mean=(0.0,) * 3, std=(1 / 255,) * 3)  # the grey levels themselves
    whole = ImageFrames.of(drive, scale, CPU).rows(0, 4)
    np.testing.assert_allclose([whole.min(), whole.max()], [0, 255], atol=1e-3)
    assert len(whole.unique()) > 150
    cut = ImageFrames.of(drive.cut(1, 4).cut(1, 2), scale, CPU)
    assert torch.equal(cut.rows(0, 1)[0], whole[2])


def drives_of(paths, *more: str) -> Traverse:
    """Two drives, of the first five images and of the others."""
    drives = []
    for name, images in (("day", paths[:5]), ("night", (*paths[5:], *more))):
        count = len(images)
        positions, bounds = np.arange(float(count))[:, None], np.tile([0, count], (count, 1))
        drives.append(Traverse(name, None, positions, "frames", bounds, images=images, images_source=f"{name}.csv"))
    return join_drives(drives, "here")


def test_images_of_several_drives_are_served_in_their_order(paths):
    frames, whole = ImageFrames.of(drives_of(paths), Preprocess(None), CPU), expected(paths)
    assert len(frames) == COUNT
    assert torch.equal(frames.rows(3, 8), whole[3:8])
    assert torch.equal(frames.windows(torch.tensor([3, 0]), 4), torch.stack([whole[3:7], whole[0:4]]))


def test_deep_images_of_each_drive_have_its_own_range(tmp_path):
    """The second drive is ten times brighter: by its own range it shows the same."""
    paths = []
    for number, gain in enumerate((1, 1, 10, 10)):
        pixels = gain * np.arange(1000, 1000 + HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        paths.append(str(tmp_path / f"{number}.png"))
    sides = [
        Traverse(name, None, np.arange(2.0)[:, None], "frames", np.tile([0, 2], (2, 1)), images=images)
        for name, images in (("day", tuple(paths[:2])), ("night", tuple(paths[2:])))
    ]
    frames = ImageFrames.of(join_drives(sides, "here"), Preprocess(None), CPU).rows(0, 4)
    assert torch.equal(frames[0], frames[2])
    assert float(frames[0].std()) > 0.1


def test_drives_whose_images_differ_in_size_or_are_missing_are_named(paths, tmp_path):
    Image.new("RGB", (WIDTH, 2 * HEIGHT)).save(tmp_path / "tall.png")
    day, night = drives_of(paths).parts
    tall = replace(night, images=(str(tmp_path / "tall.png"), *night.images[1:]))
    with pytest.raises(UserError, match=r"frames of day are 3 x 6 x 8, those of night 3 x 12 x 8: give images of one"):
        ImageFrames.of(join_drives([day, tall], "here"), Preprocess(None), CPU)
    with pytest.raises(UserError, match=r"traverse night: 1 of its 8 images do not exist, first .*gone.*night\.csv"):
        check_image_files(drives_of(paths, str(tmp_path / "gone.png")))
