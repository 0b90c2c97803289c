from dataclasses import replace

import pytest

from opticornet.evaluation.answer_files.hloc import HlocPairs
from opticornet.evaluation.no_answer import NoAnswer
from opticornet.utils.errors import UserError


def test_a_pair_per_line(sheet):
    assert list(HlocPairs().lines(sheet())) == [
        "q0.jpg m2.jpg",
        "q0.jpg m1.jpg",
        "q1.jpg m0.jpg",
        "q1.jpg m3.jpg",
        "q2.jpg m3.jpg",
    ]


def test_images_rather_than_names_and_no_refused_query(sheet):
    images = tuple(f"/data/query/cam/{i}.png" for i in range(3))
    found = sheet(query={"images": images, "images_source": "/data/query.csv"}, no_answer=NoAnswer(0.3), top_k=1)
    assert list(HlocPairs().lines(found)) == ["query/cam/1.png m0.jpg", "query/cam/2.png m3.jpg"]


def test_names_with_spaces_are_refused(sheet):
    found = sheet(query={"names": ("a b.jpg", "c.jpg", "d.jpg")})
    with pytest.raises(UserError, match=r"'a b.jpg' of query holds one"):
        HlocPairs().check(found.query, found.reference)


def test_equal_names_of_several_drives_are_told_apart(sheet):
    found = replace(
        sheet(top_k=1), query=replace(sheet().query, names=("a", "a", "b"), drives=("rain", "snow", "snow"))
    )
    assert list(HlocPairs().lines(found)) == ["rain/a m2.jpg", "snow/a m0.jpg", "snow/b m3.jpg"]
