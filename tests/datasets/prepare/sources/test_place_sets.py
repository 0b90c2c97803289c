import numpy as np
import pytest

from opticornet.datasets.catalogue import load_dataset
from opticornet.datasets.places.opening import check_place_images, open_places
from opticornet.datasets.prepare.sources.gsv_cities import GsvCities
from opticornet.datasets.prepare.sources.place_folders import PlaceFolders
from opticornet.datasets.prepare.sources.place_sets import PlaceSets
from opticornet.datasets.prepare.writing import write_prepared
from opticornet.utils.errors import UserError

ROUTE = """
units = "frames"
[traverses.day]
images = "day"
[traverses.night]
images = "night"
[splits.train]
reference = "day"
query = "night"
positive_radius = 2
negative_radius = 4
reference_rows = [0, 12]
query_rows = [0, 12]
[splits.val]
reference = "day"
query = "night"
positive_radius = 1
reference_rows = [15, 20]
query_rows = [15, 20]
"""


def table(folder, rows, toml=""):
    folder.mkdir(parents=True)
    (folder / "places.csv").write_text("\n".join(rows))
    (folder / "dataset.toml").write_text(f'[places.train]\ntable = "places.csv"\n{toml}')


def route(folder):
    for drive in ("day", "night"):
        (folder / drive).mkdir(parents=True)
        for number in range(20):
            (folder / drive / f"{number}.png").touch()
    (folder / "dataset.toml").write_text(ROUTE)


def cameras(root, folder):
    """Three cameras of four images, the last held out for validation."""
    for camera in "abc":
        for number in range(4):
            (root / camera).mkdir(parents=True, exist_ok=True)
            (root / camera / f"{number}.jpg").touch()
    write_prepared(folder, "cameras", PlaceFolders(val_groups=("c",)).read(root))


def joined(root, output, **options):
    write_prepared(output, "joined", PlaceSets(**options).read(root))
    return open_places(output)


def test_places_and_groups_keep_their_sets_names(gsv_cities, tmp_path):
    root = tmp_path / "sets"
    write_prepared(root / "gsv", "gsv", GsvCities().read(gsv_cities))
    table(root / "mine", ["image,place,rank", "1.jpg,1200003,1", "2.jpg,1200003,0"])
    places = joined(root, tmp_path / "out")
    assert (len(places), len(places.labels)) == (74, 16)
    assert places.labels[0] == "gsv/1200003"
    assert places.labels[-1] == "mine/1200003"
    assert places.group_names == ("gsv/Boston", "gsv/Medellin", "gsv/London", "mine")
    assert places.images[-1] == f"{root}/mine/2.jpg"
    assert places.rank.tolist()[-2:] == [1, 0]
    assert places.positions is None
    assert len(joined(root, tmp_path / "one", sets=("mine",))) == 2


def test_ranks_that_a_set_lacks_are_left_out_of_all(tmp_path):
    table(tmp_path / "a", ["image,place,rank", "1.jpg,1,1", "2.jpg,1,0"])
    table(tmp_path / "b", ["image,place", "1.jpg,1", "2.jpg,1"])
    prepared = PlaceSets().read(tmp_path)
    assert prepared.notes == ("ranks are left out, as b has none",)
    assert "rank" not in prepared.places[0].columns


def test_a_held_out_camera_and_a_route_are_validated_on_together(tmp_path):
    cameras(tmp_path / "cameras", tmp_path / "sets" / "cameras")
    route(tmp_path / "sets" / "route")
    places = joined(tmp_path / "sets", tmp_path / "out")
    check_place_images(places)
    assert [label for label in places.labels if label.startswith("cameras/")] == ["cameras/a", "cameras/b"]
    val = load_dataset(str(tmp_path / "out")).splits["val"]
    assert val.reference.names == (*("cameras/c/0.jpg", "cameras/c/1.jpg"), *(f"route/{row}" for row in range(15, 20)))
    assert val.query.names[:3] == ("cameras/c/2.jpg", "cameras/c/3.jpg", "route/15")
    assert [val.positives[row].tolist() for row in range(7)] == [
        *([0, 1], [0, 1], [2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 6], [5, 6]),
    ]
    assert len(np.unique(val.reference.bounds[:, 0])) == 2


def test_what_may_look_alike_still_does_and_sets_lie_apart(tmp_path):
    table(
        tmp_path / "in" / "a", ["image,place,x,y", "1,p,100,50", "2,q,130,50", "3,r,200,50", "4,s,,"], "separation = 40"
    )
    table(tmp_path / "in" / "b", ["image,place,x,y", "1,p,0,0", "2,q,0,3", "3,r,8,0"], "separation = 4")
    table(tmp_path / "in" / "c", ["image,place", "1,p"])
    places = joined(tmp_path / "in", tmp_path / "out")
    assert places.separation == 40
    near = np.linalg.norm(places.positions[:, None] - places.positions, axis=2) <= 40
    found = {(places.labels[i], places.labels[j]) for i, j in zip(*np.nonzero(near), strict=True) if i < j}
    assert found == {("a/p", "a/q"), ("b/p", "b/q")}
    assert np.isnan(places.positions[[3, 7]]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no folder in it has a dataset.toml; give the one that holds the datasets to join"),
        ({"sets": ("x",)}, "is neither built in"),
    ],
)
def test_folders_without_datasets(tmp_path, options, message):
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError) as caught:
        PlaceSets(**options).read(tmp_path)
    assert message in str(caught.value)


def test_an_image_of_two_sets_is_refused(tmp_path):
    for name in "ab":
        table(tmp_path / "in" / name, ["image,place", "../1.jpg,1", "2.jpg,1"])
    with pytest.raises(UserError, match=r"places train: the image .*/in/1\.jpg comes twice; each has one place"):
        joined(tmp_path / "in", tmp_path / "out")


def test_sets_that_cannot_be_joined(tmp_path):
    toml = 'units = "frames"\n[traverses.day]\nimages = "day"\n[splits.SPLIT]\nreference = "day"\nquery = "day"\n'
    (tmp_path / "a" / "day").mkdir(parents=True)
    (tmp_path / "a" / "day" / "1.png").touch()
    (tmp_path / "a" / "dataset.toml").write_text(toml.replace("SPLIT", "test"))
    with pytest.raises(UserError, match=r"none of a has \[places.train\] or a split train; prepare one first"):
        PlaceSets().read(tmp_path)
    table(tmp_path / "b", ["image,place", "1,p"])
    with pytest.raises(UserError, match="a: the split test does not say what is correct; leave the set out by `sets`"):
        PlaceSets().read(tmp_path)
