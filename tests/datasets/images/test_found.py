import pytest

from opticornet.datasets.images.found import find_images, image_stem, scan_images
from opticornet.utils.errors import UserError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_kinds_that_are_passed_over_are_counted(tmp_path):
    touch(tmp_path, "1.jpg", "2.HEIC", "3.heic", "4.avif", "a/5.gif", "a/6.jp2", "clip.mp4", ".7.gif")
    found = scan_images(tmp_path)
    assert found.images == ("1.jpg",)
    assert found.passed_over == {".heic": 2, ".avif": 1, ".gif": 1, ".jp2": 1, ".mp4": 1}
    assert found.note() == "1 .avif, 1 .gif, 2 .heic, 1 .jp2, 1 .mp4"


def test_folders_of_systems_hold_no_frames(tmp_path):
    folders = ("@eaDir", "__MACOSX", ".thumbnails", "Thumbs", "$RECYCLE.BIN", ".git", "run1/@eaDir")
    touch(tmp_path, "1.jpg", *(f"{folder}/2.jpg" for folder in folders), "run1/3.jpg", "._4.jpg")
    found = scan_images(tmp_path)
    assert found.images == ("1.jpg", "run1/3.jpg")
    assert found.system_folders == ("$RECYCLE.BIN", "@eaDir", "Thumbs", "__MACOSX", "run1/@eaDir")
    assert found.note().startswith("the folder $RECYCLE.BIN, the folder @eaDir")


def test_other_files_are_listed(tmp_path):
    touch(tmp_path, "1.jpg", "gps.csv", "a/notes.txt", ".hidden.csv")
    assert scan_images(tmp_path).others == ("a/notes.txt", "gps.csv")


def test_a_folder_of_a_kind_that_is_not_read_says_what_it_has(tmp_path):
    touch(tmp_path, "1.heic", "2.heic")
    with pytest.raises(UserError, match=r"no images in .*: wanted files ending in .bmp .* it has 2 .heic$"):
        find_images(tmp_path)


def test_stems_keep_points_that_begin_no_suffix():
    assert [image_stem(name) for name in ("a/1.5.png", "1.5", "day\\x.JPG", "y")] == ["1.5", "1.5", "x", "y"]
