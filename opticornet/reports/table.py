"""The comparison table: one row per result, one block per protocol; as CSV, Markdown and LaTeX."""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass

from opticornet.evaluation.metrics import KS
from opticornet.evaluation.records import UNSTEADY
from opticornet.reports.protocols import Protocol
from opticornet.reports.results import Result

SHOWN_KS = (1, 5, 10, 20)  # of those that a test counts at by default


@dataclass(frozen=True)
class Column:
    """A number of every result.

    Attributes:
        key: name in the CSV.
        heading: in the page and papers, with its unit.
        help: what it is, in a sentence.
        value: the number; None where a record lacks it.
        text: how it is printed.
        best: max or min, or None where neither is better.
        optional: shown only where a result has it.
        mark: put before the number, of a result whose number is to be taken with care.
    """

    key: str
    heading: str
    help: str
    value: Callable[[Result], float | None]
    text: Callable[[float], str]
    best: Callable[[list[float]], float] | None
    optional: bool = False
    mark: Callable[[Result], str] = lambda result: ""


def _recall(k: int) -> Column:
    return Column(
        f"recall@{k}",
        f"R@{k} %",
        f"share of counted queries with a right place among the first {k}, with its 95 % bootstrap interval",
        lambda result: result.recall(k),
        lambda value: f"{100 * value:.1f}",
        max,
    )


def _answered(key: str, heading: str, help: str) -> Column:
    """A share of how the queries fare by the threshold above which there is no answer."""
    return Column(
        f"answered_{key}",
        heading,
        help,
        lambda result: result.get("no_answer", "tested", key),
        lambda value: f"{100 * value:.1f}",
        max,
        optional=True,
    )


COLUMNS: tuple[Column, ...] = (  # behind recall@K
    Column(
        "average_precision",
        "AP",
        "area under the precision-recall curve of the best match's distance",
        lambda result: result.get("average_precision"),
        lambda value: f"{value:.3f}",
        max,
    ),
    Column(
        "recall_at_full_precision",
        "R@100P %",
        "recall that is reached before the first wrong answer (recall at 100 % precision)",
        lambda result: result.get("recall_at_full_precision"),
        lambda value: f"{100 * value:.1f}",
        max,
    ),
    _answered("precision", "P@T %", "share of right answers among those below the threshold of no answer"),
    _answered(
        "recall", "R@T %", "right answers below the threshold of no answer, of the queries with a place in the map"
    ),
    _answered("rejection_recall", "Refused %", "share of the queries without a place in the map that have no answer"),
    Column(
        "place_auc",
        "AUC",
        "chance that a query with a place in the map has a smaller best distance than one without",
        lambda result: result.get("place_auc"),
        lambda value: f"{value:.3f}",
        max,
        optional=True,
    ),
    Column(
        "latency_ms",
        "ms/query",
        "median time of one query at a time with one thread, all steps from frame descriptors on; ~ where it is "
        "unsteady: the slowest twentieth took more than three times as long",
        lambda result: result.get("timing", "latency_ms", "total", "median"),
        lambda value: f"{value:.2f}" if value < 10 else f"{value:.0f}",
        min,
        mark=lambda result: "~" if unsteady(result) else "",
    ),
    Column(
        "added_memory_mib",
        "+MiB",
        "memory that the method adds to a process that holds the data",
        lambda result: result.get("added_memory_mib"),
        lambda value: f"{value:,.0f}",
        None,
    ),
    Column(
        "peak_memory_mib",
        "MiB",
        "peak memory of the whole process, data included",
        lambda result: result.get("peak_memory_mib"),
        lambda value: f"{value:,.0f}",
        None,
    ),
    Column(
        "parameters",
        "Parameters",
        "numbers learned, re-ranking included",
        lambda result: parameters(result),
        lambda value: f"{value:,.0f}",
        None,
    ),
)


def shown_ks(results: list[Result]) -> list[int]:
    """The K of the recalls in tables: those asked for in one of the tests, else the usual ones."""
    shown: set[int] = set()
    for result in results:
        ks = [int(k) for k in result.record["recall"]]
        is_usual = ks == [k for k in KS if k <= max(ks, default=0)]
        shown |= set(SHOWN_KS if is_usual else ks)
    return sorted(shown)


def columns_of(results: list[Result]) -> list[Column]:
    """All columns of a table of these results."""
    return [*map(_recall, shown_ks(results)), *COLUMNS]


def shown_columns(results: list[Result]) -> list[Column]:
    """All columns but optional ones that no result has."""
    return [c for c in columns_of(results) if not c.optional or any(c.value(result) is not None for result in results)]


def per_drive(result: Result, ks: list[int]) -> list[tuple[str, int, list[str]]]:
    """Of several query drives: name, counted queries and recalls at ``ks`` in per cent, a dash where none is known."""
    recalls: dict[str, dict[str, float]] = result.get("recall_per_drive", default={})
    counted = result.get("counted_per_drive", default={})
    return [(name, int(counted.get(name, 0)), in_per_cent(own, ks)) for name, own in recalls.items()]


def by_seqnets_count(results: list[Result], ks: list[int]) -> list[tuple[str, list[str]]]:
    """Name and recalls at ``ks`` in per cent of those results that are other ones where every reference is judged for
    itself."""
    counts = [(result, result.get("recall_each", default={})) for result in results]
    return [
        (result.name, in_per_cent(each, ks)) for result, each in counts if each not in ({}, result.record["recall"])
    ]


def in_per_cent(recalls: dict[str, float], ks: list[int]) -> list[str]:
    """Recalls at ``ks``; a dash where none is known."""
    return [f"{100 * recalls[str(k)]:.1f}" if str(k) in recalls else "–" for k in ks]


