import pickle

import numpy as np
import pytest
from PIL import Image

from opticornet.datasets.images import video
from opticornet.datasets.images.decoding import BadImageError, decode
from opticornet.datasets.images.found import find_images, natural_key
from opticornet.datasets.images.sources import open_images
from opticornet.utils.errors import UserError

RAMP = np.arange(12 * 10 * 3, dtype=np.uint8).reshape(12, 10, 3) // 2


def save(path, array=RAMP, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def write_video(path, frames, fps, codec):
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, (64, 48))
    assert writer.isOpened()
    for value in frames:
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    return path


def test_natural_order_counts_numbers_folder_by_folder():
    names = ["b/1.png", "a10.png", "a2.png", "a/11.png", "a/9.png", "a02.png", "a b.png"]
    names.sort(key=natural_key)
    assert names == ["a/9.png", "a/11.png", "a02.png", "a2.png", "a10.png", "a b.png", "b/1.png"]


def test_folder_is_searched_recursively_and_hidden_files_are_left_out(tmp_path):
    for name in ("10.png", "9.PNG", "sub/1.jpg", ".hidden.png", ".cache/2.png", "notes.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "sub" / "up").symlink_to(tmp_path)  # a loop ends
    assert find_images(tmp_path) == ("9.PNG", "10.png", "sub/1.jpg")


def test_list_keeps_its_order_and_its_folder(tmp_path):
    save(tmp_path / "x" / "2.png")
    save(tmp_path / "x" / "1.png")
    (tmp_path / "list.txt").write_text("x/2.png\n\nx/1.png\n")
    source = open_images(tmp_path / "list.txt")
    assert source.names == ("x/2.png", "x/1.png")
    np.testing.assert_array_equal(source.read(1), RAMP)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "list.txt: empty; wanted one file name per line"),
        ("1.png\n2.png\n3.png\n", "names 2 file\\(s\\) that do not exist, first '2.png'"),
        ("1.png\n1.png\n", "names '1.png' more than once"),
    ],
)
def test_bad_lists(tmp_path, content, message):
    save(tmp_path / "1.png")
    (tmp_path / "list.txt").write_text(content)
    with pytest.raises(UserError, match=message):
        open_images(tmp_path / "list.txt")


def test_nothing_there_and_nothing_understood(tmp_path):
    with pytest.raises(UserError, match=r"no images at .*nowhere"):
        open_images(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"no images in .*: wanted files ending in .bmp"):
        open_images(tmp_path)
    (tmp_path / "a.zip").touch()
    with pytest.raises(UserError, match=r"neither a folder, nor a .txt list"):
        open_images(tmp_path / "a.zip")
    save(tmp_path / "1.png")
    with pytest.raises(UserError, match="`fps` is for videos"):
        open_images(tmp_path, fps=2)


def test_unreadable_folder_is_named(tmp_path, monkeypatch):
    (tmp_path / "locked").mkdir()
    save(tmp_path / "1.png")
    import os

    scandir = os.scandir  # the superuser, whom tests often run as, may read everything: permission is faked

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"cannot read the folder .*locked: Permission denied"):
        open_images(tmp_path)


def test_digest_tells_sets_of_images_apart(tmp_path):
    save(tmp_path / "a" / "1.png")
    save(tmp_path / "b" / "1.png")
    save(tmp_path / "c" / "1.png", RAMP[:6])
    a, b, c = (open_images(tmp_path / name).digest for name in "abc")
    assert a == b != c


def test_digest_sees_other_pixels_in_files_of_one_size(tmp_path):
    for name, image in (("a", RAMP), ("b", RAMP[::-1])):
        (tmp_path / name).mkdir()
        Image.fromarray(np.ascontiguousarray(image)).save(tmp_path / name / "1.bmp")
    assert open_images(tmp_path / "a").digest != open_images(tmp_path / "b").digest


