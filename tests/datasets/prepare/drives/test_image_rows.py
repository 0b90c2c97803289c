import unicodedata

import numpy as np
import pytest

from opticornet.datasets.columns import read_known_columns
from opticornet.datasets.prepare.drives.image_rows import image_rows
from opticornet.datasets.prepare.drives.image_times import Clock
from opticornet.datasets.prepare.drives.places import read_places
from opticornet.utils.errors import UserError


def rows_of(folder, labels, images):
    (folder / "t.csv").write_text("\n".join(["file", *labels]), encoding="utf-8")
    return image_rows(read_known_columns(folder / "t.csv"), images, folder / "day")[0].tolist()


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
@pytest.mark.parametrize("label", ["{}.png", "{}", "day/{}.png"])
def test_letters_with_accents_are_one_letter_however_they_are_spelt(tmp_path, forms, label):
    names = ["straße é", "straße ü"]
    images = tuple(unicodedata.normalize(forms[0], f"{name}.png") for name in names)
    labels = [unicodedata.normalize(forms[1], label.format(name)) for name in reversed(names)]
    assert rows_of(tmp_path, labels, images) == [1, 0]


def test_numbers_that_lost_their_zeros(tmp_path):
    images = tuple(f"{number:06d}.png" for number in (7, 8, 12))
    assert rows_of(tmp_path, ["12", "7", "8"], images) == [2, 0, 1]
    with pytest.raises(UserError, match=r"1 of 2 rows match no image of .*day, first '9'"):
        rows_of(tmp_path, ["12", "9"], images)
    with pytest.raises(UserError, match="2 of 2 rows match no image"):  # "7" may be either
        rows_of(tmp_path, ["7", "8"], ("0007.png", "007.png", "008.png"))


def places(folder, text, images):
    (folder / "day.csv").write_text(text)
    return read_places(folder / "day.csv", images, folder / "day", 1.0, 3, (), Clock())


def test_a_frame_number_beside_a_position_says_which_image(tmp_path):
    images = tuple(f"{number:04d}.png" for number in range(4))
    found = places(tmp_path, "Frame,lat,lon\n2,48.2,11\n0,48.0,11\n3,48.3,11\n1,48.1,11\n", images)
    assert found.positions["lat"].tolist() == [48.0, 48.1, 48.2, 48.3]
    assert found.how == "lat, lon of day.csv, by Frame"
    with pytest.raises(UserError, match="1 of 1 rows match no image"):
        places(tmp_path, "frame,x,y\n4,1,1\n", images)


@pytest.mark.parametrize("beside", ["file", "time"])
def test_a_frame_number_beside_names_or_times_is_not_needed(tmp_path, beside):
    images = tuple(f"{1_600_000_000 + i}.000.png" for i in range(4))
    said = [image[:-4] for image in images]
    rows = "".join(f"{i + 1},{said[i]},{10 * i},0\n" for i in (3, 1, 0, 2))
    found = places(tmp_path, f"frame,{beside},x,y\n{rows}", images)
    np.testing.assert_allclose(found.positions["x"], [0, 10, 20, 30])