def unsteady(result: Result) -> bool:
    """Whether the slowest queries took so much longer that the median may be another one next time."""
    median, p95 = (result.get("timing", "latency_ms", "total", key, default=0.0) for key in ("median", "p95"))
    return p95 > UNSTEADY * median


def parameters(result: Result) -> int:
    """Numbers the method learned."""
    return sum(int(result.get("method", key, "parameters", default=0)) for key in ("weights", "rerank_weights"))


def interval(result: Result, k: int) -> tuple[float, float] | None:
    """The recorded 95 % interval of recall@``k``."""
    bounds = result.get("recall_interval", str(k))
    return (float(bounds[0]), float(bounds[1])) if isinstance(bounds, list) and len(bounds) == 2 else None


def interval_note(results: list[Result]) -> str:
    """How the intervals were drawn, in a sentence or two; nothing where there are none."""
    found = {int(r.get("protocol", "bootstrap_block", default=1)) for r in results if interval(r, 1) is not None}
    blocks = sorted(block for block in found if block > 1)
    notes = []
    if blocks:
        some = str(blocks[0]) if len(blocks) == 1 else f"{blocks[0]} to {blocks[-1]}"
        notes.append(f"95 % bootstrap intervals by blocks of {some} neighbouring queries.")
    if len(blocks) < len(found):  # as all records of earlier versions
        notes.append(
            f"{'Some intervals take' if blocks else '95 % bootstrap intervals, which take'} queries as independent: as "
            "neighbouring frames are not, true uncertainty is larger."
        )
    return " ".join(notes)


def cell(column: Column, result: Result) -> str:
    """A value as text; a dash where the record lacks it."""
    value = column.value(result)
    return "–" if value is None else f"{column.mark(result)}{column.text(value)}"


def best_rows(column: Column, results: list[Result], members: tuple[int, ...]) -> set[int]:
    """Members whose printed value is the best of at least two."""
    values = {i: column.value(results[i]) for i in members}
    known = [value for value in values.values() if value is not None]
    if column.best is None or len(known) < 2:
        return set()
    best = column.text(column.best(known))
    return {i for i, value in values.items() if value is not None and column.text(value) == best}


def as_csv(results: list[Result], protocols: list[Protocol]) -> str:
    """All digits, a column for the protocol and two for each interval."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = []
    columns = columns_of(results)
    for column in columns:
        head.append(column.key)
        if column.key.startswith("recall@"):
            head += [f"{column.key}_low", f"{column.key}_high"]
    writer.writerow(["protocol", "dataset", "split", "protocol_text", "method", *head, "record"])
    for protocol in protocols:
        for i in protocol.results:
            result = results[i]
            numbers: list[float | None] = []
            for column in columns:
                numbers.append(column.value(result))
                if column.key.startswith("recall@"):
                    numbers += interval(result, int(column.key.split("@")[1])) or (None, None)
            data = [result.get("data", key, default="") for key in ("dataset", "split")]
            row = [protocol.letter, *data, protocol.text, result.name, *numbers, result.path.name]
            writer.writerow(["" if value is None else _spreadsheet_safe(value) for value in row])
    return out.getvalue()


def _spreadsheet_safe(value: object) -> object:
    """Text that a spreadsheet would take for a formula is quoted."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value


def as_markdown(results: list[Result], protocols: list[Protocol]) -> str:
    """One table per protocol; best values bold."""
    blocks, columns = [], shown_columns(results)
    for protocol in protocols:
        lines = [f"**{_markdown(protocol.dataset)}**: {_markdown(protocol.text)}", ""]
        lines.append("| Method | " + " | ".join(column.heading for column in columns) + " |")
        lines.append("|---|" + "---:|" * len(columns))
        for i in protocol.results:
            cells = [
                f"**{text}**" if i in best_rows(column, results, protocol.results) else text
                for column in columns
                for text in [_with_interval(column, results[i], "–")]
            ]
            lines.append(f"| {_markdown(results[i].name)} | " + " | ".join(cells) + " |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def as_latex(results: list[Result], protocols: list[Protocol]) -> str:
    """One ``table`` per protocol, with booktabs rules; best values bold."""
    blocks, columns = [], shown_columns(results)
    for protocol in protocols:
        rows = []
        for i in protocol.results:
            cells = []
            for column in columns:
                text = _with_interval(column, results[i], "--").replace("–", "--").replace("~", r"$\sim$")
                bold = i in best_rows(column, results, protocol.results)
                cells.append(f"\\textbf{{{text}}}" if bold else text)
            rows.append(f"{_latex(results[i].name)} & " + " & ".join(cells) + r" \\")
        heads = " & ".join(_latex(column.heading) for column in columns)
        blocks.append(
            "\n".join(
                [
                    r"\begin{table}",
                    r"\centering",
                    rf"\caption{{{_latex(protocol.dataset)}: {_latex(protocol.text)}.}}",
                    rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
                    r"\toprule",
                    rf"Method & {heads} \\",
                    r"\midrule",
                    *rows,
                    r"\bottomrule",
                    r"\end{tabular}",
                    r"\end{table}",
                ]
            )
        )
    return "% needs \\usepackage{booktabs}\n" + "\n\n".join(blocks) + "\n"


def _with_interval(column: Column, result: Result, dash: str) -> str:
    text = cell(column, result)
    bounds = interval(result, int(column.key.split("@")[1])) if column.key.startswith("recall@") else None
    return f"{text} ({100 * bounds[0]:.1f}{dash}{100 * bounds[1]:.1f})" if bounds else text


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}"}
_LATEX |= {">": r"\textgreater{}", "|": r"\textbar{}", "–": "--"} | {c: f"\\{c}" for c in "&%$#_{}"}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
