import numpy as np
import pytest

from reports import figures
from reports.matrix import similarity_matrix
from reports.protocols import group_by_protocol
from reports.results import read_result, read_results
from reports.route import place_map, route


@pytest.fixture
def two(record):
    results, _ = read_results([record("a", label="plain $x$"), record("b", label="_hidden", wrong=(1,), planar=False)])
    return results, group_by_protocol(results)


@pytest.mark.parametrize("name", ["recall_at_k", "precision_recall", "recall_radius", "recall_latency"])
def test_curves_name_every_method_in_the_panel_of_its_protocol(two, name, tmp_path):
    with figures.paper_style():
        figure = getattr(figures, name)(*two)
        assert len(figure.axes) == 2
        labels = [axes.get_legend_handles_labels()[1] for axes in figure.axes]
        assert r"plain \$x\$" in labels[0][0]
        assert "hidden" in labels[1][0]
        png, svg = figures.save(figure, tmp_path, name)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "plain $x$" in svg.read_text()  # text stays text, and no formula


def test_no_latency_figure_without_times(record):
    path = record()
    path.write_text(path.read_text().replace('"latency_ms"', '"latency_unknown"'))
    results = [read_result(path)]
    assert figures.recall_latency(results, group_by_protocol(results)) is None


@pytest.mark.parametrize("planar", [True, False])
def test_map_counts_outcomes(record, planar):
    result = read_result(record(planar=planar, wrong=(3, 4), no_positive=(9,)))
    (axes,) = figures.place_map(result, result.answers, place_map(result.answers)).axes
    labels = axes.get_legend_handles_labels()[1]
    assert {"right (17)", "right place in the first 5 (2)", "no positive (1)"} <= set(labels)
    assert len(axes.collections) == planar  # lines to the matched places


def test_strip_shades_the_longest_failure(record):
    result = read_result(record(wrong=(3, 4, 5)))
    figure = figures.strip(result, result.answers, route(result, result.answers))
    top, bottom = figure.axes
    assert "3 queries in a row" in top.get_title(loc="left")
    shade = top.patches[0].get_extents().transformed(top.transData.inverted())
    assert (round(shade.x0, 1), round(shade.x1, 1)) == (2.5, 5.5)
    assert bottom.images[0].get_array().shape == (1, 20)


def test_matrix_draws_truth_and_matches(record):
    result = read_result(record(no_positive=(9,)))
    vectors = np.eye(20, dtype=np.float32)
    figure = figures.matrix(result, result.answers, similarity_matrix(vectors, vectors, 100, "rows"))
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert len(lines["true place"].get_xdata()) == 19
    assert len(lines["first match"].get_xdata()) == 20
