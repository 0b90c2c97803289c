"""Dataset folders whose traverses have images only, or images beside descriptors."""

import json

import numpy as np
import pytest
from PIL import Image

from opticornet.datasets.catalogue import load_dataset
from opticornet.datasets.folder.reading import load_folder
from opticornet.datasets.folder.toml import TraverseEntry, read_toml
from opticornet.datasets.folder.writing import write_dataset
from opticornet.utils.errors import UserError

HEAD = 'name = "tiny"\nunits = "frames"\n'
TAIL = '[splits.test]\nreference = "day"\nquery = "night"\npositive_radius = 1\n'
COLUMN = 'frames = "{0}.csv"\n'
FOLDER = 'images = "{0}"\n'


def make(tmp_path, keys: str, count: int = 11):
    """A folder of two drives, of which ``keys`` say what there is; images are day/0.png and so on."""
    traverses = "".join(f"[traverses.{name}]\n{keys.format(name)}" for name in ("day", "night"))
    (tmp_path / "dataset.toml").write_text(HEAD + traverses + TAIL)
    for name in ("day", "night"):
        (tmp_path / name).mkdir()
        images = [f"{name}/{number}.png" for number in range(count)]
        for image in images:
            Image.new("RGB", (8, 6)).save(tmp_path / image)
        (tmp_path / f"{name}.csv").write_text("\n".join(["image", *images]) + "\n")
    return tmp_path


