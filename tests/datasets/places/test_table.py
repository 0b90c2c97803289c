import numpy as np
import pytest

from opticornet.datasets.places.table import read_places
from opticornet.utils.errors import UserError


def read(folder, text, **options):
    path = folder / "places.csv"
    path.write_text(text.replace(" ", ""))
    return read_places(path, folder, **options)


def refused(folder, text, **options) -> str:
    with pytest.raises(UserError) as caught:
        read(folder, text, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_images_are_grouped_by_place_in_the_order_of_the_table(tmp_path):
    text = "image,place,group,rank\nb/1.jpg,well,south,2\n/a/2.jpg,gate,north,0\n3.jpg,well,south,1\n"
    found = read(tmp_path, text)
    assert found.images == (f"{tmp_path}/b/1.jpg", "/a/2.jpg", f"{tmp_path}/3.jpg")
    assert found.labels == ("well", "gate")
    assert found.place.tolist() == [0, 1, 0]
    assert found.group_names == ("south", "north")
    assert found.group.tolist() == [0, 1]
    assert found.rank.tolist() == [2, 0, 1]
    assert found.counts.tolist() == [2, 1]
    assert found.positions is None


def test_a_place_is_where_its_images_are_on_average(tmp_path):
    text = "image,place,x,y\n1,a,0,10\n2,a,4,20\n3,b,,\n4,b,,\n5,c,7,8\n6,c,,\n"
    positions = read(tmp_path, text, separation=3).positions
    np.testing.assert_array_equal(positions, [[2, 15], [np.nan, np.nan], [7, 8]])


def test_degrees_become_metres(tmp_path):
    positions = read(tmp_path, "image,place,lat,lon\n1,a,50,8\n2,b,50.001,8\n").positions
    assert np.linalg.norm(positions[1] - positions[0]) == pytest.approx(111.2, abs=0.1)


def test_other_names_of_columns_and_those_that_say_nothing_here(tmp_path):
    found = read(tmp_path, "image_path;label;city;heading;time\n1.jpg;a;x;180;3.5\n")
    assert (found.labels, found.group_names) == (("a",), ("x",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,group\n1,a\n", "no column place; it has image, group; wanted image and place"),
        ("place,group\n1,a\n", "no column image; it has place, group"),
        ("image,place,weather\n1,a,wet\n", "column 'weather' is not understood"),
        ("image,place\n1,a\n2,\n", "line 3: no place; fill the cell"),
        ("image,place\n1,a\n,b\n", "line 3: no image; fill the cell"),
        ("image,place\n1,a\n2,a\n1,b\n", "line 4: the image 1 is of place b, before of a; leave one line of it"),
        ("image,place\n1.jpg,a\nb/../1.jpg,b\n", "line 3: the image b/../1.jpg is of place b, before of a"),
        ("image,place\n1,a\n2,b\n1,a\n", "line 4: the image 1 is of place a once more; leave one line of it"),
        (
            "image,place,group\n1,7,Rome\n2,8,Rome\n3,7,Oslo\n",
            "line 4: place 7 is in Oslo, before in Rome: labels clash",
        ),
        ("image,place,rank\n1,a,0\n2,a,1.5\n", "line 3: rank is '1.5'; wanted a whole number"),
        ("image,place,x,y\n1,a,,\n", "x, y are empty in every line"),
        ("image,place,x\n1,a,2\n", "position columns x; wanted x, y"),
        ("image,place\n", "no rows"),
    ],
)
def test_what_a_table_cannot_say(tmp_path, text, message):
    assert message in refused(tmp_path, text)


def test_a_separation_needs_positions(tmp_path):
    assert "`separation` 5 needs positions" in refused(tmp_path, "image,place\n1,a\n", separation=5)


def test_columns_that_are_not_wanted(tmp_path):
    assert read(tmp_path, "image,place,weather\n1,a,wet\n", ignore=("weather",)).labels == ("a",)
