import json
import tomllib

import numpy as np
import pytest

from opticornet.datasets.folder.reading import load_folder
from opticornet.datasets.folder.toml import format_toml, read_toml
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


def make(tmp_path, toml: str = GOOD, **files):
    """A dataset folder: 10 frames in summer, 8 in winter, 4-D; other files as given."""
    rng = np.random.default_rng(0)
    for name, count in (("summer", 10), ("winter", 8)):
        np.save(tmp_path / f"{name}.npy", rng.standard_normal((count, 4)).astype(np.float32))
    (tmp_path / "dataset.toml").write_text(toml, encoding="utf-8")
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    return tmp_path


def refused(folder) -> str:
    with pytest.raises(UserError) as caught:
        load_folder(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def column(name: str, values) -> str:
    return "\n".join([name, *map(str, values)]) + "\n"


def test_without_frames_the_position_is_the_row_number(tmp_path):
    dataset = load_folder(make(tmp_path))
    split = dataset.splits["test"]
    assert (dataset.name, list(dataset.splits), split.units) == ("tiny", ["test"], "frames")
    assert split.reference.positions.ravel().tolist() == list(range(10))
    assert split.query.bounds.tolist() == [[0, 8]] * 8
    assert (split.positive_radius, split.negative_radius, split.positives) == (1.0, None, None)
    assert isinstance(split.reference.descriptors, np.memmap)
    assert split.reference.source.endswith("summer.npy")


def test_rows_are_half_open_and_cut_before_windows(tmp_path):
    toml = GOOD + "reference_rows = [2, 7]\nquery_rows = [0, 8]\nnegative_radius = 5\n"
    split = load_folder(make(tmp_path, toml)).splits["test"]
    assert split.reference.positions.ravel().tolist() == [2, 3, 4, 5, 6]
    assert split.reference.bounds.tolist() == [[0, 5]] * 5
    assert split.negative_radius == 5.0


def test_real_data_makes_the_documented_split(tmp_path, shared):
    for season in ("summer", "winter"):
        source = next((shared / "data" / "nordland-1k").glob(f"*{season}*.npy"))
        np.save(tmp_path / f"{season}.npy", np.load(source))
    rows = "reference_rows = [800, 1000]\nquery_rows = [800, 1000]\n"
    (tmp_path / "dataset.toml").write_text(GOOD + rows)
    split = load_folder(tmp_path).splits["test"]
    assert (len(split.reference), len(split.query), split.query.dims) == (200, 200, 64)


def test_frames_in_metres_with_sequences(tmp_path):
    toml = GOOD.replace('"frames"', '"metres"')
    toml = toml.replace('"summer.npy"', '"summer.npy"\nframes = "s.csv"').replace(
        '"winter.npy"', '"winter.npy"\nframes = "w.csv"'
    )
    s = column("x,y,sequence,name,image", [f"{i},{2 * i},{i // 6},s{i},img/s{i}.png" for i in range(10)])
    split = load_folder(make(tmp_path, toml, s=s, w=column("x,y", ["1,1"] * 8))).splits["test"]
    assert split.reference.positions[3].tolist() == [3, 6]
    assert split.reference.bounds[[5, 6]].tolist() == [[0, 6], [6, 10]]
    assert split.reference.names[9] == "s9"
    assert split.reference.images[9] == str(tmp_path / "img" / "s9.png")


def latlon_folder(tmp_path, winter_columns="lat,lon", winter_rows=("59.001,10",) * 8):
    toml = GOOD.replace('"frames"', '"metres"')
    toml = toml.replace('"summer.npy"', '"summer.npy"\nframes = "s.csv"').replace(
        '"winter.npy"', '"winter.npy"\nframes = "w.csv"'
    )
    return make(tmp_path, toml, s=column("lat,lon", ["59,10"] * 10), w=column(winter_columns, winter_rows))


def test_both_traverses_share_the_origin_of_latitude_and_longitude(tmp_path):
    split = load_folder(latlon_folder(tmp_path)).splits["test"]
    np.testing.assert_allclose(split.reference.positions, 0, atol=1e-6)
    np.testing.assert_allclose(split.query.positions[0], [0, 111.39, 0], atol=0.02)


def test_latitude_beside_metres_is_refused(tmp_path):
    assert "the same kind of position" in refused(latlon_folder(tmp_path, "x,y", ["1,2"] * 8))


def test_splits_of_any_names_share_a_reference_that_they_have_in_common(tmp_path):
    rain = GOOD[GOOD.index("[splits.test]") :].replace("splits.test", "splits.test-rain")
    night = rain.replace("rain", "night") + "reference_rows = [0, 5]\n"
    splits = load_folder(make(tmp_path, GOOD + rain + night)).splits
    assert list(splits) == ["test", "test-rain", "test-night"]
    assert splits["test"].reference is splits["test-rain"].reference
    assert len(splits["test-night"].reference) == 5


def test_positives_table_follows_the_cut(tmp_path):
    toml = GOOD.replace("positive_radius = 1", 'positives = "p.csv"')
    toml += "reference_rows = [2, 6]\nquery_rows = [1, 8]\n"
    p = "query,first,last\n0,0,9\n1,0,3\n2,4,9\n3,7,9\n4,3,4\n"
    split = load_folder(make(tmp_path, toml, p=p)).splits["test"]
    assert [split.positives[row].tolist() for row in range(7)] == [[0, 1], [2, 3], [], [1, 2], [], [], []]
    assert split.positive_radius is None


def test_only_the_files_of_the_wanted_splits_are_opened(tmp_path):
    toml = GOOD + '[traverses.gone]\ndescriptors = "gone.npy"\n'
    toml += '[splits.train]\nreference = "gone"\nquery = "gone"\npositive_radius = 1\n'
    folder = make(tmp_path, toml)
    assert list(load_folder(folder, ("test",)).splits) == ["test"]
    assert "gone.npy: no such descriptor file" in refused(folder)
    with pytest.raises(UserError, match=r"no split 'val'; it has test, train$"):
        load_folder(folder, ("val",))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("positive_radius = 1", "positive_radius = 1\nquery_rows = [3, 3]", "query_rows = [3, 3] leaves nothing"),
        ("positive_radius = 1", "positive_radius = 1\nquery_rows = [0, 9]", "beyond the 8 frames of winter"),
        ("positive_radius = 1", "positive_radius = 1\nquery_rows = [-1, 3]", "query_rows = [-1, 3]"),
        ('"frames"', '"metres"', "units are metres, but traverse summer has no position columns"),
        ('"summer.npy"', '"../summer.npy"', "'../summer.npy' leaves the folder"),
        ('"summer.npy"', '"/summer.npy"', "'/summer.npy' leaves the folder"),
        ('"summer.npy"', '"nowhere.npy"', "nowhere.npy: no such descriptor file"),
    ],
)
def test_what_a_toml_names_but_is_not_there(tmp_path, old, new, message):
    assert old in GOOD
    assert message in refused(make(tmp_path, GOOD.replace(old, new)))


