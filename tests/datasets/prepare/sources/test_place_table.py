import pytest

from opticornet.datasets.catalogue import load_dataset
from opticornet.datasets.places.opening import check_place_images, open_places
from opticornet.datasets.prepare.sources.place_table import PlaceTable
from opticornet.datasets.prepare.writing import write_prepared
from opticornet.utils.errors import UserError

PLAIN = "path,label,weather\na.jpg,one,wet\nb.jpg,two,dry\nc.jpg,one,dry\n"


def make(root, text=PLAIN, images="abcdef", folder=""):
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name in images:
        (root / folder / f"{name}.jpg").touch()
    (root / "list.csv").write_text(text)
    return root


def read(root, **options):
    return PlaceTable(**options).read(root)


def refused(root, **options) -> str:
    with pytest.raises(UserError) as caught:
        read(root, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_columns_are_found_by_what_they_are_called_and_others_passed_over(tmp_path):
    (places,) = read(make(tmp_path)).places
    assert places.images == tuple(f"{tmp_path}/{name}.jpg" for name in "abc")
    assert places.columns == {"place": ["one", "two", "one"]}


def test_columns_may_be_named(tmp_path):
    text = "shot,path,label,spot,where\na.jpg,x,9,1,n\nb.jpg,x,9,2,s\n"
    options = {"image_column": "shot", "place_column": "spot", "group_column": "where"}
    (places,) = read(make(tmp_path, text), **options).places
    assert places.columns == {"place": ["1", "2"], "group": ["n", "s"]}


def test_paths_of_another_machine(tmp_path):
    root = make(tmp_path, "image,place\n/home/bob/data/a.jpg,1\n/home/bob/data/b.jpg,2\n", folder="frames")
    (places,) = read(root, image_root="frames", cut_prefix="/home/bob/data").places
    assert places.images == (f"{tmp_path}/frames/a.jpg", f"{tmp_path}/frames/b.jpg")


def test_positions_ranks_and_headings_are_taken_over(tmp_path):
    text = "image,place,Latitude,lng,rank,heading,date\na.jpg,1,50,8,2,90,x\nb.jpg,2,50.001,8,0,180,y\n"
    write_prepared(tmp_path / "out", "t", read(make(tmp_path / "in", text), separation=50))
    places = open_places(tmp_path / "out")
    assert places.positions[1, 1] == pytest.approx(111.2, abs=0.1)
    assert places.rank.tolist() == [2, 0]
    assert places.separation == 50
    assert "heading" in (tmp_path / "out" / "train-places.csv").read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("columns", "values", "fault"),
    [
        ("x,y,lat,lon", "1,2,50,8", "there are x, y, lat, lon; wanted x, y or lat, lon alone"),
        ("x", "1", "there are x; wanted x, y or lat, lon alone"),
        ("lat,lon", ",", "all are empty"),
        ("lat,lon", "100,8", "lat and lon go beyond the globe"),
        ("x,y", "left,2", "line 2: x is 'left'; wanted a finite number"),
    ],
)
def test_positions_that_cannot_be_taken_are_left_out_with_a_note(tmp_path, columns, values, fault):
    found = read(make(tmp_path, f"image,place,{columns}\na.jpg,1,{values}\n"))
    assert found.places[0].columns == {"place": ["1"]}
    (note,) = found.notes
    assert note.startswith(f"{tmp_path / 'list.csv'}: positions are left out: ")
    assert fault in note


def test_a_column_of_splits_holds_places_out(tmp_path):
    text = "image,place,part\na.jpg,1,train\nb.jpg,2,VAL\nc.jpg,2,val\nd.jpg,3,\ne.jpg,4,test\nf.jpg,4,test\n"
    found = read(make(tmp_path, text), split_column="part")
    assert found.places[0].columns["place"] == ["1"]
    assert [(t.name, t.names) for t in found.traverses] == [
        *(("val-reference", ("b.jpg",)), ("val-query", ("c.jpg",))),
        *(("test-reference", ("e.jpg",)), ("test-query", ("f.jpg",))),
    ]
    assert found.notes == (f"{tmp_path / 'list.csv'}: 1 image left out, of no split",)


def test_a_column_of_roles_says_which_images_are_queries(tmp_path):
    text = "image,place,floor,role\na.jpg,1,x,query\nb.jpg,1,x,gallery\nc.jpg,2,y,query\nd.jpg,2,y,Gallery\n"
    found = read(make(tmp_path, text), role_column="role", val_groups=("y",))
    assert [t.names for t in found.traverses] == [("d.jpg",), ("c.jpg",)]
    assert found.places[0].images == (f"{tmp_path}/a.jpg", f"{tmp_path}/b.jpg")


def test_lines_that_repeat_an_image_are_left_out_and_counted(tmp_path):
    found = read(make(tmp_path, PLAIN + "a.jpg,one,dry\n"))
    assert len(found.places[0]) == 3
    assert found.notes == (f"{tmp_path / 'list.csv'}: 1 line left out that repeat an image",)


