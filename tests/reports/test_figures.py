import itertools

import matplotlib
import numpy as np
import pytest

from opticornet.reports import figures
from opticornet.reports.matrix import similarity_matrix
from opticornet.reports.protocols import group_by_protocol
from opticornet.reports.results import CLOSE, RIGHT, read_result, read_results
from opticornet.reports.route import local_map, route


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
    (axes,) = figures.place_map(result, result.answers).axes
    labels = axes.get_legend_handles_labels()[1]
    assert {"right (17)", "right place in the first 5 (2)", "no positive (1)"} <= set(labels)
    assert len(axes.collections) == planar  # lines to the matched places


def test_frames_are_counted_in_whole_numbers(record):
    result = read_result(record(planar=False))
    assert result.units == "frames"
    vectors = np.eye(len(result.answers), dtype=np.float32)
    maps = figures.place_map(result, result.answers)
    matrices = figures.matrix(result, result.answers, similarity_matrix(vectors, vectors, 100, "rows"))
    for figure in (maps, matrices):
        for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis):
            assert (axis.get_majorticklocs() % 1 == 0).all()


def test_map_is_in_local_metres_and_plain_numbers_where_latitude_is_known(record):
    result = read_result(record(lat_lon=True))
    figure = figures.place_map(result, result.answers)
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("East, metres", "North, metres")
    reference = next(line for line in axes.lines if line.get_label() == "reference")
    np.testing.assert_array_equal(reference.get_xydata(), result.answers.reference.positions)


@pytest.mark.parametrize(("scale", "height"), [((200, 3), 2.45), ((1, 1), 5.6), ((3, 200), 7.7)])
def test_map_is_as_high_as_the_route_and_nothing_overlaps(record, scale, height, tmp_path):
    result = read_result(record(wrong=(3,), no_positive=()))
    for side in (result.answers.reference, result.answers.query):
        side.positions[:] = side.positions * scale + [500_000, 5_700_000]  # as UTM has them
    figure = figures.place_map(result, result.answers)
    figures.save(figure, tmp_path, "map")
    assert figure.get_figheight() == pytest.approx(height, abs=0.01)
    (axes,), (legend,) = figure.axes, figure.legends
    assert legend.get_window_extent().y1 <= axes.get_tightbbox().y0
    for axis in (axes.xaxis, axes.yaxis):
        assert axis.get_offset_text().get_text() == ""
        boxes = [label.get_window_extent() for label in axis.get_ticklabels() if label.get_text()]
        assert len(boxes) >= 2
        assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


@pytest.mark.parametrize("milliseconds", [(0.64, 3.3), (0.07, 900.0), (1.2, 1.3)])
def test_logarithmic_axes_read_plain_numbers(record, milliseconds):
    results, _ = read_results([record(str(i), label=str(i), milliseconds=ms) for i, ms in enumerate(milliseconds)])
    for draw in (figures.recall_latency, figures.recall_radius):
        figure = draw(results, group_by_protocol(results))
        figure.draw_without_rendering()
        (axes,) = figure.axes
        labels = [label.get_text() for label in axes.get_xticklabels(which="both") if label.get_text()]
        low, high = axes.get_xlim()
        assert sum(low <= float(text) <= high for text in labels) >= 3


def test_sixteen_methods_are_told_apart(record):
    results, _ = read_results([record(str(i), label=str(i)) for i in range(16)])
    for draw in (figures.recall_at_k, figures.recall_latency):
        (axes,) = draw(results, group_by_protocol(results)).axes
        lines = axes.get_legend_handles_labels()[0]
        looks = {(line.get_marker(), line.get_color(), line.get_markerfacecolor()) for line in lines}
        assert len(looks) == len(lines) == 16
        assert sum(line.get_markerfacecolor() == line.get_color() for line in lines) == 8


def test_strip_names_its_colours(record):
    result = read_result(record(wrong=(3, 4, 5)))
    (legend,) = figures.strip(result, result.answers, route(result, result.answers)).legends
    assert [text.get_text() for text in legend.get_texts()] == ["right", "right place in the first 5"]
    assert [matplotlib.colors.to_hex(patch.get_facecolor()) for patch in legend.get_patches()] == [
        figures.OUTCOME_COLOURS[what] for what in (RIGHT, CLOSE)
    ]


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
    assert (
        len(lines["first match, where wrong"].get_xdata()) == 4
    )  # 3 wrong, 1 without a right place: no diagonal hidden
    beside = [np.array(lines.get_segments())[:, 0, 0] for lines in figure.axes[0].collections[:2]]
    assert [len(x) for x in beside] == [19, 19]
    known = np.delete(np.arange(20), 9)
    assert (beside[0] < known - 0.5).all()
    assert (beside[1] > known + 0.5).all()


def test_the_diagonal_falls_on_every_picture(record):
    """As on the page: queries down, references across."""
    result = read_result(record(planar=False))
    vectors = np.eye(20, dtype=np.float32)
    for figure in (
        figures.place_map(result, result.answers),
        figures.matrix(result, result.answers, similarity_matrix(vectors, vectors, 100, "rows")),
    ):
        axes = figure.axes[0]
        assert axes.yaxis_inverted()
        assert not axes.xaxis_inverted()


def test_many_queries_are_shown_by_their_shares(record):
    result = read_result(record(queries=2000, wrong=tuple(range(0, 2000, 4)), planar=False))
    figure = figures.strip(result, result.answers, route(result, result.answers))
    shown = figure.axes[1].images[0].get_array()
    assert (shown == RIGHT).mean() == pytest.approx(0.75, abs=0.03)
    assert (shown[-1] == RIGHT).mean() > 0.9  # right ones are stacked from the bottom
    labels = figures.place_map(result, result.answers).axes[0].get_legend_handles_labels()[1]
    assert "right (1500)" in labels


@pytest.mark.parametrize("planar", [True, False])
def test_a_map_leaves_out_places_that_are_not_known(record, planar):
    """A table of positives scores frames of unknown position too."""
    result = read_result(record(planar=planar, table=True, wrong=(3,)))
    for side in (result.answers.reference, result.answers.query):
        side.positions[6:9] = np.nan
    figure = figures.place_map(result, result.answers)
    assert figure.get_figheight() == pytest.approx(5.6, abs=0.01)
    low, high = figure.axes[0].get_xlim()
    assert high - low < 1.5 * np.ptp(local_map(result.answers).known[:, 0])