def test_symbolic_link_out_of_the_folder(tmp_path):
    inside = tmp_path / "dataset"
    inside.mkdir()
    make(inside)
    (inside / "summer.npy").rename(tmp_path / "outside.npy")
    (inside / "summer.npy").symlink_to(tmp_path / "outside.npy")
    assert "'summer.npy' leaves the folder" in refused(inside)


def test_symbolic_link_within_the_folder_and_to_it(tmp_path):
    inside = tmp_path / "dataset"
    inside.mkdir()
    make(inside)
    (inside / "summer.npy").rename(inside / "real.npy")
    (inside / "summer.npy").symlink_to("real.npy")
    (tmp_path / "link").symlink_to(inside)
    assert len(load_folder(tmp_path / "link").splits["test"].reference) == 10


def test_images_may_lie_outside_of_the_folder(tmp_path):
    toml = GOOD.replace('"summer.npy"', '"summer.npy"\nframes = "s.csv"')
    folder = make(tmp_path, toml, s=column("image", ["../a.png", "/b.png", *["c.png"] * 8]))
    images = load_folder(folder).splits["test"].reference.images
    assert images[:3] == (f"{folder}/../a.png", "/b.png", f"{folder}/c.png")


def test_frames_and_descriptors_of_different_length(tmp_path):
    toml = GOOD.replace('"summer.npy"', '"summer.npy"\nframes = "s.csv"')
    message = refused(make(tmp_path, toml, s=column("frame", range(9))))
    assert "9 frames, but summer.npy has 10 descriptors; wanted one row each" in message