def test_places_of_two_groups_clash_or_are_two(tmp_path):
    root = make(tmp_path, "image,place,city\na.jpg,7,Rome\nb.jpg,8,Rome\nc.jpg,7,Oslo\n")
    message = refused(root)
    assert "list.csv: line 4: place 7 is in Oslo, before in Rome: labels clash; give `place_in_group`" in message
    (places,) = read(root, place_in_group=True).places
    assert places.columns["place"] == ["Rome/7", "Rome/8", "Oslo/7"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "path,weather\na.jpg,wet\n",
            {},
            "no column of path, weather called as places are; name the one in `place_column`",
        ),
        (
            "path,img,label\na.jpg,a.jpg,1\n",
            {},
            "columns path and img both called as images are; name the one in `image_",
        ),
        (PLAIN, {"place_column": "spot"}, "`place_column` spot: no such column; it has path, label, weather"),
        (PLAIN, {"split_column": "weather"}, "line 2: weather is 'wet'; wanted train, val, test or nothing"),
        (PLAIN, {"role_column": "weather"}, "line 2: weather is 'wet'; wanted query, or one of reference, ref"),
        ("path,label\na.jpg,\n", {}, "line 2: no label; fill the cell"),
        ("path,label\n,1\n", {}, "line 2: no image; fill the cell"),
        ("path,label\na.jpg,1\na.jpg,2\n", {}, "the image a.jpg is of the places 1 and 2; leave one line of it"),
        ("path,label\na.jpg,1\n./a.jpg,2\n", {}, "the image ./a.jpg is of the places 1 and 2; leave one line of it"),
        ("path,label\na.jpg,1\nz.jpg,2\n", {}, "1 of 2 images do not exist, first"),
        (PLAIN, {"cut_prefix": "b"}, "line 2: the path 'a.jpg' does not begin with `cut_prefix` 'b'"),
        (PLAIN, {"table": "other.csv"}, "other.csv: no such table"),
        (PLAIN, {"place_pattern": "(z)"}, "`place_pattern` '(z)' finds no place in 3 of 3 names, first a.jpg"),
        (PLAIN, {"separation": 5.0}, "`separation` needs positions, and there are none; wanted x, y or lat, lon alone"),
        (
            "path,label,x,y,lat\na.jpg,1,2,3,4\n",
            {"separation": 5.0},
            "and there are x, y, lat; wanted x, y or lat, lon",
        ),
        ("path,label,x,y\na.jpg,1,2,north\n", {"separation": 5.0}, "y is 'north'; wanted a finite number"),
        ("path,label,x,y\na.jpg,1,,\n", {"separation": 5.0}, "`separation` needs positions, and all are empty"),
        ("path,label,rank\na.jpg,1,0.5\n", {}, "line 2: rank is '0.5'; wanted a whole number"),
        ("path,label,rank\na.jpg,1,1e300\n", {}, "line 2: rank is '1e300'; wanted a whole number"),
        (PLAIN, {"place_in_group": True}, "`place_in_group` needs groups; name their column in `group_column`"),
        ("path,label,x,easting,y\na.jpg,1,2,3,4\n", {}, "columns 'x' and 'easting' both mean x; remove one"),
    ],
)
def test_what_a_table_does_not_say(tmp_path, text, options, message):
    assert message in refused(make(tmp_path, text), **options)


def test_a_place_that_is_held_out_is_held_out_whole(tmp_path):
    root = make(tmp_path, "path,label,split\na.jpg,1,train\nb.jpg,1,test\n")
    assert "line 3: place 1 is in test, before in train; held-out places are not trained on" in refused(
        root, split_column="split"
    )


def test_lines_left_out_do_not_clash(tmp_path):
    root = make(tmp_path, "image,place,city\na.jpg,7,Rome\nb.jpg,8,Rome\nc.jpg,7,Oslo\na.jpg,9,Rome\nd.jpg,8,Rome\n")
    assert "of the places 7 and 9" in refused(root)
    (places,) = read(root, leave_out="a").places
    assert places.columns == {"place": ["8", "7", "8"], "group": ["Rome", "Oslo", "Rome"]}


def test_of_several_tables_one_is_named(tmp_path):
    (make(tmp_path) / "more.csv").write_text(PLAIN)
    assert "2 tables (.csv); name the one to read in `table`" in refused(tmp_path)
    assert len(read(tmp_path, table="more.csv").places[0]) == 3


def test_options_that_change_nothing():
    assert PlaceTable().unused().keys() == {"held_out", "query_pattern"}
    assert PlaceTable(split_column="s").unused().keys() == {"val_groups", "test_groups"}
    assert PlaceTable(place_pattern="(a)", val_groups=("g",)).unused().keys() == {"place_column"}
    assert PlaceTable(role_column="r", val_groups=("g",)).unused().keys() == {"held_out", "query_pattern"}


def test_a_real_table_whose_clips_are_places_and_floors_are_held_out(shared, tmp_path):
    options = {
        "image_root": "frames",
        "cut_prefix": "processed_frames",
        "place_pattern": "([^/]*)_frame_",
        "group_column": "label",
        "role_column": "split",
    }
    found = read(shared / "data" / "ie-tower", **options, val_groups=("floor3",), test_groups=("floor4", "floor5"))
    write_prepared(tmp_path, "ie-tower", found)
    places = open_places(tmp_path)
    check_place_images(places)
    assert (len(places), len(places.labels), len(places.group_names)) == (2530, 110, 22)
    assert "f10_hallway_left" in places.labels
    splits = load_dataset(str(tmp_path)).splits
    assert {name: (len(split.reference), len(split.query)) for name, split in splits.items()} == {
        "val": (87, 19),
        "test": (199, 42),
    }
    assert (splits["test"].positives.counts > 0).all()
