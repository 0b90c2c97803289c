"""Recalls of altered drives, in the page and as a figure."""

import json
import re

import pytest

from opticornet.reports import figures
from opticornet.reports.page import render
from opticornet.reports.protocols import group_by_protocol
from opticornet.reports.results import read_results
from opticornet.reports.stress import stress_table


@pytest.fixture
def results(record):
    """Two tested under different conditions, and one under none."""
    first = {"single frame": {"1": 0.25}, "1x": {"1": 0.5, "5": 0.75}, "2x": {"1": 0.125}}
    paths = [
        record("a", label="first", stress=first),
        record("b", label="plain"),
        record("c", label="second", stress={"1x": {"1": 1.0}, "reversed": {"1": 0.0}}),
    ]
    return read_results(paths)[0]


def test_results_stand_beside_each_other_under_all_conditions(results):
    table = stress_table(results)
    assert table.conditions == ("single frame", "1x", "2x", "reversed")
    assert table.results == (0, 2)
    assert table.recalls == ((0.25, 0.5, 0.125, None), (None, 1.0, None, 0.0))
    assert stress_table(results[1:2]) is None


def test_the_page_shows_them_where_there_are_any(results):
    pages = [
        render(some, group_by_protocol(some), ["left out"] * len(some), {}, []) for some in (results, results[1:2])
    ]
    section = re.search(r'<section id="stress">.*?</section>', pages[0], re.DOTALL)[0]
    assert re.findall(r"<td[^>]*>([^<]*)</td>", section) == ["25.0", "50.0", "12.5", "–", "–", "100.0", "–", "0.0"]
    assert re.findall(r'scope="row">(\w+)', section) == ["first", "second"]
    assert '<a href="#stress">' in pages[0]
    assert 'id="stress"' not in pages[1]
    assert '<a href="#stress">' not in pages[1]


def test_the_figure_has_a_line_of_each(results):
    with figures.paper_style():
        (axes,) = figures.stress(results, group_by_protocol(results)).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["single frame", "1x", "2x", "reversed"]
    lines = {line.get_label(): line.get_ydata().tolist() for line in axes.get_lines()}
    assert lines["first"][:3] == [0.25, 0.5, 0.125]
    assert lines["second"][1::2] == [1.0, 0.0]
    assert len(lines) == 2
    assert figures.stress(results[1:2], group_by_protocol(results[1:2])) is None


def test_a_damaged_table_leaves_gaps(record):
    path = record("a", stress={"1x": {"1": 0.5}})
    damaged = json.loads(path.read_text())
    damaged["stress"] = {"1x": "half", "2x": {"1": "none"}}
    path.write_text(json.dumps(damaged))
    assert stress_table(read_results([path])[0]).recalls == ((None, None),)