def extracted(folder, names, **changes):
    """The record that --mode extract writes beside summer.npy."""
    record = {"encoder": "hog", "weights": {"kind": "none"}, "rows": 10, "dims": 4, "names": names}
    (folder / "summer.json").write_text(json.dumps(record | changes))


def test_descriptors_of_other_images_than_the_table_lists(tmp_path):
    toml = GOOD.replace('"summer.npy"', '"summer.npy"\nframes = "s.csv"')
    images = ["/photos/0.png", *(f"photos/{i}.png" for i in range(1, 10))]
    folder = make(tmp_path, toml, s=column("image", images))
    assert len(load_folder(folder).splits["test"].reference) == 10  # no record
    for names in (images, ["0.png", *images[1:]], [f"{i}.png" for i in range(10)]):  # a list, then a folder of images
        extracted(folder, names)
        assert load_folder(folder).splits["test"].reference.images[0] == "/photos/0.png"
    for names in (
        [*images[:9], "photos/99.png"],
        [*images[:9], "old/9.png"],
        images[:9],
        [*images, "photos/10.png"],
        ["/old/photos/0.png", *images[1:]],
    ):
        extracted(folder, names)
        message = refused(folder)
        assert "summer.npy: extracted from other images than s.csv lists (first " in message
        assert message.endswith("; extract again with `overwrite`")
    extracted(folder, images[:9], rows=9)  # of other descriptors
    assert len(load_folder(folder).splits["test"].reference) == 10
    (folder / "s.csv").write_text(column("frame", range(10)))  # names no images
    extracted(folder, ["a.png"] * 10)
    assert len(load_folder(folder).splits["test"].reference) == 10


def test_metres_in_a_folder_of_frames(tmp_path):
    toml = GOOD.replace('"summer.npy"', '"summer.npy"\nframes = "s.csv"')
    message = refused(make(tmp_path, toml, s=column("x,y", ["1,2"] * 10)))
    assert "units are frames, but traverse summer has columns x, y" in message


def test_keyed_descriptor_files(tmp_path):
    folder = make(tmp_path, GOOD.replace('"summer.npy"', '"both.npz:summer"'))
    np.savez(folder / "both.npz", summer=np.load(folder / "summer.npy"))
    assert load_folder(folder).splits["test"].reference.source.endswith("both.npz:summer")


def test_columns_of_a_frame_table_that_are_not_wanted(tmp_path):
    frames = "Frame_Number,weather\n" + "\n".join(f"{i},rain" for i in range(10)) + "\n"
    toml = GOOD.replace('"summer.npy"', '"summer.npy"\nframes = "summer.csv"')
    assert "column 'weather' is not understood" in refused(make(tmp_path, toml, summer=frames))
    ignoring = toml.replace('"summer.csv"', '"summer.csv"\nignore_columns = ["Weather"]')
    dataset = load_folder(make(tmp_path, ignoring))
    assert dataset.splits["test"].reference.positions.ravel().tolist() == list(range(10))
    entry = read_toml(tmp_path)
    assert tomllib.loads(format_toml(entry))["traverses"]["summer"]["ignore_columns"] == ["Weather"]
    assert "ignore_columns is 'weather'; wanted a list of texts" in refused(
        make(tmp_path, ignoring.replace('["Weather"]', '"weather"'))
    )


