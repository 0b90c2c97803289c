import tomllib

import pytest

from opticornet.datasets.folder.toml import FolderEntry, SplitEntry, TraverseEntry, format_toml, read_toml, write_toml
from opticornet.utils.errors import UserError

GOOD = """
name = "tiny"
units = "frames"
[traverses.summer]
descriptors = "summer.npy"
[traverses.winter]
descriptors = "winter.npy"
[splits.test]
reference = "summer"
query = "winter"
positive_radius = 1
"""


def refused(folder, toml: str | None = None) -> str:
    if toml is not None:
        (folder / "dataset.toml").write_text(toml, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_toml(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_toml_is_written_as_it_is_read(tmp_path):
    entry = FolderEntry(
        name='a "quoted" \\ name\twith\ntricks é',
        units="metres",
        traverses={"with space.dot": TraverseEntry("a.npz:key", "a.csv"), "b": TraverseEntry("b.npy")},
        splits={
            "train": SplitEntry("b", "with space.dot", (0, 5), (1, 4), 2.5, 10.0),
            "test": SplitEntry("b", "b", positives="p.csv"),
        },
    )
    assert tomllib.loads(format_toml(entry))["name"] == entry.name
    write_toml(tmp_path, entry)
    assert read_toml(tmp_path) == entry


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "tiny"', 'nmae = "tiny"', "unknown key 'nmae' at the top; keys are name, units, traverses, splits"),
        ("positive_radius", "positive_raduis", "unknown key 'positive_raduis' in splits.test; keys are reference"),
        ('descriptors = "summer.npy"', 'path = "summer.npy"', "unknown key 'path' in traverses.summer"),
        ('descriptors = "summer.npy"', "", "traverses.summer has no key 'descriptors'"),
        ('query = "winter"', "", "splits.test has no key 'query'"),
        ('"frames"', '"feet"', "units is 'feet'; wanted"),
        ('units = "frames"', "", "units is None; wanted"),
        ('query = "winter"', 'query = "autumn"', "names traverse 'autumn'; there are summer, winter"),
        ("splits.test", "splits.all", "a split cannot be called 'all'"),
        ("splits.test", 'splits."a/b"', "a split cannot be called 'a/b'"),
        ("positive_radius = 1", 'positive_radius = 1\npositives = "p.csv"', "has positive_radius and positives"),
        ("positive_radius = 1", 'positive_radius = "1"', "splits.test.positive_radius is '1'; wanted a number"),
        ("positive_radius = 1", "positive_radius = true", "is True; wanted a number"),
        ("positive_radius = 1", "positive_radius = 1\nquery_rows = [1]", "wanted two whole numbers [start, stop]"),
        ("positive_radius = 1", "positive_radius = 1\nquery_rows = [0.5, 3]", "wanted two whole numbers"),
        ("[traverses.summer]", "[traverses.summer", "cannot be read as TOML"),
        ('"summer.npy"', '"summer.npy"\nmax_step = 0', "traverses.summer.max_step is 0; wanted a number above 0"),
        ('"summer.npy"', '"summer.npy"\nmax_step = inf', "traverses.summer.max_step is inf; wanted a number above 0"),
    ],
)
def test_wrong_toml_is_named(tmp_path, old, new, message):
    assert old in GOOD
    assert message in refused(tmp_path, GOOD.replace(old, new))


@pytest.mark.parametrize("toml", ['units = "frames"\n', 'units = "frames"\ntraverses = 3\n'])
def test_toml_without_tables(tmp_path, toml):
    assert "no traverses; wanted at least one [traverses.NAME]" in refused(tmp_path, toml)


def test_empty_folder(tmp_path):
    assert "an empty folder; a dataset folder holds a dataset.toml" in refused(tmp_path)


def test_folder_without_toml(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    assert "no dataset.toml" in refused(tmp_path)


def test_the_mark_that_editors_put_before_utf_8(tmp_path):
    (tmp_path / "dataset.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert read_toml(tmp_path).name == "tiny"