def test_a_link_that_leads_nowhere_is_a_bad_image(tmp_path):
    save(tmp_path / "1.png")
    (tmp_path / "2.png").symlink_to(tmp_path / "gone.png")
    source = open_images(tmp_path)
    assert source.names == ("1.png", "2.png")
    with pytest.raises(BadImageError, match="No such file"):
        source.read(1)


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held turned: rotate by 90 degrees clockwise to see it upright
    save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(decode(tmp_path / "turned.png"), np.rot90(RAMP, -1))


def test_grey_alpha_and_palette_become_rgb(tmp_path):
    grey = decode(save(tmp_path / "grey.png", RAMP[..., 0]))
    np.testing.assert_array_equal(grey, np.repeat(RAMP[..., :1], 3, 2))
    half_seen = np.dstack([RAMP, np.full(RAMP.shape[:2], 128, np.uint8)])
    np.testing.assert_array_equal(decode(save(tmp_path / "rgba.png", half_seen)), RAMP)
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 0])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "palette.png", transparency=bytes([255, 0]))
    np.testing.assert_array_equal(decode(tmp_path / "palette.png"), [[[10, 20, 30], [200, 100, 0]]])


def test_16_bits_are_scaled_not_clipped(tmp_path):
    deep = decode(save(tmp_path / "deep.png", np.array([[0, 257, 32768, 65535]], np.uint16)))
    np.testing.assert_array_equal(deep[0, :, 0], [0, 1, 128, 255])
    assert deep.shape == (1, 4, 3)


