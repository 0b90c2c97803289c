"""Rows of arrays in the words of the data."""

import numpy as np
import pytest

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
