"""Figures for papers: matplotlib, PNG and SVG, colours that colour-blind readers tell apart."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from opticornet.reports import curves
from opticornet.reports.binned import MANY, Squares, shares_along, stacked_picture
from opticornet.reports.matrix import SimilarityMatrix, contrast
from opticornet.reports.no_answer import operating_point
from opticornet.reports.protocols import Protocol, unit
from opticornet.reports.results import CLOSE, NO_POSITIVE, RIGHT, WRONG, Answers, Result
from opticornet.reports.route import Map, Route, failure_text, local_map
from opticornet.reports.stress import stress_table
from opticornet.reports.table import interval
from opticornet.utils.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

Style = dict[str, Any]  # of a line, as matplotlib's keyword arguments

# Okabe and Ito's palette, and markers so that a black-and-white print still tells lines apart; from the ninth method on
# they come again with dashes and hollow markers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F3C8D", "#5F5F5F")
MARKERS = "os^Dv<>P"
OUTCOME_COLOURS = {RIGHT: "#2f7ec2", CLOSE: "#e0a100", WRONG: "#d6451b", NO_POSITIVE: "#8a8f98"}
OUTCOME_LABELS = {RIGHT: "right", CLOSE: "right place in the first 5", WRONG: "wrong", NO_POSITIVE: "no positive"}
MOST_LINES = 400  # from wrong queries to where they were taken for
SQUARES = 90  # along a map of many queries
STRIP_BINS = 700
_STYLE: "dict[RcKeyType, Any]" = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "opticornet",
}


@contextmanager
def paper_style() -> Iterator[None]:
    """The style of all figures, for what is drawn inside the block."""
    with matplotlib.rc_context(_STYLE):
        yield


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write ``name.png`` and ``name.svg``."""
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once for both
    for path in paths:
        with atomic_path(path) as temporary:
            metadata = {"Date": None} if path.suffix == ".svg" else None
            figure.savefig(temporary, format=path.suffix[1:], dpi=200, metadata=metadata)
    return paths


def recall_at_k(results: list[Result], protocols: list[Protocol]) -> Figure:
    """Recall@K of all methods, one panel per protocol, with 95 % intervals at the recorded K."""

    def draw(axes: Axes, result: Result, style: Style) -> None:
        curve = curves.recall_at_k(result)
        if curve is None:
            return
        axes.plot(curve.x, curve.y, markevery=_marker_indices(curve.x), **style)
        for k in (1, 5, 10, 20):
            bounds = interval(result, k)
            if bounds is not None and result.recall(k) is not None:
                axes.vlines(k, *bounds, color=style["color"], linewidth=1, alpha=0.5)

    figure = _panels(results, protocols, draw, "K, ranked places looked at", "Recall@K")
    for axes in figure.axes:
        axes.set_xlim(0.5, curves.MAX_K + 0.5)
        axes.set_xticks([1, 5, 10, 15, 20, 25])
    return figure


def _marker_indices(ks: np.ndarray) -> list[int]:
    return [i for i, k in enumerate(ks) if k in (1, 5, 10, 15, 20, 25)]


def precision_recall(results: list[Result], protocols: list[Protocol]) -> Figure:
    """Precision against recall as the threshold on the best match's distance moves; a point where the threshold is
    above which the method says "no answer"."""

    def draw(axes: Axes, result: Result, style: Style) -> None:
        curve = curves.precision_recall(result)
        if curve is not None:
            label = f"{style['label']} (AP {result.get('average_precision', default=float('nan')):.3f})"
            axes.plot(curve.x, curve.y, **style | {"label": label, "marker": None})
            if (point := operating_point(result)) is not None:
                axes.plot(*point, **style | {"label": None, "linestyle": "none", "markersize": 6})

    figure = _panels(results, protocols, draw, "Recall", "Precision")
    for axes in figure.axes:
        axes.set_xlim(-0.01, 1.01)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
    return figure


