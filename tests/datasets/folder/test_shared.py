"""Several datasets that use the files of one map."""

import numpy as np
import pytest
from PIL import Image

from opticornet.cli import main
from opticornet.datasets.folder.reading import load_folder
from opticornet.datasets.folder.toml import read_toml, write_toml
from opticornet.utils.errors import UserError

TOML = """
units = "metres"
[traverses.map]
shared = "../map"
descriptors = "{map}"
frames = "map.csv"
[traverses.query]
descriptors = "query.npy"
[splits.test]
reference = "map"
query = "query"
positive_radius = 1
"""


@pytest.fixture
def datasets(tmp_path):
    """A map and two datasets that use it."""
    rng = np.random.default_rng(0)
    (tmp_path / "map").mkdir()
    np.save(tmp_path / "map" / "map.npy", rng.random((6, 4), np.float32))
    np.save(tmp_path / "map" / "map.usable.npy", np.arange(6) != 2)
    (tmp_path / "map" / "map.csv").write_text("x,y\n" + "".join(f"{i},0\n" for i in range(6)))
    for name in ("rain", "snow"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "query.npy", rng.random((3, 4), np.float32))
        (tmp_path / name / "query.csv").write_text("x,y\n0,0\n1,0\n2,0\n")
        text = TOML.format(map="map.npy").replace('"query.npy"', '"query.npy"\nframes = "query.csv"')
        (tmp_path / name / "dataset.toml").write_text(text)
    return tmp_path


def test_datasets_share_a_map(datasets):
    for name in ("rain", "snow"):
        split = load_folder(datasets / name).splits["test"]
        np.testing.assert_array_equal(split.reference.descriptors, np.load(datasets / "map" / "map.npy"))
        assert split.reference.positions[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
        assert np.flatnonzero(~split.reference.usable).tolist() == [2]
        assert split.reference.source == str(datasets / name / ".." / "map" / "map.npy")
        assert len(split.query) == 3


def test_what_is_shared_is_written_and_read_back(datasets):
    entry = read_toml(datasets / "rain")
    assert entry.traverses["map"].shared == "../map"
    write_toml(datasets / "snow", entry)
    assert read_toml(datasets / "snow") == entry


@pytest.mark.parametrize("path", ["../rain/query.npy", "/map.npy", "out.npy"])
def test_no_path_leaves_what_is_shared(datasets, path):
    (datasets / "map" / "out.npy").symlink_to(datasets / "rain" / "query.npy")
    (datasets / "rain" / "dataset.toml").write_text(TOML.format(map=path))
    with pytest.raises(UserError, match=rf"map: '{path}' leaves the folder"):
        load_folder(datasets / "rain")


def test_what_is_shared_is_a_folder(datasets):
    text = (datasets / "rain" / "dataset.toml").read_text()
    (datasets / "rain" / "dataset.toml").write_text(text.replace("../map", "../atlas"))
    with pytest.raises(UserError, match=r"shared = '\.\./atlas' is no folder"):
        load_folder(datasets / "rain")


def test_a_shared_map_is_extracted_once(datasets, capsys):
    for name in ("map/a.png", "map/b.png", "rain/q.png", "snow/q.png"):
        pixels = np.random.default_rng(len(name)).integers(0, 255, (16, 16), np.uint8)
        Image.fromarray(pixels).save(datasets / name)
    for name in ("map", "rain", "snow"):
        for path in (datasets / name).glob("*.npy"):
            path.unlink()
    (datasets / "map" / "map.csv").write_text("image,x,y\na.png,0,0\nb.png,1,0\n")
    for name in ("rain", "snow"):
        (datasets / name / "query.csv").write_text("image,x,y\nq.png,0,0\n")
        line = ["--mode", "extract", "--dataset", str(datasets / name), "--descType", "hog", "--threads", "-1"]
        assert main(line) == 0
    assert "map.npy is finished: nothing to do" in capsys.readouterr().out
    assert load_folder(datasets / "snow").splits["test"].reference.dims == 3136
