"""Descriptors by image names, as hloc writes them: the rows of a traverse, whatever order the file has."""

import h5py
import numpy as np
import pytest

from opticornet.datasets.descriptors.image_features import namings_of, open_image_features
from opticornet.datasets.folder.reading import load_folder
from opticornet.utils.errors import UserError

NAMES = ["db/10.jpg", "db/2.jpg", "query/1.jpg"]
ROWS = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float16)


def write(path, names=NAMES, rows=ROWS, dataset="/global_descriptor", **settings):
    with h5py.File(path, "w") as file:
        for name, row in zip(names, rows, strict=True):
            file.create_dataset(f"{name}{dataset}", data=row, **settings)
            if dataset:
                file[name]["image_size"] = np.array([640, 480])
    return path


@pytest.mark.parametrize("dataset", ["/global_descriptor", ""])
@pytest.mark.parametrize("shape", [(5,), (1, 5)])
@pytest.mark.parametrize("settings", [{}, {"compression": "gzip"}])
def test_rows_follow_the_names_and_not_the_file(tmp_path, dataset, shape, settings):
    path = write(tmp_path / "f.h5", rows=[row.reshape(shape) for row in ROWS], dataset=dataset, **settings)
    rows = open_image_features(path, [NAMES[::-1]])
    assert (rows.shape, rows.dtype) == ((3, 5), np.float16)
    np.testing.assert_array_equal(np.asarray(rows), ROWS[::-1])
    np.testing.assert_array_equal(rows[1:][np.array([1, 0, 1])], ROWS[[0, 1, 0]])
    np.testing.assert_array_equal(rows[2], ROWS[0])


def test_images_are_found_by_the_end_of_their_path(tmp_path):
    path = write(tmp_path / "f.h5")
    images = [f"/data/photos/{name}" for name in NAMES]
    np.testing.assert_array_equal(np.asarray(open_image_features(path, namings_of(None, images))), ROWS)


def test_names_that_do_not_fit_are_told_in_one_line(tmp_path):
    path = write(tmp_path / "f.h5")
    with pytest.raises(
        UserError, match=r"f\.h5: no descriptor of 1 of 2 images, first 'db/3\.jpg' \(it holds 3 images"
    ):
        open_image_features(path, [["db/2.jpg", "db/3.jpg"]])
    with pytest.raises(UserError, match=r"f\.h5: holds 1 images that no traverse names, first 'query/1\.jpg'"):
        open_image_features(path, [NAMES[:2]])
    assert len(open_image_features(path, [NAMES[:2]], others=["/photos/query/1.jpg"])) == 2
    with pytest.raises(UserError, match="nothing says which row is which image"):
        open_image_features(path, [])


@pytest.mark.parametrize("other", [np.zeros(4, np.float16), np.zeros(5, np.float32), np.zeros((5, 1), np.float16)])
def test_descriptors_that_differ_are_refused(tmp_path, other):
    path = write(tmp_path / "f.h5", rows=[ROWS[0], other, ROWS[2]])
    with pytest.raises(UserError, match=r"db/2\.jpg/global_descriptor is .*; wanted \(D,\) float16 or float32"):
        open_image_features(path, [NAMES])


def test_integers_are_no_descriptors(tmp_path):
    with pytest.raises(UserError, match=r"\(5,\) int64; wanted \(D,\) float16"):
        open_image_features(write(tmp_path / "f.h5", rows=np.ones((3, 5), int)), [NAMES])


@pytest.mark.parametrize("kept", [0, 100, 900, -300])
def test_damaged_files_are_one_line(tmp_path, kept):
    path = write(tmp_path / "f.h5")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"f\.h5: cannot be read as an h5 file") as error:
        np.asarray(open_image_features(path, [NAMES]))
    assert "\n" not in str(error.value)


def test_one_file_for_both_drives_of_a_dataset(tmp_path):
    write(tmp_path / "feats.h5")
    (tmp_path / "dataset.toml").write_text("""
units = "metres"
[traverses.db]
descriptors = "feats.h5"
frames = "db.csv"
[traverses.query]
descriptors = "feats.h5"
frames = "query.csv"
[splits.test]
reference = "db"
query = "query"
positive_radius = 1
""")
    (tmp_path / "db.csv").write_text("name,x,y\ndb/2.jpg,0,0\ndb/10.jpg,5,0\n")
    (tmp_path / "query.csv").write_text("name,x,y\nquery/1.jpg,0,1\n")
    split = load_folder(tmp_path).splits["test"]
    np.testing.assert_array_equal(np.asarray(split.reference.descriptors), ROWS[[1, 0]])
    np.testing.assert_array_equal(np.asarray(split.query.descriptors), ROWS[[2]])
    (tmp_path / "query.csv").write_text("name,x,y\nquery/1.jpg,0,1\nquery/7.jpg,0,2\n")
    with pytest.raises(UserError, match=r"no descriptor of 1 of 2 images, first 'query/7\.jpg'"):
        load_folder(tmp_path)
