import csv

import numpy as np

from opticornet.evaluation.answer_files.csv_table import CsvTable
from opticornet.evaluation.no_answer import Calibration, NoAnswer


def rows(sheet) -> list[dict[str, str]]:
    return list(csv.DictReader(CsvTable().lines(sheet)))


def test_one_line_per_query_and_rank(sheet):
    found = rows(sheet())
    assert [(row["query"], row["rank"], row["reference"]) for row in found] == [
        ("q0.jpg", "1", "m2.jpg"),
        ("q0.jpg", "2", "m1.jpg"),
        ("q1.jpg", "1", "m0.jpg"),
        ("q1.jpg", "2", "m3.jpg"),
        ("q2.jpg", "1", "m3.jpg"),  # and no second answer
    ]
    first = found[0]
    assert (first["query_time"], first["query_x"], first["query_y"]) == ("100.0", "0.0", "0.0")
    assert (first["reference_time"], first["reference_x"], first["reference_y"]) == ("102.0", "20.0", "0.0")
    assert (first["distance"], first["margin"]) == ("0.5", "0.25")
    assert (first["confidence"], first["no_answer"]) == ("", "")
    assert found[1]["margin"] == ""
    assert found[4]["margin"] == ""  # nothing else was found


def test_cells_of_what_is_not_known_are_empty(sheet):
    found = rows(sheet(query={"positions": np.full((3, 2), np.nan), "timestamps": None}))[0]
    assert [found[column] for column in ("query_time", "query_x", "query_y")] == ["", "", ""]
    assert found["reference_x"] == "20.0"


def test_latitude_and_longitude_where_they_are_known(sheet):
    found = rows(sheet(reference={"lat_lon": np.array([[63.4, 10.1 + i] for i in range(4)])}))[0]
    assert (found["reference_lat"], found["reference_lon"]) == ("63.4", "12.1")
    assert "query_x" in found


def test_refused_queries_and_confidence(sheet):
    no_answer = NoAnswer(0.3, calibration=Calibration(np.array([0.0, 1.0]), np.array([1.0, 0.0])))
    found = rows(sheet(no_answer=no_answer))
    assert [row["no_answer"] for row in found] == ["1", "1", "0", "0", "0"]
    assert [row["confidence"] for row in found] == ["0.5000", "", "0.7500", "", "0.8750"]


def test_names_with_commas_and_quotes_come_back(sheet):
    names = ('a "b", c', "d,e", "f")
    assert {row["query"] for row in rows(sheet(query={"names": names}))} == set(names)
