"""Rows of arrays in the words of the data."""

from dataclasses import replace

import numpy as np
import pytest

from opticornet.datasets.drives import join_drives
from opticornet.datasets.traverse import Traverse
from opticornet.datasets.windows import Windows
from opticornet.evaluation.answer_sheet import SheetSide, margins
from opticornet.matching.ranking import Ranking


def windows(length: int = 1, count: int = 8, **more) -> Windows:
    bounds = np.tile([0, count], (count, 1))
    return Windows.of(
        Traverse("day", None, np.arange(float(count))[:, None], "frames", bounds, **more).cut(2, count), length
    )


def test_a_frame_without_a_name_is_called_by_its_row_in_the_whole_traverse():
    assert SheetSide.of(windows()).names == ("2", "3", "4", "5", "6", "7")


def test_a_frame_without_a_name_is_called_by_its_image(tmp_path):
    (tmp_path / "day").mkdir()
    images = tuple(str(tmp_path / "day" / "left" / f"{i}.png") for i in range(8))
    side = SheetSide.of(windows(images=images, images_source=str(tmp_path / "day")))
    assert side.names[0] == "left/2.png"
    listed = SheetSide.of(windows(images=images, images_source=str(tmp_path / "day.csv")))
    assert listed.images[0] == "day/left/2.png"


def test_the_margin_is_to_the_first_window_of_other_frames():
    ranking = Ranking(np.array([[0, 1, 2, 3], [0, 1, 1, -1]]), np.array([[0.1, 0.2, 0.4, 0.8], [0, 1, 1, np.inf]]))
    assert margins(ranking, windows())[0] == pytest.approx(0.1)  # single frames: the second
    three = margins(ranking, windows(3))  # windows start at 0, 0, 1, 2, 3, 3
    assert np.isnan(three).tolist() == [True, True]
    two = margins(ranking, windows(2))  # windows start at 0, 0, 1, 2, 3, 4
    assert two[0] == pytest.approx(0.7)


@pytest.mark.parametrize(("own_folder", "called"), [(True, "fall/0.png"), (False, "b/0.png")])
def test_images_of_several_drives_are_told_apart_by_drive_only_where_they_must_be(tmp_path, own_folder, called):
    """Each drive's images below a folder of its own, or all of them below one."""
    drives = []
    for name, folder in (("summer", "a"), ("fall", "b")):
        (tmp_path / folder).mkdir()
        images = tuple(str(tmp_path / folder / f"{row}.png") for row in range(3))
        source = tmp_path / folder if own_folder else tmp_path
        positions, bounds = np.arange(3.0)[:, None], np.tile([0, 3], (3, 1))
        traverse = Traverse(name, np.ones((3, 2), np.float32), positions, "frames", bounds, images=images)
        drives.append(replace(traverse, images_source=str(source)))
    side = SheetSide.of(Windows.of(join_drives(drives, "here"), 1))
    assert side.drives == ("summer",) * 3 + ("fall",) * 3
    assert side.images[3] == called
    assert side.names[3] == called.removeprefix("fall/")


def test_frames_without_names_are_called_by_their_row_in_their_drive():
    positions, bounds = np.arange(9.0)[:, None], np.tile([0, 9], (9, 1))
    whole = Traverse("summer", np.ones((9, 2), np.float32), positions, "frames", bounds)
    both = join_drives([whole.cut(4, 6), replace(whole.cut(7, 9), name="fall")], "here")
    side = SheetSide.of(Windows.of(both, 1))
    assert list(zip(side.drives, side.names, strict=True)) == [
        ("summer", "4"), ("summer", "5"), ("fall", "7"), ("fall", "8"),
    ]  # fmt: skip
