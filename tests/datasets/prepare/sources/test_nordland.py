import csv
import os

import numpy as np
import pytest

from opticornet.datasets.prepare.sources import nordland
from opticornet.datasets.prepare.sources.nordland import CLEAN_FRAMES, Nordland
from opticornet.datasets.seqnet.structs import read_struct
from opticornet.utils.errors import UserError


def read(root, **options):
    return Nordland(**options).read(root)


def season(root, name, images):
    (root / name).mkdir(parents=True)
    for image in images:
        (root / name / image).touch()


def pretend(monkeypatch, images):
    """Every season has these images; making 27592 files takes seconds."""
    monkeypatch.setattr(nordland, "images_of", lambda folder: tuple(images))


def names(count, first=1):
    return [f"images-{i:05d}.png" for i in range(first, first + count)]


def rows(prepared):
    return {s.name: (s.reference[0].rows.tolist(), s.query[0].rows.tolist()) for s in prepared.splits}


def test_all_clean_frames_get_seqnets_rows(tmp_path, monkeypatch):
    pretend(monkeypatch, names(CLEAN_FRAMES))
    prepared = read(tmp_path)
    ranges = {"train": range(15000), "val": range(18200, 21200), "test": range(15100, 18100)}
    assert rows(prepared) == {name: (list(r), list(r)) for name, r in ranges.items()}
    assert {s.name: (s.positive_radius, s.negative_radius) for s in prepared.splits} == {
        "train": (10.0, 40.0),
        "val": (1.0, None),
        "test": (1.0, None),
    }
    assert prepared.units == "frames"
    assert prepared.traverses[0].positions["frame"].tolist() == list(range(CLEAN_FRAMES))


def test_the_clean_list_picks_frames_of_the_full_videos(tmp_path, monkeypatch):
    pretend(monkeypatch, [n.replace(".png", ".jpg") for n in names(CLEAN_FRAMES + 50)])
    clean = names(CLEAN_FRAMES + 20, first=5)
    del clean[100:120]
    (tmp_path / "clean.txt").write_text("\n".join(clean))
    prepared = read(tmp_path / "root", reference=("spring",), query=("fall",), frame_list=str(tmp_path / "clean.txt"))
    for traverse, folder in zip(prepared.traverses, ("spring", "fall"), strict=True):
        assert [n.replace(".jpg", ".png") for n in traverse.names] == clean
        assert traverse.images[0] == str(tmp_path / "root" / folder / "images-00005.jpg")


def test_against_seqnets_files(shared, tmp_path, monkeypatch):
    structs = shared / "data" / "seqnet-structs"
    clean = structs / "imageNamesFiles" / "nordland_clean_imageNames.txt"
    pretend(monkeypatch, ["images-00001.png", *clean.read_text().split()])
    prepared = read(tmp_path, frame_list=str(clean))
    by_name = {traverse.name: traverse for traverse in prepared.traverses}
    for split, file in zip(prepared.splits, ("train_d-40_d2-10", "val_d-1_d2-1", "test_d-1_d2-1"), strict=True):
        struct = read_struct(structs / f"nordland_{file}.db")
        for name, chosen, expected, at in (
            (split.reference[0].drive, split.reference[0].rows, struct.reference_names, struct.reference_positions),
            (split.query[0].drive, split.query[0].rows, struct.query_names, struct.query_positions),
        ):
            assert tuple(by_name[name].names[row] for row in chosen) == expected
            np.testing.assert_array_equal(by_name[name].positions["frame"][chosen], at[:, 0])


def frames_csv(root, table):
    with open(root / "frames.csv", "w", newline="") as file:
        csv.writer(file).writerows([("name", "frame", "lat", "split"), *table])


def test_frames_csv_gives_frames_and_splits(tmp_path):
    for name in ("summer", "winter"):
        season(tmp_path, name, names(12))
    labels = ["train"] * 5 + [""] * 2 + ["test"] * 3 + ["val"]
    frames_csv(tmp_path, [(n, 10 * i, "", s) for i, (n, s) in enumerate(zip(names(11), labels, strict=True))])
    prepared = read(tmp_path)
    assert len(prepared.traverses[0]) == 11
    assert rows(prepared) == {"train": ([0, 1, 2, 3, 4],) * 2, "val": ([10],) * 2, "test": ([7, 8, 9],) * 2}
    radii = {s.name: (s.positive_radius, s.negative_radius) for s in prepared.splits}
    assert radii == {"train": (1.0, 4.0), "val": (1.0, None), "test": (1.0, None)}  # 10 and 40 at every tenth frame


