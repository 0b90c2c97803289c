import numpy as np
import pytest

from opticornet.evaluation.answer_files.msls import MslsPredictions
from opticornet.evaluation.no_answer import NoAnswer
from opticornet.utils.errors import UserError


def test_the_official_evaluation_reads_a_row_of_keys_per_query(sheet, tmp_path):
    path = tmp_path / "predictions.txt"
    lines = MslsPredictions().lines(sheet(top_k=1, no_answer=NoAnswer(0.3)))
    path.write_text("".join(f"{line}\n" for line in lines))
    assert np.loadtxt(path, ndmin=2, dtype=str).tolist() == [["q0", "m2"], ["q1", "m0"], ["q2", "m3"]]


def test_rows_of_unequal_length_are_refused(sheet):
    with pytest.raises(UserError, match=r"q2.jpg has fewer than 2"):
        list(MslsPredictions().lines(sheet()))


@pytest.mark.parametrize(
    ("names", "message"),
    [(("x/a.jpg", "y/a.jpg", "b"), "two frames of query have the key a"), (("a b", "c", "d"), "holds one")],
)
def test_names_that_are_no_keys_are_refused(sheet, names, message):
    found = sheet(query={"names": names})
    with pytest.raises(UserError, match=message):
        MslsPredictions().check(found.query, found.reference)