def test_a_query_needs_no_positions_where_nothing_says_what_is_correct(tmp_path):
    toml = GOOD.replace('"frames"', '"metres"').replace('"summer.npy"', '"summer.npy"\nframes = "summer.csv"')
    places = "lat,lon\n" + "59.0,10.0\n" * 10
    folder = make(tmp_path, toml.replace("positive_radius = 1", ""), summer=places)
    split = load_folder(folder).splits["test"]
    assert not split.has_truth
    assert split.query.positions.shape == (8, 3)  # as those of the reference
    assert np.isnan(split.query.positions).all()
    (folder / "dataset.toml").write_text(toml, encoding="utf-8")
    assert "traverse winter has no position columns" in refused(folder)
    (folder / "dataset.toml").write_text(toml.replace("positive_radius", "negative_radius"), encoding="utf-8")
    assert load_folder(folder).splits["test"].query.first_row == 0


def test_rows_of_a_cut_are_counted_in_the_whole_traverse(tmp_path):
    split = load_folder(make(tmp_path, GOOD + "reference_rows = [3, 9]")).splits["test"]
    assert (split.reference.first_row, split.reference.cut(1, 3).first_row) == (3, 4)


def test_frames_are_scored_by_a_list_of_names_of_the_traverse_or_of_a_split(tmp_path):
    names = "name\n" + "\n".join(f"f{row}" for row in range(10))
    toml = GOOD.replace('"summer.npy"', '"summer.npy"\nframes = "names.csv"\nscore = "some.txt"')
    folder = make(tmp_path, toml + 'reference_score = "few.txt"\nreference_rows = [1, 9]\n', names=names)
    (folder / "some.txt").write_text("f1\nf8\n\nf3\n")
    (folder / "few.txt").write_text("f0\nf3\nf8\n")
    split = load_folder(folder).splits["test"]
    assert np.flatnonzero(split.reference.scored).tolist() == [2, 7]  # rows of the cut
    assert split.query.scored is None
    (folder / "few.txt").write_text("f3\n8\n")
    assert refused(folder).endswith("no frame '8'; wanted a row number from 0 to 9, or only frame names")


def test_a_mask_beside_the_descriptors_and_a_column_both_mark_frames(tmp_path):
    toml = GOOD.replace('"summer.npy"', '"summer.npy"\nframes = "usable.csv"')
    folder = make(tmp_path, toml, usable=column("usable", [0, *9 * [1]]))
    np.save(folder / "summer.usable.npy", np.arange(10) != 4)
    split = load_folder(folder).splits["test"]
    assert np.flatnonzero(~split.reference.usable).tolist() == [0, 4]
    np.save(folder / "summer.usable.npy", np.ones(9, bool))
    assert "summer.usable.npy: wanted (10,) bool" in refused(folder)


def test_rows_that_are_places_on_drives_of_different_length_are_known(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert load_folder(make(tmp_path / "a")).splits["test"].unequal_rows == (("summer", 10), ("winter", 8))
    assert load_folder(make(tmp_path / "b", GOOD + "rows_are_places = true")).splits["test"].unequal_rows is None


def test_latitude_and_longitude_are_counted_from_the_first_known_position(tmp_path):
    rows = ["lat,lon", ",", *[f"50,{6 + row / 1000}" for row in range(9)]]
    toml = GOOD.replace('"frames"', '"metres"').replace('"summer.npy"', '"summer.npy"\nframes = "gps.csv"')
    toml = toml.replace('"winter.npy"', '"summer.npy"\nframes = "gps.csv"')
    positions = load_folder(make(tmp_path, toml, gps="\n".join(rows))).splits["test"].reference.positions
    assert np.isnan(positions[0]).all()
    assert np.abs(positions[1]).max() < 1e-6
    assert positions[2, 0] == pytest.approx(71.7, abs=0.1)


def test_a_list_of_what_is_scored_that_is_not_there(tmp_path):
    folder = make(tmp_path, GOOD.replace('"summer.npy"', '"summer.npy"\nscore = "no.txt"'))
    assert "no.txt: no such file; check the path" in refused(folder)


def test_places_are_named_where_a_split_of_their_name_is_wanted(tmp_path):
    folder = make(tmp_path, GOOD + '[places.train]\ntable = "places.csv"\n')
    with pytest.raises(UserError, match="no split 'train'; it has test, and places train, for image encoders: name on"):
        load_folder(folder, ("train",))
