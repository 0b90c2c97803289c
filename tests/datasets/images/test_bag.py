import io

import numpy as np
import pytest
from PIL import Image

from opticornet.datasets.images.recordings import frame_exists, read_image
from opticornet.datasets.images.sources import open_images
from opticornet.utils.errors import UserError

T = 1_600_000_000_000_000_000  # nanoseconds
RGB = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
GREY = np.arange(24, dtype=np.uint8).reshape(4, 6)
DEEP = 7600 + 30 * np.arange(24, dtype=np.uint16).reshape(4, 6)


@pytest.fixture(params=["bag", "db3", "mcap"])
def kind(request):
    return request.param


def jpeg(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return np.frombuffer(buffer.getvalue(), np.uint8)


def test_images_of_a_topic_in_order(tmp_path, kind, write_bag):
    path = write_bag(tmp_path / "drive", kind, {"/cam/image": [(T + i, T + 7, "rgb8", RGB + i) for i in range(5)]})
    source = open_images(path)
    assert source.names == tuple(f"cam/image/{T + i}" for i in range(5))
    for row in (0, 1, 4, 2, 2):  # on, ahead, back, and again
        np.testing.assert_array_equal(source.read(row), RGB + row)
    assert frame_exists(path / f"cam/image/{T}")
    assert source.max_workers == 1


ENCODED = {
    "rgb8": (RGB, RGB),
    "bgr8": (RGB[..., ::-1], RGB),
    "rgba8": (np.dstack([RGB, GREY]), RGB),
    "mono8": (GREY, np.repeat(GREY[..., None], 3, axis=2)),
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_encodings(tmp_path, write_bag, encoding):
    stored, wanted = ENCODED[encoding]
    path = write_bag(tmp_path / "drive", "bag", {"/cam": [(T, T, encoding, stored)]})
    np.testing.assert_array_equal(open_images(path).read(0), wanted)


def test_raw_frames_become_colour(tmp_path, write_bag):
    flat = np.zeros((8, 8), np.uint8)
    flat[::2, ::2], flat[1::2, 1::2] = 200, 40  # red and blue of rggb; no green
    for encoding, stored in (("bayer_rggb8", flat), ("bayer_rggb16", flat.astype(np.uint16) * 257)):
        path = write_bag(tmp_path / encoding, "db3", {"/cam": [(T, T, encoding, stored)]})
        assert open_images(path).read(0)[4, 4].tolist() == [200, 0, 40]


def test_deep_images_are_scaled_by_their_range(tmp_path, write_bag):
    from opticornet.datasets.images.levels import find_levels, with_levels

    path = write_bag(tmp_path / "drive", "mcap", {"/thermal": [(T + i, T, "mono16", DEEP) for i in range(3)]})
    source = open_images(path)
    assert find_levels([source]) == (DEEP.min(), DEEP.max())
    assert np.ptp(with_levels(source).read(1, grey=True)) == 255


def test_compressed_images(tmp_path, kind, write_bag):
    path = write_bag(tmp_path / "drive", kind, {"/cam/compressed": [(T, T, "png", jpeg(RGB))]})
    np.testing.assert_array_equal(open_images(path).read(0), RGB)


def test_several_topics_are_listed(tmp_path, write_bag):
    path = write_bag(tmp_path / "drive", "bag", {f"/{side}": [(T, T, "mono8", GREY)] for side in ("left", "right")})
    with pytest.raises(UserError, match=r"2 topics of Image or CompressedImage: /left, /right; give `topic`"):
        open_images(path)
    for topic in ("/left", "left"):
        assert open_images(path, topic=topic).names == (f"left/{T}",)
    with pytest.raises(UserError, match="no topic /up of Image or CompressedImage; it has /left, /right"):
        open_images(path, topic="/up")
    with pytest.raises(UserError, match="`topic` is for ROS bags"):
        open_images(tmp_path, topic="/left")


def test_bags_that_hold_no_images_or_are_damaged(tmp_path, kind, write_bag):
    path = write_bag(tmp_path / "fixes", kind, {"/gps": [(T, T, 48.0, 11.0, 0)]})
    with pytest.raises(UserError, match="no topic with images"):
        open_images(path)
    path = write_bag(tmp_path / "cut", kind, {"/cam": [(T + i, T, "mono8", GREY) for i in range(9)]})
    file = path if path.is_file() else next(one for one in path.iterdir() if one.suffix == f".{kind}")
    whole = file.read_bytes()
    draw = np.random.default_rng(2)
    for damaged in (b"", whole[: len(whole) // 2], whole[:100], draw.bytes(500)):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match="cannot be read as a ROS bag") as error:
            open_images(path)
        assert "\n" not in str(error.value)


def test_a_frame_of_an_unknown_encoding(tmp_path, write_bag):
    from opticornet.datasets.images.decoding import BadImageError

    path = write_bag(tmp_path / "drive", "bag", {"/cam": [(T, T, "yuv422", GREY)]})
    with pytest.raises(BadImageError, match="its encoding yuv422 is not known; known are rgb8, bgr8"):
        open_images(path).read(0)
    with pytest.raises(BadImageError, match="the bag has no image of 5 on /cam"):
        read_image(path / "cam" / "5")
