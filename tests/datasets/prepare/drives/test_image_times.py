import numpy as np
import pytest
from PIL import Image

from opticornet.datasets.prepare.drives.image_times import Clock, image_seconds, image_times
from opticornet.utils.errors import UserError

T = 1_403_636_579


def drive(root, names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return tuple(names)


def photos(root, offset):
    """One a second, and their names."""
    root.mkdir()
    for i in range(3):
        exif = Image.Exif()
        exif.get_ifd(0x8769).update({0x9003: f"2020:09:13 12:26:4{i}"} | ({0x9011: offset} if offset else {}))
        Image.new("RGB", (4, 4)).save(root / f"IMG_{i}.jpg", exif=exif)
    return tuple(f"IMG_{i}.jpg" for i in range(3))


def refused(*arguments):
    with pytest.raises(UserError) as error:
        image_times(*arguments)
    return str(error.value)


def test_times_in_file_names_have_one_unit(tmp_path):
    images = drive(tmp_path, [f"{999_800_000_000 + 50_000_000 * i}.png" for i in range(20)])
    seconds, where = image_times(images, tmp_path)
    np.testing.assert_allclose(seconds, 999.8 + 0.05 * np.arange(20))
    assert where == "the names of the images"
    assert image_seconds(("a/1418755480.5.png", "1418755481.25.png"), tmp_path).tolist() == [
        1418755480.5,
        1418755481.25,
    ]
    with pytest.raises(
        UserError, match="d, file names: 2 times from 1200000000 to 1200000020 may be s or ms; give `time_unit`"
    ):
        image_seconds(("1200000000.png", "1200000020.png"), "d")
    for bad in ("x7", "nan", "1_000", "1e5", "1.2.3", "\u0663"):
        with pytest.raises(UserError, match=rf"the file name {bad} is no time"):
            image_seconds(("1.png", f"{bad}.png"), tmp_path)


def test_names_that_only_count_are_no_times_unless_their_unit_is_given(tmp_path):
    images = drive(tmp_path, [f"{i:06d}.png" for i in range(1, 9)])
    assert "file names only count (000001.png ...) and are no times; name images by their times" in refused(
        images, tmp_path
    )
    assert image_times(images, tmp_path, Clock(unit="s"))[0].tolist() == list(range(1, 9))


def test_names_that_count_are_times_where_the_positions_have_the_same(tmp_path):
    images = drive(tmp_path, [f"{i}.png" for i in range(20)])
    one_each = np.delete(np.arange(20.0), [4, 5])
    assert image_times(images, tmp_path, recorded_s=one_each)[0].tolist() == list(range(20))
    for other in (0.1 * np.arange(300), np.arange(4.0), 0.5 + np.arange(20)):  # of frames at another rate
        with pytest.raises(UserError, match="file names only count"):
            image_times(images, tmp_path, recorded_s=other)


def test_the_clock_offset_is_added(tmp_path):
    images = drive(tmp_path, [f"{T + i}.png" for i in range(3)])
    assert image_times(images, tmp_path, Clock(offset_s=-30.5))[0].tolist() == [T - 30.5, T - 29.5, T - 28.5]


KITTI_RAW = [f"2011-09-26 13:02:25.{i}64389445" for i in range(5)]
LISTS = {
    "image_0/{}.png times.txt": [f"{0.104 * i:e}" for i in range(5)],  # KITTI odometry
    "image_02/data/{}.png image_02/timestamps.txt": KITTI_RAW,
    "cam0/data/{}.png cam0/data.csv": [
        "#timestamp [ns],filename",
        *(f"{T * 10**9 + 50_000_000 * i},{i}.png" for i in reversed(range(5))),
    ],
    "rgb/{}.png rgb.txt": [
        "# color images",
        "# timestamp filename",
        *(f"{T + 0.03 * i:.4f} rgb/{i}.png" for i in range(9)),
    ],
    "{}.jpg times.csv": ["name,time", *(f"{i},{T + 0.03 * i:.4f}" for i in range(5))],
}


@pytest.mark.parametrize("layout", LISTS)
def test_files_of_times_beside_the_images(tmp_path, layout):
    pattern, file = layout.split()
    images = drive(tmp_path, [pattern.format(i) for i in range(5)])
    (tmp_path / file).write_text("\n".join(LISTS[layout]) + "\n")
    seconds, where = image_times(images, tmp_path)
    assert where == file.rsplit("/", 1)[-1]
    step = {"times.txt": 0.104, "timestamps.txt": 0.1, "data.csv": 0.05}.get(where, 0.03)
    np.testing.assert_allclose(seconds - seconds[0], step * np.arange(5), atol=1e-6)
    start = {"times.txt": 0, "timestamps.txt": 1_317_042_145.064389}.get(where, T)
    assert abs(seconds[0] - start) < 1e-6


def test_files_of_times_that_do_not_fit(tmp_path):
    images = drive(tmp_path, [f"{i}.png" for i in range(3)])
    (tmp_path / "times.txt").write_text("0\n0.1\n")
    assert "times.txt: 2 times for 3 images" in refused(images, tmp_path)
    (tmp_path / "times.txt").write_text("0 0.png\n0.1 1.png\n")
    assert "no time for the image 2.png" in refused(images, tmp_path)
    (tmp_path / "times.txt").write_text("0 0.png\n0.1\n")
    assert "lines of one cell and of two" in refused(images, tmp_path)
    (tmp_path / "times.txt").write_text("0\nnoon\n0.2\n")
    assert "'noon' is no time" in refused(images, tmp_path)
    (tmp_path / "times.txt").write_bytes(b"\xff\xfe")
    assert "cannot be read as UTF-8 text" in refused(images, tmp_path)
    (tmp_path / "times.txt").write_text("# [s]\n")
    assert "no time in it" in refused(images, tmp_path)
    (tmp_path / "times.txt").write_text("0\n1\n2\n")
    (tmp_path / "timestamps.txt").write_text("0\n1\n2\n")
    assert "both times.txt and timestamps.txt may say when images were taken" in refused(images, tmp_path)


def test_photos_go_by_exif(tmp_path):
    images = photos(tmp_path / "a", "+02:00")
    assert image_times(images, tmp_path / "a")[0].tolist() == [1_600_000_000 - 7200 + i for i in range(3)]
    assert image_times(images, tmp_path / "a")[1] == "the EXIF of the images"


def test_exif_without_a_zone_needs_an_offset(tmp_path):
    images = photos(tmp_path / "a", "")
    assert "have no time zone; give `clock_offset`" in refused(images, tmp_path / "a")
    assert image_times(images, tmp_path / "a", Clock(offset_s=0.0))[0].tolist() == [1_600_000_000 + i for i in range(3)]


def test_images_of_unknown_times(tmp_path):
    images = photos(tmp_path / "a", "Z")
    Image.new("RGB", (4, 4)).save(tmp_path / "a" / "IMG_1.jpg")
    assert "1 of 3 images have no EXIF time, first IMG_1.jpg" in refused(images, tmp_path / "a")
    images = drive(tmp_path / "b", ["x1.png", "x2.png"])
    assert "the file name x1.png is no time, and no EXIF holds one" in refused(images, tmp_path / "b")