def recall_radius(results: list[Result], protocols: list[Protocol]) -> Figure:
    """Recall@1 as the radius of a right match grows."""

    def draw(axes: Axes, result: Result, style: Style) -> None:
        curve = curves.recall_at_radius(result)
        if curve is not None:
            axes.plot(curve.x, curve.y, **style | {"marker": None})

    figure = _panels(results, protocols, draw, "", "Recall@1")
    for axes, protocol in zip(figure.axes, protocols, strict=True):
        first = results[protocol.results[0]]
        _log_scale(axes)
        axes.set_xlabel(f"Radius, {first.units}")
        radius = first.get("data", "positive_radius")
        if radius:
            axes.axvline(radius, color="#555555", linewidth=0.8, linestyle=":")
            axes.annotate(f"{radius:g} {unit(radius, first.units)}", (radius, 0.99), xytext=(4, 0), fontsize=8,
                          xycoords=("data", "axes fraction"), textcoords="offset points", va="top")  # fmt: skip
    return figure


def recall_latency(results: list[Result], protocols: list[Protocol]) -> Figure | None:
    """Recall@1 against time per query, the methods no other beats in both joined; None where no time is known."""
    if not any(curves.latency(result) for result in results):
        return None

    def draw(axes: Axes, result: Result, style: Style) -> None:
        point = curves.latency(result)
        if point:
            axes.plot(*point, **style | {"linestyle": "none", "markersize": 6})

    figure = _panels(results, protocols, draw, "Milliseconds per query (median)", "Recall@1")
    for axes, protocol in zip(figure.axes, protocols, strict=True):
        points = [p for i in protocol.results if (p := curves.latency(results[i]))]
        front = np.array([points[i] for i in curves.pareto(points)]).reshape(-1, 2)
        axes.plot(*front.T, color="#999999", linewidth=1, linestyle="--", zorder=1)
        _log_scale(axes)
    return figure


def stress(results: list[Result], protocols: list[Protocol]) -> Figure | None:
    """Recall@1 where the queries' drive was altered, condition by condition; None where none was."""
    table = stress_table(results)
    if table is None:
        return None
    recalls = dict(zip((results[i].path for i in table.results), table.recalls, strict=True))

    def draw(axes: Axes, result: Result, style: Style) -> None:
        if result.path in recalls:
            heights = [np.nan if recall is None else recall for recall in recalls[result.path]]
            axes.plot(np.arange(len(heights)), heights, **style | {"linewidth": 0.8})

    figure = _panels(results, protocols, draw, "", "Recall@1")
    for axes in figure.axes:
        axes.set_xticks(range(len(table.conditions)), table.conditions, rotation=40, ha="right", fontsize=8)
    return figure


