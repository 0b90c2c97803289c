import numpy as np
import pytest

from opticornet.evaluation.answer_files.tum import TumTrajectory
from opticornet.evaluation.no_answer import NoAnswer
from opticornet.utils.errors import UserError


def test_the_place_of_the_first_answer_at_the_querys_time(sheet):
    head, *lines = TumTrajectory().lines(sheet())
    assert head.startswith("# time x y z qx qy qz qw")
    assert lines == [
        "100.0 20.0 0.0 0.0 0 0 0 1",
        "101.0 0.0 0.0 0.0 0 0 0 1",
        "102.0 30.0 0.0 0.0 0 0 0 1",
    ]


def test_heights_are_kept_and_refused_queries_left_out(sheet):
    places = np.arange(12.0).reshape(4, 3)
    found = sheet(reference={"positions": places}, no_answer=NoAnswer(0.3))
    assert list(TumTrajectory().lines(found))[1:] == ["101.0 0.0 1.0 2.0 0 0 0 1", "102.0 9.0 10.0 11.0 0 0 0 1"]


def test_what_data_lacks_is_refused(sheet):
    without = sheet(query={"timestamps": None})
    with pytest.raises(UserError, match="frames of query have no times"):
        TumTrajectory().check(without.query, without.reference)
    numbered = sheet(reference={"units": "frames", "positions": np.arange(4.0)[:, None]})
    with pytest.raises(UserError, match="places of map are frame numbers"):
        TumTrajectory().check(numbered.query, numbered.reference)
