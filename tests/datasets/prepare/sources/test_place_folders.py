import pytest

from opticornet.datasets.catalogue import load_dataset
from opticornet.datasets.places.opening import check_place_images, open_places
from opticornet.datasets.prepare.sources.place_folders import PlaceFolders
from opticornet.datasets.prepare.writing import write_prepared
from opticornet.utils.errors import UserError


def make(root, *images):
    for image in images:
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        (root / image).touch()
    return root


def columns(root, **options):
    (places,) = PlaceFolders(**options).read(root).places
    return places.columns["place"], places.columns.get("group")


def test_every_folder_that_holds_images_is_a_place(tmp_path):
    make(tmp_path, "well/2.jpg", "well/10.jpg", "gate/1.png", "gate/note.txt", "gate/heic.heic")
    prepared = PlaceFolders().read(tmp_path)
    assert prepared.places[0].images == tuple(
        f"{tmp_path}/{name}" for name in ("gate/1.png", "well/2.jpg", "well/10.jpg")
    )
    assert prepared.places[0].columns == {"place": ["gate", "well", "well"], "group": ["gate", "well", "well"]}
    assert prepared.notes == (f"{tmp_path}: passed over 1 .heic",)


def test_folders_above_are_groups(tmp_path):
    make(tmp_path, "a/hall/1.jpg", "a/stairs/1.jpg", "b/hall/1.jpg", "b/2.jpg")
    assert columns(tmp_path) == (["a/hall", "a/stairs", "b", "b/hall"], ["a", "a", "b", "b"])
    assert columns(tmp_path, group_depth=0) == (["a/hall", "a/stairs", "b", "b/hall"], None)
    assert columns(tmp_path, group_depth=2)[1] == ["a/hall", "a/stairs", "b", "b/hall"]


def test_a_pattern_finds_places_in_names(tmp_path):
    make(tmp_path, "f1/hall_frame_1.jpg", "f1/hall_frame_2.jpg", "f2/hall_frame_1.jpg", "f2/lift_frame_1.jpg")
    pattern = "([^/]*)_frame_"
    assert columns(tmp_path, place_pattern=pattern)[0] == ["f1/hall", "f1/hall", "f2/hall", "f2/lift"]
    assert columns(tmp_path, place_pattern=pattern, group_depth=0)[0] == ["hall", "hall", "hall", "lift"]


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        ((), {}, "no images in"),
        (("a/1.jpg", "2.jpg"), {}, "the image 2.jpg lies in no folder; wanted one folder per place"),
        (("a/1.jpg", "a/b.jpg"), {"place_pattern": r"(\d)"}, "finds no place in 1 of 2 names, first a/b.jpg"),
        (("a/1.jpg",), {"place_pattern": r"\d"}, "0 groups in brackets; wanted 1, around the place"),
        (("a/1.jpg",), {"place_pattern": r"("}, "`place_pattern` '(': no regular expression"),
    ],
)
def test_folders_without_places(tmp_path, images, options, message):
    make(tmp_path, *images)
    with pytest.raises(UserError) as caught:
        PlaceFolders(**options).read(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_real_cameras_and_two_of_them_held_out(shared, tmp_path):
    root = shared / "data" / "amos-17-cameras" / "train"
    write_prepared(tmp_path, "amos", PlaceFolders(val_groups=("00000850", "00001323")).read(root))
    places = open_places(tmp_path)
    check_place_images(places)
    assert (len(places), len(places.labels)) == (1369, 13)
    val = load_dataset(str(tmp_path)).splits["val"]
    assert (len(val.reference), len(val.query)) == (45 + 48, 44 + 47)
    assert val.positives.counts.tolist() == [45] * 44 + [48] * 47
    assert not {path.split("/")[-2] for path in places.images} & {"00000850", "00001323"}