def test_real_thumbnails(shared):
    prepared = read(shared / "data" / "nordland-thumbnails")
    assert [(t.name, len(t)) for t in prepared.traverses] == [("summer", 2761), ("winter", 2761)]
    assert {s.name: (len(s.query[0].rows), int(np.ptp(s.query[0].rows)) + 1) for s in prepared.splits} == {
        "train": (1500, 1500),
        "val": (300, 300),
        "test": (300, 300),
    }


def test_bad_tables(tmp_path):
    for name in ("summer", "winter"):
        season(tmp_path, name, names(3))
    good = [(n, i, "", "train") for i, n in enumerate(names(3))]
    frames_csv(tmp_path, [*good, ("images-00009.png", 9, "", "test")])
    with pytest.raises(UserError, match=r"1 of 4 rows match no image of summer, first images-00009\.png"):
        read(tmp_path)
    frames_csv(tmp_path, [(*row[:3], "tset") for row in good])
    with pytest.raises(UserError, match="split 'tset' is unknown"):
        read(tmp_path)
    frames_csv(tmp_path, [(*row[:3], "") for row in good])
    with pytest.raises(UserError, match="no row is in a split"):
        read(tmp_path)
    for numbers in ([0, 0, 0], [2, 1, 0], [0]):
        frames_csv(tmp_path, [(n, i, "", "train") for n, i in zip(names(3), numbers, strict=False)])
        with pytest.raises(UserError, match="numbers in the column frame do not rise"):
            read(tmp_path)
    (tmp_path / "frames.csv").write_text("name,split\na,b\n")
    with pytest.raises(UserError, match=r"no column frame; it has name, split"):
        read(tmp_path)


def test_bad_seasons(tmp_path):
    season(tmp_path, "summer", names(3))
    with pytest.raises(UserError, match=r"winter: no such folder of images; .* has summer"):
        read(tmp_path)
    season(tmp_path, "winter", [])
    with pytest.raises(UserError, match=r"no images in .*winter"):
        read(tmp_path)
    for name in names(4)[1:]:
        (tmp_path / "winter" / name).touch()
    with pytest.raises(UserError, match="summer and winter do not hold the same frames, for instance images-00001"):
        read(tmp_path)
    (tmp_path / "winter" / "images-00001.png").touch()
    (tmp_path / "winter" / "images-00004.jpg").touch()  # beside images-00004.png
    (tmp_path / "summer" / "images-00004.png").touch()
    with pytest.raises(UserError, match="do not hold the same frames, for instance images-00004"):
        read(tmp_path)
    (tmp_path / "winter" / "images-00004.jpg").unlink()
    (tmp_path / "summer" / "images-00004.png").unlink()
    (tmp_path / "winter" / "images-00004.png").unlink()
    with pytest.raises(UserError, match=r"found 3 frames; .* 27592 clean frames: give `frame_list`"):
        read(tmp_path)


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    season(tmp_path, "summer", names(1))
    real = os.scandir

    def refuses(path):
        if str(path).endswith("summer"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuses)
    with pytest.raises(UserError, match=r"cannot read the folder .*summer: Permission denied"):
        read(tmp_path)


def test_bad_lists(tmp_path):
    for name in ("summer", "winter"):
        season(tmp_path / "root", name, names(3))
    listed = tmp_path / "list.txt"
    for text, message in (
        ("images-00001\nimages-00007\nimages-00008", "2 of 3 names match no image of summer, first images-00007"),
        ("images-00001.png\nimages-00001.png", "names images-00001 more than once"),
        ("\n", "empty"),
    ):
        listed.write_text(text)
        with pytest.raises(UserError, match=message):
            read(tmp_path / "root", frame_list=str(listed))
    with pytest.raises(UserError, match=r"no such list of image names"):
        read(tmp_path / "root", frame_list=str(tmp_path / "none.txt"))


def test_several_seasons_are_one_map_and_query_seasons_are_tested_one_by_one(tmp_path, monkeypatch):
    pretend(monkeypatch, names(CLEAN_FRAMES))
    prepared = read(tmp_path, reference=("summer", "fall"), query=("winter", "spring"))
    assert [traverse.name for traverse in prepared.traverses] == ["summer", "fall", "winter", "spring"]
    drives = {s.name: ([one.drive for one in s.reference], [one.drive for one in s.query]) for s in prepared.splits}
    assert drives == {
        "train": (["summer", "fall"], ["winter", "spring"]),
        "val": (["summer", "fall"], ["winter", "spring"]),
        "test-winter": (["summer", "fall"], ["winter"]),
        "test-spring": (["summer", "fall"], ["spring"]),
    }
    assert all(one.rows.tolist() == list(range(15000)) for one in prepared.splits[0].drives)