def refused(folder) -> str:
    with pytest.raises(UserError) as caught:
        load_folder(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("keys", [COLUMN, FOLDER])
def test_images_only(tmp_path, keys):
    folder = make(tmp_path, keys)
    split = load_dataset(str(folder)).splits["test"]
    assert split.reference.descriptors is None
    assert split.reference.images == tuple(f"{folder}/day/{number}.png" for number in range(11))  # 10 after 9
    assert split.reference.positions.ravel().tolist() == list(range(11))
    assert len(split.query) == 11
    source = str(folder / ("day.csv" if keys == COLUMN else "day"))
    assert split.reference.images_source == split.reference.source == source
    with pytest.raises(UserError, match=r"day has images only.*: give \[traverses.day\] of .*dataset.toml a key desc"):
        split.reference.need_descriptors()


@pytest.mark.parametrize("keys", [COLUMN, FOLDER])
def test_descriptors_that_are_yet_to_be_extracted(tmp_path, keys):
    folder = make(tmp_path, keys + 'descriptors = "{0}.npy"\n')
    traverse = load_folder(folder).splits["test"].reference
    assert traverse.descriptors is None
    with pytest.raises(UserError, match=r"day\.npy is not there; extract it first \(mode extract, dataset .*\)"):
        traverse.need_descriptors()
    for name in ("day", "night"):
        np.save(folder / f"{name}.npy", np.ones((11, 3), np.float32))
    traverse = load_folder(folder).splits["test"].reference
    assert (traverse.dims, len(traverse.images), traverse.undescribed) == (3, 11, "")
    assert traverse.source.endswith("day.npy")


def test_a_folder_of_images_may_lie_elsewhere_and_has_to_be_one(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    folder = make(inside, FOLDER)
    toml = (folder / "dataset.toml").read_text()
    (folder / "day").rename(tmp_path / "photos")
    assert 'dataset.toml: images = "day" is no folder' in refused(folder).replace("'", '"')
    for place in (f'"{tmp_path / "photos"}"', '"../photos"'):
        (folder / "dataset.toml").write_text(toml.replace('"day"\n[', f"{place}\n["))
        assert len(load_folder(folder).splits["test"].reference) == 11


def test_images_named_twice(tmp_path):
    message = refused(make(tmp_path, COLUMN + FOLDER))
    assert "images = 'day', but day.csv has an image column; leave one out" in message


def test_a_table_that_names_no_images(tmp_path):
    folder = make(tmp_path, COLUMN)
    (folder / "day.csv").write_text("frame\n0\n1\n")
    assert "traverses.day has no key 'descriptors', and day.csv no image column" in refused(folder)


def test_counts_that_differ(tmp_path):
    folder = make(tmp_path, COLUMN + FOLDER)
    (folder / "day.csv").write_text("frame\n0\n1\n")
    assert "day.csv: 2 frames, but day has 11 images; wanted one row each" in refused(folder)
    (folder / "dataset.toml").write_text(
        (folder / "dataset.toml").read_text().replace(COLUMN.format("day"), 'descriptors = "day.npy"\n')
    )
    np.save(folder / "day.npy", np.ones((10, 3), np.float32))
    assert "day: 11 images, but day.npy has 10 descriptors; wanted one row each" in refused(folder)


def test_only_the_keys_that_there_are_are_read(tmp_path):
    entry = read_toml(make(tmp_path, FOLDER)).traverses["day"]
    assert entry == TraverseEntry(images="day")
    (tmp_path / "other").mkdir()
    make(tmp_path / "other", "")
    with pytest.raises(UserError, match="has no key 'descriptors', nor 'images', nor 'frames' with an image column"):
        read_toml(tmp_path / "other")


def test_a_dataset_of_images_is_written_as_it_is_read(tmp_path):
    (tmp_path / "old").mkdir()
    dataset = load_folder(make(tmp_path / "old", FOLDER))
    write_dataset(tmp_path / "new", dataset)
    assert not [*(tmp_path / "new").glob("*.npy")]
    back, split = load_folder(tmp_path / "new").splits["test"], dataset.splits["test"]
    assert (back.reference.images, back.query.images) == (split.reference.images, split.query.images)
    assert back.reference.descriptors is None


def test_folders_below_a_traverse_are_sequences_of_their_own(tmp_path):
    folder = make(tmp_path, FOLDER, count=5)
    for name in ("day", "night"):
        for number in range(5):
            run = folder / name / ("run1" if number < 3 else "run2")
            run.mkdir(exist_ok=True)
            (folder / name / f"{number}.png").rename(run / f"{number % 3}.png")
    reference = load_folder(folder).splits["test"].reference
    assert [image.removeprefix(f"{folder}/day/") for image in reference.images] == [
        *("run1/0.png", "run1/1.png", "run1/2.png"),
        *("run2/0.png", "run2/1.png"),
    ]
    assert reference.bounds.tolist() == [[0, 3]] * 3 + [[3, 5]] * 2


def test_folders_of_images_that_a_table_lists_or_descriptors_were_extracted_from_are_sequences(tmp_path):
    folder = make(tmp_path, COLUMN)
    (folder / "day.csv").write_text("image\nday/a/0.png\nday/a/1.png\nday/b/0.png\n")
    (folder / "night.csv").write_text("image\nday/a/0.png\nday/b/0.png\nday/a/1.png\n")  # folders that come back
    split = load_folder(folder).splits["test"]
    assert split.reference.bounds.tolist() == [[0, 2], [0, 2], [2, 3]]
    assert split.query.bounds.tolist() == [[0, 3]] * 3
    (folder / "dataset.toml").write_text(
        HEAD + "".join(f'[traverses.{name}]\ndescriptors = "{name}.npy"\n' for name in ("day", "night")) + TAIL
    )
    for name in ("day", "night"):
        np.save(folder / f"{name}.npy", np.ones((3, 2), np.float32))
        record = {"encoder": "hog", "weights": {"kind": "none"}, "rows": 3, "dims": 2}
        (folder / f"{name}.json").write_text(json.dumps(record | {"names": ["run1/0.png", "run1/1.png", "run2/0.png"]}))
    assert load_folder(folder).splits["test"].query.bounds.tolist() == [[0, 2], [0, 2], [2, 3]]


def test_rows_in_another_order_than_the_images_they_name_are_refused(tmp_path):
    folder = make(tmp_path, 'frames = "{0}.csv"\n' + FOLDER)
    rows = [f"{number}.png,{number}" for number in range(11)]
    for name in ("day", "night"):
        (folder / f"{name}.csv").write_text("\n".join(["filename,frame", *rows]) + "\n")
    assert load_folder(folder).splits["test"].reference.names[10] == "10.png"
    (folder / "night.csv").write_text("\n".join(["filename,frame", *sorted(rows)]) + "\n")
    message = (
        r"night.csv: names the images of night in another order (row 3 is '10.png', image 3 '2.png'); wanted row i"
    )
    assert message in refused(folder)
    (folder / "night.csv").write_text("\n".join(["filename,frame", "none.png,0", *sorted(rows)[1:]]) + "\n")
    assert message in refused(folder)  # one name that no image has excuses none of the others


def test_names_that_are_no_images_say_nothing_of_the_order(tmp_path):
    folder = make(tmp_path, 'frames = "{0}.csv"\n' + FOLDER)
    for name in ("day", "night"):
        (folder / f"{name}.csv").write_text("\n".join(["name,frame", *(f"place {row},{row}" for row in range(11))]))
    assert load_folder(folder).splits["test"].query.names[3] == "place 3"


def test_rows_in_another_order_than_the_descriptors_they_name_are_refused(tmp_path):
    folder = make(tmp_path, 'frames = "{0}.csv"\ndescriptors = "{0}.npy"\n')
    for name in ("day", "night"):
        np.save(folder / f"{name}.npy", np.ones((11, 3), np.float32))
        record = {"encoder": "hog", "weights": {"kind": "none"}, "rows": 11, "dims": 3}
        record["names"] = [f"{number}.png" for number in range(11)]
        (folder / f"{name}.json").write_text(json.dumps(record))
        numbers = range(11) if name == "day" else range(10, -1, -1)
        rows = [f"{number},{number}" for number in numbers]
        (folder / f"{name}.csv").write_text("\n".join(["name,frame", *rows]) + "\n")
    assert "night.csv: names the images of night.npy in another order (row 1 is '10'" in refused(folder)
