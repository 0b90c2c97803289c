"""What a user can get wrong between images and a dataset folder: one line, exit status 2, nothing lost."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from opticornet.cli import main


@pytest.fixture
def photos(tmp_path):
    """Two drives of six images."""
    generator = np.random.default_rng(0)
    for name in ("day", "night"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(6):
            picture = Image.fromarray(generator.integers(0, 255, (48, 64, 3), np.uint8))
            picture.save(tmp_path / "photos" / name / f"{i}.jpg")
    return tmp_path / "photos"


@pytest.fixture
def refused(tmp_path, capsys):
    """Run a command that has to fail; its one line on stderr. No file that was there may change or go."""

    def run(*line: object) -> str:
        before = contents(tmp_path)
        capsys.readouterr()
        assert main([str(part) for part in line]) == 2
        after = contents(tmp_path)
        assert {path: after.get(path) for path in before} == before
        *notices, message = capsys.readouterr().err.splitlines()
        assert all("weights are random" in notice for notice in notices), notices
        assert message.startswith("error: ")
        return message

    return run


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def extract(images: object, output: object, *more: object, encoder: str = "hog") -> tuple:
    return (
        "--mode",
        "extract",
        "--images",
        images,
        "--output",
        output,
        "--descType",
        encoder,
        "--batchSize",
        2,
        "--threads",
        -1,
        "--quiet",
        *more,
    )


def prepare(root: object, output: object, *more: object, query: str = "night") -> tuple:
    return (
        "--mode",
        "prepare",
        "--source",
        "folders",
        "--root",
        root,
        "--output",
        output,
        "--reference",
        "day",
        "--query",
        query,
        "--fractions",
        0.5,
        0,
        0.5,
        "--gap",
        0,
        "--quiet",
        *more,
    )


def test_no_images(tmp_path, photos, refused):
    (tmp_path / "empty").mkdir()
    assert "no images in" in refused(*extract(tmp_path / "empty", tmp_path / "out.npy"))
    assert "no images at" in refused(*extract(tmp_path / "nowhere", tmp_path / "out.npy"))
    (photos / "dusk").mkdir()
    assert "no images in" in refused(*prepare(photos, tmp_path / "data", query="dusk"))
    assert "no such folder of images; " in refused(*prepare(photos, tmp_path / "data", query="dawn"))
    assert not (tmp_path / "out.npy").exists()
    assert not (tmp_path / "data").exists()


def test_a_folder_that_cannot_be_read(tmp_path, photos, refused, monkeypatch):
    scandir = os.scandir  # the superuser, whom tests often run as, may read everything: permission is faked

    def refuse(path):
        if str(path).endswith("night"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    for command in (extract(photos, tmp_path / "out.npy"), prepare(photos, tmp_path / "data")):
        message = refused(*command)
        assert "cannot read the folder" in message
        assert "night: Permission denied; check its permissions" in message


def test_a_list_of_files_that_are_not_there(tmp_path, photos, refused):
    (photos / "list.txt").write_text("day/0.jpg\nday/99.jpg\nday/98.jpg\n")
    message = refused(*extract(photos / "list.txt", tmp_path / "out.npy"))
    assert "names 2 file(s) that do not exist, first 'day/99.jpg'" in message


@pytest.mark.parametrize(("kept", "reason"), [(0, "the file is empty"), (1500, "truncated")])
def test_a_damaged_image(tmp_path, photos, refused, kept, reason):
    damaged = photos / "day" / "3.jpg"
    damaged.write_bytes(damaged.read_bytes()[:kept])
    message = refused(*extract(photos, tmp_path / "out.npy"))
    assert "cannot decode the image day/3.jpg" in message
    assert reason in message
    assert "--skipBadImages" in message
    assert main([str(part) for part in extract(photos, tmp_path / "out.npy", "--skipBadImages")]) == 0
    assert np.load(tmp_path / "out.npy").shape[0] == 12
    assert np.load(tmp_path / "out.usable.npy").tolist() == [True] * 3 + [False] + [True] * 8


def test_images_of_different_sizes(tmp_path, photos, refused):
    Image.new("RGB", (90, 40)).save(photos / "day" / "3.jpg")
    native = ("--weights", "random", "--imageSize", 0, 0)
    message = refused(*extract(photos, tmp_path / "out.npy", *native, encoder="resnet18"))
    assert "the image day/3.jpg is not 48 x 64 pixels" in message
    assert "--imageSize" in message


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_a_video_without_frames(tmp_path, refused, content):
    (tmp_path / "drive.mp4").write_bytes(content)
    assert "drive.mp4" in refused(*extract(tmp_path / "drive.mp4", tmp_path / "out.npy"))


def test_a_table_that_does_not_fit_its_images(tmp_path, photos, refused):
    table = photos / "day.csv"
    table.write_text("name,height\n0.jpg,3\n")
    assert "day.csv" in refused(*prepare(photos, tmp_path / "data"))
    table.write_text("name,frame\n" + "".join(f"{i}.jpg,{i}\n" for i in range(5)) + "77.jpg,77\n")
    message = refused(*prepare(photos, tmp_path / "data"))
    assert "match no image" in message
    assert "77.jpg" in message
    assert not (tmp_path / "data").exists()


def test_times_that_do_not_overlap(tmp_path, photos, refused):
    for name in ("day", "night"):
        for i in range(6):
            (photos / name / f"{i}.jpg").rename(photos / name / f"{1000 + i}.5.jpg")
        (photos / f"{name}.tum").write_text("".join(f"{5000 + i} {i} 0 0 0 0 0 1\n" for i in range(9)))
    message = refused(*prepare(photos, tmp_path / "data"))
    assert "timestamps do not overlap: images from 1000.500 to 1005.500 s" in message
    assert "from 5000.000 to 5008.000 s" in message


def test_an_output_of_another_encoder_or_of_other_images(tmp_path, photos, refused):
    command = extract(photos, tmp_path / "out.npy")
    assert main([str(part) for part in command]) == 0
    assert "encoder hog, now thumbnail" in refused(*extract(photos, tmp_path / "out.npy", encoder="thumbnail"))
    (photos / "day" / "5.jpg").unlink()
    assert "images count 12, now 11" in refused(*command)
    assert main([*(str(part) for part in command), "--overwrite"]) == 0
    assert len(np.load(tmp_path / "out.npy")) == 11


def test_a_prepared_folder_that_would_change(tmp_path, photos, refused):
    command = prepare(photos, tmp_path / "data")
    assert main([str(part) for part in command]) == 0
    (photos / "day" / "5.jpg").unlink()
    assert "day has 5 images, night 6, and neither has positions" in refused(*command)
    (photos / "night" / "5.jpg").unlink()
    assert "exists and would change" in refused(*command)


def test_a_full_disk(tmp_path, photos, refused, monkeypatch):
    reserve, calls = os.posix_fallocate, []

    def fills_up(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        reserve(*arguments)

    command = extract(photos, tmp_path / "out.npy")
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", fills_up)
        assert "the disk is full; free some space" in refused(*command)
    assert main([str(part) for part in command]) == 0  # goes on
    assert main([str(part) for part in extract(photos, tmp_path / "whole.npy")]) == 0
    assert (tmp_path / "out.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_a_full_disk_while_preparing(tmp_path, photos, refused, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert "the disk is full" in refused(*prepare(photos, tmp_path / "data"))
    assert main([str(part) for part in prepare(photos, tmp_path / "data")]) == 0
