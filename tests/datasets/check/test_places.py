from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from opticornet.datasets.check import places as check_places
from opticornet.datasets.check.dataset import check_dataset
from opticornet.datasets.check.render import render
from opticornet.datasets.prepare.sources.gsv_cities import GsvCities
from opticornet.datasets.prepare.writing import write_prepared


def make(folder, places, **rows):
    """A dataset folder of places, of letters, with images of noise; ``rows``: image to its place, for files that are
    there or not."""
    generator = np.random.default_rng(0)
    lines = ["image,place"]
    for number, place in enumerate(places):
        Image.fromarray(generator.integers(0, 255, (6, 8, 3), np.uint8)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{place}")
    lines += [f"{name}.png,{place}" for name, place in rows.items()]
    (folder / "places.csv").write_text("\n".join(lines))
    (folder / "dataset.toml").write_text('[places.train]\ntable = "places.csv"\n')
    return folder


def check(folder):
    report = check_dataset(str(folder))
    return report, "\n".join(render(report))


def test_a_sound_set_of_places(tmp_path):
    report, text = check(make(tmp_path, "aaaabbbbb"))
    assert (report.errors, report.warnings, report.splits) == ((), (), ())
    assert f"  places train: 9 images of 2 places in 1 group, {tmp_path / 'places.csv'}\n" in text
    assert "    images per place 4 to 5, median 4.5; places of fewer than 4: 0\n" in text
    assert "    images: 0 missing; of 9 sampled 0 cannot be decoded, sizes 8 x 6 (9)\n" in text
    assert "    copies among 9 images compared: 0, 0 of them of two places\n" in text


def test_cities_and_places_of_few_images(gsv_cities, tmp_path):
    write_prepared(tmp_path / "data", "gsv", GsvCities().read(gsv_cities))
    report, text = check(tmp_path / "data")
    assert report.errors == ()
    assert report.warnings == (
        "places train: 1 of 15 places have fewer than 4 images, 3 in all, and are left out where training takes 4",
    )
    assert "72 images of 15 places in 3 groups" in text
    assert "images per place 3 to 6, median 5; places of fewer than 4: 1" in text


def test_images_that_are_missing_or_damaged(tmp_path):
    folder = make(tmp_path, "aaaabbbb", gone="a", damaged="b", lost="b")
    (folder / "damaged.png").write_bytes(b"no image")
    report, _ = check(folder)
    missing, bad = report.errors
    assert missing == (
        f"places train: 2 images missing, first {folder}/gone.png; correct the paths in {folder}/places.csv"
    )
    assert bad.startswith(f"places train: 1 image cannot be decoded, first {folder}/damaged.png: ")


def test_copies_are_told_apart_by_place(tmp_path):
    folder = make(tmp_path, "aaaabbbb", same="a", other="a")
    (folder / "same.png").write_bytes((folder / "1.png").read_bytes())
    (folder / "other.png").write_bytes((folder / "5.png").read_bytes())
    report, text = check(folder)
    assert report.warnings == (
        f"places train: 1 image is a copy of another, of one place: first {folder}/same.png of {folder}/1.png",
        "places train: 1 image is a copy of another, of two places, of which one label is wrong: first "
        f"{folder}/other.png of {folder}/5.png",
    )
    assert "copies among 10 images compared: 2, 1 of them of two places" in text


def test_files_of_one_size_and_end_are_no_copies(tmp_path):
    folder = make(tmp_path, "aaaa", big="b", bigger="b")
    for name, first in (("big", b"1"), ("bigger", b"2")):
        (folder / f"{name}.png").write_bytes(first + bytes(2 * check_places.END_BYTES))
    assert not check_dataset(str(folder)).places[0].copies


def test_of_many_images_some_are_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(check_places, "COMPARED_IMAGES", 3)
    _, text = check(make(tmp_path, "aaaabbbb"))
    assert "copies among 3 images compared" in text


def test_nothing_to_learn_from(tmp_path):
    report, _ = check(make(tmp_path, "aabcd"))
    assert report.errors == ("places train: 1 place of two images or more; wanted two such places",)


def test_a_table_that_does_not_open_is_an_error_beside_the_others(tmp_path):
    folder = make(tmp_path, "aaaabbbb")
    toml = (folder / "dataset.toml").read_text()
    (folder / "dataset.toml").write_text(toml + '[places.more]\ntable = "more.csv"\n')
    report, _ = check(folder)
    assert report.errors == (f"{folder}/more.csv: no such table; check the path, or unpack the dataset again",)
    assert [places.size.name for places in report.places] == ["train"]


@pytest.mark.parametrize(("rows", "warned"), [("[0, 4]", True), ("[4, 8]", False)])
def test_images_that_are_trained_on_and_tested(tmp_path, monkeypatch, rows, warned):
    folder = make(tmp_path, "aaaabbbb")
    table = (folder / "places.csv").read_text().splitlines()
    (folder / "frames.csv").write_text("\n".join(["image", *(line.split(",")[0] for line in table[1:])]))
    (folder / "places.csv").write_text("\n".join([*table[:5], "8.png,c", "9.png,c"]))
    for number in (8, 9):
        (folder / f"{number}.png").write_bytes((folder / f"{number - 4}.png").read_bytes())
    (folder / "dataset.toml").write_text(
        'units = "frames"\n[places.train]\ntable = "places.csv"\n[traverses.day]\nframes = "frames.csv"\n'
        f'[splits.test]\nreference = "day"\nquery = "day"\nreference_rows = {rows}\nquery_rows = {rows}\n'
        "positive_radius = 1\n"
    )
    monkeypatch.chdir(tmp_path)
    report, _ = check(Path("."))
    found = f"test: 4 images of places train are in it, first {folder}/0.png"
    assert (found in report.warnings) == warned
    assert [split.name for split in report.splits] == ["test"]