def test_luma_alone_is_the_luma_of_the_colours(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    smooth = np.asarray(Image.fromarray(RAMP).resize((90, 70), Image.Resampling.BICUBIC))
    save(tmp_path / "turned.jpg", smooth, exif=exif, quality=95)
    save(tmp_path / "grey.jpg", smooth[..., 0])
    Image.fromarray(smooth).convert("CMYK").save(tmp_path / "print.jpg")
    save(tmp_path / "rgb.png", smooth)
    save(tmp_path / "rgba.png", np.dstack([smooth, smooth[..., 0]]))
    save(tmp_path / "grey.png", smooth[..., 0])
    save(tmp_path / "deep.png", smooth[..., 0].astype(np.uint16) * 257)
    Image.fromarray(smooth).quantize(16).save(tmp_path / "palette.png")
    source = open_images(tmp_path)
    assert len(source.names) == 8
    for i, name in enumerate(source.names):
        luma, colours = source.read(i, grey=True), source.read(i)
        assert luma.dtype == np.uint8
        assert luma.shape == ((90, 70) if name == "turned.jpg" else (70, 90))
        np.testing.assert_allclose(luma, colours @ [0.299, 0.587, 0.114], atol=1.5, err_msg=name)
    raw = np.tile(np.array([[200, 100], [100, 50]], np.uint8), (4, 4))
    luma = decode(save(tmp_path / "raw.png", raw), "rggb", grey=True)
    np.testing.assert_array_equal(luma[2:-2, 2:-2], round(np.dot((200, 100, 50), [0.299, 0.587, 0.114])))


def test_raw_frames_become_colour(tmp_path):
    raw = np.tile(np.array([[200, 100], [100, 50]], np.uint8), (4, 4))  # red 200, green 100, blue 50, everywhere
    for name, pixels in (("8.png", raw), ("16.png", raw.astype(np.uint16) * 257)):
        save(tmp_path / "raw" / name, pixels)
    source = open_images(tmp_path / "raw", bayer="rggb")
    for index in (0, 1):
        np.testing.assert_array_equal(source.read(index)[2:-2, 2:-2], np.full((4, 4, 3), (200, 100, 50)))
    with pytest.raises(BadImageError, match=r"it is no raw frame.*leave out `bayer`"):
        decode(save(tmp_path / "colour.png"), "rggb")
    with pytest.raises(UserError, match="`bayer` is for image files"):
        open_images(write_video(tmp_path / "v.avi", [1], fps=10, codec="MJPG"), bayer="rggb")


def test_damaged_images_say_why(tmp_path):
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(BadImageError, match="the file is empty"):
        decode(tmp_path / "empty.jpg")
    whole = save(tmp_path / "whole.jpg", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadImageError, match="truncated"):
        decode(tmp_path / "cut.jpg")
    with pytest.raises(BadImageError, match="truncated"):
        decode(tmp_path / "cut.jpg", grey=True)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(BadImageError, match=r"^not an image$"):
        decode(tmp_path / "text.png")
    save(tmp_path / "float.tif", np.zeros((2, 2), np.float32))
    with pytest.raises(BadImageError, match="floating-point"):
        decode(tmp_path / "float.tif")


@pytest.mark.parametrize(("name", "codec"), [("v.avi", "MJPG"), ("v.mp4", "mp4v")])
def test_video_frames_at_a_rate(tmp_path, name, codec):
    path = write_video(tmp_path / name, range(0, 240, 10), fps=10, codec=codec)
    every = open_images(path)
    assert len(every.names) == 24
    assert every.names[:2] == ("frame-000000", "frame-000001")
    slow = open_images(path, fps=4)  # 0, 0.25, 0.5, ... s: the first frame at or after each
    assert slow.chosen == (0, 3, 5, 8, 10, 13, 15, 18, 20, 23)
    assert open_images(path, fps=1000).chosen == every.chosen
    assert slow.read(4).shape == (48, 64, 3)
    assert abs(slow.read(4).mean() - 100) < 5
    assert abs(slow.read(1).mean() - 30) < 5  # backwards
    assert slow.read(4, grey=True).shape == (48, 64)
    assert abs(slow.read(4, grey=True).mean() - 100) < 5
    assert abs(pickle.loads(pickle.dumps(slow)).read(2).mean() - 50) < 5


class Played:
    """A capture whose frames have the times given, in ms."""

    def __init__(self, times):
        self.times, self.frame = times, -1

    def grab(self):
        self.frame += 1
        return self.frame < len(self.times)

    def get(self, _):
        return self.times[self.frame]

    def release(self):
        pass


@pytest.mark.parametrize(
    ("times", "fps", "chosen"),
    [
        ([5000, 5100, 5200, 6400, 6450, 7000, 9100], 1, (0, 3, 5, 6)),  # a rate that varies, and a gap
        ([0, 33, 67, 100, 133, 167], 30, (0, 1, 2, 3, 4, 5)),  # times rounded to milliseconds
    ],
)
def test_frames_are_taken_by_their_own_times(tmp_path, monkeypatch, times, fps, chosen):
    (tmp_path / "v.mp4").touch()
    monkeypatch.setattr(video, "_open_capture", lambda _: Played(times))
    assert open_images(tmp_path / "v.mp4", fps=fps).chosen == chosen


def test_a_video_without_times_has_no_rate(tmp_path, monkeypatch):
    (tmp_path / "v.mp4").touch()
    monkeypatch.setattr(video, "_open_capture", lambda _: Played([0, 0, 0]))
    with pytest.raises(UserError, match="does not say when its frames were taken: leave out `fps`"):
        open_images(tmp_path / "v.mp4", fps=1)
    assert open_images(tmp_path / "v.mp4").chosen == (0, 1, 2)


def test_videos_without_frames(tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"not a video")
    with pytest.raises(UserError, match=r"cannot open the video .*v\.mp4"):
        open_images(tmp_path / "v.mp4")
    hollow = write_video(tmp_path / "v.avi", [], fps=10, codec="MJPG")
    with pytest.raises(UserError, match=r"video .*v.avi"):
        open_images(hollow)
    with pytest.raises(UserError, match="more than 0 frames per second"):
        open_images(write_video(tmp_path / "w.avi", [1], fps=10, codec="MJPG"), fps=-1)
