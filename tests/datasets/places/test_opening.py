import pytest

from opticornet.datasets.catalogue import load_dataset, split_names
from opticornet.datasets.places.opening import check_place_images, open_places
from opticornet.utils.errors import UserError

PLACES = '[places.train]\ntable = "places.csv"\n'
DRIVES = """
units = "frames"
[traverses.day]
images = "day"
[traverses.night]
images = "night"
[splits.train]
reference = "day"
query = "night"
positive_radius = 1
negative_radius = 2
"""


def make(folder, toml):
    for name in ("day", "night"):
        (folder / name).mkdir(exist_ok=True)
        for number in range(3):
            (folder / name / f"{number}.png").touch()
    (folder / "dataset.toml").write_text(toml)
    (folder / "places.csv").write_text("image,place,x,y\nday/0.png,a,0,0\nnight/1.png,a,0,0\nday/2.png,b,9,0\n")
    return folder


def refused(action, *given) -> str:
    with pytest.raises(UserError) as caught:
        action(*given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_places_of_a_folder_that_has_nothing_else(tmp_path):
    places = open_places(make(tmp_path, PLACES + "separation = 3.5"))
    assert places.images == tuple(f"{tmp_path}/{name}.png" for name in ("day/0", "night/1", "day/2"))
    assert places.separation == 3.5
    check_place_images(places)


def test_places_along_the_route_of_a_split(tmp_path):
    places = open_places(make(tmp_path, DRIVES))
    assert places.images == tuple(f"{tmp_path}/{drive}/{row}.png" for drive in ("day", "night") for row in range(3))
    assert places.place.tolist() == [0, 1, 2, 0, 1, 2]


def test_rows_of_drives_of_other_length_are_no_places(tmp_path):
    (make(tmp_path, DRIVES) / "day" / "3.png").touch()
    assert "splits.train: day has 4 frames and night 3, none with a position, so row i" in refused(
        open_places, tmp_path
    )
    (tmp_path / "dataset.toml").write_text(DRIVES + "rows_are_places = true")
    assert open_places(tmp_path).place.tolist() == [0, 1, 2, 3, 0, 1, 2]


def test_a_table_goes_before_the_split_of_its_name(tmp_path):
    folder = make(tmp_path, DRIVES + PLACES)
    assert open_places(folder).labels == ("a", "b")
    assert len(load_dataset(str(folder)).splits["train"].reference) == 3


def test_places_that_are_not_there(tmp_path):
    folder = make(tmp_path, DRIVES + PLACES)
    assert "no [places.more] and no split 'more' to take places from; it has places train, split train" in refused(
        open_places, folder, "more"
    )
    assert "descriptors only" in refused(open_places, "synthetic")


def test_images_that_are_not_there(tmp_path):
    places = open_places(make(tmp_path, PLACES))
    (tmp_path / "night" / "1.png").unlink()
    found = refused(check_place_images, places)
    assert f"1 of 3 images do not exist, first {tmp_path}/night/1.png" in found


def test_a_folder_of_places_alone_has_no_splits_to_test_on(tmp_path):
    folder = str(make(tmp_path, PLACES))
    for action in (load_dataset, split_names):
        assert "has places, which image encoders are trained on, and no traverses" in refused(action, folder)