def _log_scale(axes: Axes) -> None:
    """A logarithmic x axis that reads 0.5, 1, 2, 5, 10 rather than powers of ten; finer within a decade."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 10 * low else (1, 1.5, 2, 3, 4, 6, 8)))
    axes.xaxis.set_major_formatter("{x:.10g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _panels(
    results: list[Result],
    protocols: list[Protocol],
    draw: Callable[[Axes, Result, Style], None],
    x_label: str,
    y_label: str,
) -> Figure:
    """One panel per protocol, the methods drawn by ``draw(axes, result, style)``."""
    columns = min(3, len(protocols))
    rows = -(-len(protocols) // columns)
    most = max(len(protocol.results) for protocol in protocols)
    longest = max(len(_safe_label(result.name)) for result in results)
    legend_columns = 2 if longest <= 26 else 1
    if beside := len(protocols) == 1:  # room for the names at the panel's right, else below each
        size = (5.0 + 0.07 * longest, max(3.2, 0.2 * most))
    else:
        size = (4.4 * columns, (3.0 + 0.17 * -(-most // legend_columns)) * rows)
    figure = Figure(figsize=size, layout="constrained")
    all_axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, protocol in zip(all_axes, protocols, strict=False):
        best_first = sorted(enumerate(protocol.results), key=lambda member: -(results[member[1]].recall(1) or 0.0))
        for rank, (place, i) in enumerate(best_first):  # the legend names them as the lines lie
            again = place >= len(COLOURS)
            style: Style = {
                "label": _safe_label(results[i].name),
                "color": COLOURS[place % len(COLOURS)],
                "marker": MARKERS[place % len(MARKERS)],
                "markersize": 4,
                "zorder": 3 - rank / len(best_first),
                "markerfacecolor": "white" if again else COLOURS[place % len(COLOURS)],
                "linestyle": "--" if again else "-",
            }
            draw(axes, results[i], style)
        axes.set_title(_safe_label(protocol.dataset), fontsize=10, loc="left")
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.set_ylim(-0.01, 1.01)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        named = bool(axes.get_legend_handles_labels()[0])
        if named and beside:
            axes.legend(fontsize=9, loc="upper left", bbox_to_anchor=(1.01, 1.0), labelspacing=0.7)
        elif named:
            axes.legend(fontsize=7.5, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=legend_columns)
    for axes in all_axes[len(protocols) :]:
        axes.remove()
    return figure


def place_map(result: Result, answers: Answers) -> Figure:
    """Each query coloured by its outcome, wrong ones joined to the place they were matched to; as high as the route
    needs beside its width."""
    where = local_map(answers)
    figure = Figure(figsize=(5.2, 1.4 + 4.2 * _relative_height(where)), layout="constrained")
    axes = figure.subplots()
    matched = answers.predictions[:, 0]
    shown = matched >= 0
    if where.kind == "line":
        axes.plot(*_diagonal(where), color="#bbbbbb", linewidth=1, zorder=1, label="same place")
        points = np.stack([np.where(shown, where.reference[matched, 0], np.nan), where.query[:, 0]], axis=1)
        axes.set_xlabel(f"Matched reference, {result.units}")
        axes.set_ylabel(f"Query, {result.units}")
    else:
        axes.plot(*where.reference.T, ".", color="#c8ccd2", markersize=2, zorder=1, label="reference")
        points = where.query
        off = np.flatnonzero(shown & ((answers.outcome == WRONG) | (answers.outcome == CLOSE)))
        off = off[:: -(-len(off) // MOST_LINES) or 1]
        lines = np.stack([where.query[off], where.reference[matched[off]]], axis=1)
        axes.add_collection(
            LineCollection(
                list(lines),
                colors=OUTCOME_COLOURS[WRONG],
                linewidths=0.4,
                zorder=2,
                alpha=float(np.clip(40 / max(1, len(off)), 0.12, 0.35)),
            )
        )
        axes.set_aspect("equal", adjustable="datalim")  # fills the canvas, however narrow the route
        axes.set_xlabel("East, metres")
        axes.set_ylabel("North, metres")
    draw_queries(axes, points, answers, where)
    if where.kind == "line":
        axes.invert_yaxis()  # queries down, as on the page and in the matrix
    axes.set_title(_safe_label(f"{result.name}, {result.dataset}"), fontsize=10, loc="left")
    axes.ticklabel_format(useOffset=False, style="plain")
    whole = result.units == "frames"
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10], integer=whole))  # room for seven digits
    axes.yaxis.set_major_locator(MaxNLocator(9, steps=[1, 2, 2.5, 5, 10], integer=whole))
    figure.legend(fontsize=7.5, loc="outside lower center", ncols=3)
    return figure


def draw_queries(axes: Axes, points: np.ndarray, answers: Answers, where: Map) -> None:
    """Queries at ``points`` (M, 2), NaN for none, as points, or where there are many as squares of shares."""
    outcome = answers.outcome
    everything = np.concatenate([points, where.reference]) if where.kind != "line" else points
    low, high = np.nanmin(everything, axis=0), np.nanmax(everything, axis=0)
    side = np.maximum(high - low, 1e-9) / SQUARES
    size = (side[0], side[1]) if where.kind == "line" else (side.max(), side.max())
    squares = Squares.of(points, outcome, size) if len(points) > MANY else None
    for what in (NO_POSITIVE, RIGHT, CLOSE, WRONG):
        chosen = points[outcome == what]
        if not len(chosen):
            continue
        name = OUTCOME_LABELS[what] if answers.has_truth else "no ground truth"
        label, ink = f"{name} ({len(chosen)})", OUTCOME_COLOURS[what]
        if squares is None:
            axes.plot(*chosen.T, "o", color=ink, markersize=3, label=label, zorder=3)
        else:
            strength = squares.strength[squares.shares[:, what] > 0]
            inks = [matplotlib.colors.to_rgba(ink, alpha) for alpha in strength]
            axes.add_collection(PolyCollection(list(squares.rectangles(what)), facecolors=inks, linewidths=0, zorder=3))
            axes.plot([], [], "s", color=ink, markersize=4, label=label)


def _relative_height(where: Map) -> float:
    """Of a map whose width is 1, between a quarter and one and a half."""
    if where.kind == "line":
        return 1.0
    width, height = np.ptp(where.known, axis=0)
    return float(np.clip(height / width, 0.25, 1.5)) if width else 1.5


def _diagonal(where: Map) -> tuple[list[float], list[float]]:
    low, high = float(np.nanmin(where.query)), float(np.nanmax(where.query))
    return [low, high], [low, high]


def strip(result: Result, answers: Answers, found: Route) -> Figure:
    """Recall along the drive above the outcome of each query, the longest failure shaded."""
    figure = Figure(figsize=(7, 2.1), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    x = np.arange(len(answers))
    top.plot(x, found.recall, color=COLOURS[0])
    top.set_ylim(-0.02, 1.02)
    top.yaxis.set_major_formatter(PercentFormatter(1))
    top.set_ylabel(f"Recall@1\nover {found.window}")
    if found.failure[1] > found.failure[0]:
        top.axvspan(
            found.failure[0] - 0.5, found.failure[1] - 0.5, color=OUTCOME_COLOURS[WRONG], alpha=0.15, linewidth=0
        )
    failure = failure_text(found, answers.outcome, result.units)
    top.set_title(
        _safe_label(f"{result.name}, {result.dataset}; longest failure: {failure}", 120), fontsize=9, loc="left"
    )
    colours = matplotlib.colors.ListedColormap([OUTCOME_COLOURS[what] for what in range(4)])
    count = len(answers)
    shown = answers.outcome[None] if count <= MANY else stacked_picture(shares_along(answers.outcome, STRIP_BINS), 40)
    bottom.imshow(shown, aspect="auto", cmap=colours, vmin=-0.5, vmax=3.5, interpolation="nearest",
                  extent=(-0.5, count - 0.5, 0, 1))  # fmt: skip
    bottom.set_yticks([])
    bottom.grid(False)
    bottom.set_xlabel("Query, in the order driven")
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
    present = [what for what in OUTCOME_LABELS if (answers.outcome == what).any()]
    patches = [Patch(color=OUTCOME_COLOURS[what], label=OUTCOME_LABELS[what]) for what in present]
    figure.legend(handles=patches, fontsize=7.5, loc="outside lower center", ncols=4)
    return figure


def matrix(result: Result, answers: Answers, similarity: SimilarityMatrix) -> Figure:
    """The similarity matrix with the true places and the first matches."""
    figure = Figure(figsize=(5.6, 5.0), layout="constrained")
    axes = figure.subplots()
    low, high = contrast(similarity.values)
    queries, references = similarity.shape
    image = axes.imshow(
        similarity.values, cmap="magma", vmin=low, vmax=high, extent=(-0.5, references - 0.5, queries - 0.5, -0.5),
        aspect="auto" if not 0.5 < queries / references < 2 else "equal", interpolation="nearest",
    )  # fmt: skip
    axes.grid(False)
    rows = np.arange(queries)
    known = answers.has_positive & (answers.nearest >= 0)
    apart = 0.5 + 0.012 * references  # windows between a true place and the lines beside it, which hide nothing
    for side, label in ((-apart, "true place, between the lines"), (apart, "_nolegend_")):
        axes.vlines(answers.nearest[known] + side, rows[known] - 0.5, rows[known] + 0.5, color="#00e0a4", linewidth=0.9,
                    label=label)  # fmt: skip
    found = (answers.predictions[:, 0] >= 0) & (answers.outcome != RIGHT)
    axes.plot(answers.predictions[found, 0], rows[found], "o", markersize=1.8, markerfacecolor="#ffffff",
              markeredgecolor="#00000088", markeredgewidth=0.3, label="first match, where wrong")  # fmt: skip
    axes.set_xlabel("Reference window")
    axes.set_ylabel("Query window")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(image, ax=axes, label="Cosine similarity", shrink=0.8)
    axes.set_title(_safe_label(f"{result.name}, {result.dataset}"), fontsize=10, loc="left")
    axes.set_xlim(-0.5, references - 0.5)
    legend = figure.legend(
        fontsize=7.5, loc="outside lower center", ncols=2, frameon=True, facecolor="#3b0f70", labelcolor="white"
    )
    legend.get_frame().set_linewidth(0)
    return figure


def _safe_label(text: str, longest: int = 60) -> str:
    """Text from files must not start matplotlib's formula mode, nor hide a line by a leading underscore, nor leave
    no room for the axes."""
    text = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return text.replace("$", r"\$").removeprefix("_") or text
