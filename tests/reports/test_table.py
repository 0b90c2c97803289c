import csv
import io
import json
from dataclasses import replace

from opticornet.reports.protocols import group_by_protocol
from opticornet.reports.results import read_result, read_results
from opticornet.reports.table import (
    COLUMNS,
    as_csv,
    as_latex,
    as_markdown,
    best_rows,
    by_seqnets_count,
    cell,
    columns_of,
    interval_note,
    shown_columns,
    shown_ks,
)


def _read(*paths):
    results, _ = read_results(list(paths))
    return results, group_by_protocol(results)


def test_protocols_are_kept_apart(record):
    results, protocols = _read(record("a"), record("b", label="other", wrong=(1,)), record("c", no_positive=(2,)))
    assert [p.results for p in protocols] == [(0, 1), (2,)]
    assert [p.letter for p in protocols] == ["A", "B"]
    assert "within 5 metres, 20 of 20 queries counted, 20 references" in protocols[0].text
    assert "19 of 20 queries counted (1 without a positive left out)" in protocols[1].text
    assert best_rows(columns_of(results)[0], results, protocols[0].results) == {1}
    assert best_rows(columns_of(results)[0], results, protocols[1].results) == set()


def test_seqnets_count_stands_apart_where_it_differs(record):
    same, other = record("a", label="same"), record("b", label="other", each={"1": 0.7, "5": 0.8, "10": 0.85})
    results, protocols = _read(same, other)
    assert by_seqnets_count(results, [1, 5, 20]) == [("other", ["70.0", "80.0", "–"])]
    older = json.loads(other.read_text())
    del older["recall_each"]
    other.write_text(json.dumps(older))
    assert by_seqnets_count(_read(other)[0], [1]) == []
    assert protocols[0].results == (0, 1)  # both are compared by the count of the protocol
    assert "70.0" not in as_markdown(results, protocols)


def test_csv_holds_all_digits_and_no_formulas(record):
    results, protocols = _read(record("a", label="=1+1", wrong=(3, 4, 5)))
    (row,) = csv.DictReader(io.StringIO(as_csv(results, protocols)))
    assert float(row["recall@1"]) == 17 / 20
    assert float(row["recall@1_low"]) == 17 / 20 - 0.1
    assert row["recall@20"] == ""
    assert row["method"] == "'=1+1"
    assert row["protocol"] == "A"
    assert float(row["latency_ms"]) == 2.0


def test_markdown_and_latex_escape_and_mark_the_best(record):
    results, protocols = _read(record("a", label="50% | a_b"), record("b", label="<script>", wrong=()))
    text = as_markdown(results, protocols)
    assert r"50% \| a\_b" in text
    assert "<script>" not in text
    assert "**100.0 (90.0–100.0)**" in text
    latex = as_latex(results, protocols)
    assert r"50\% \textbar{} a\_b" in latex
    assert r"\textbf{100.0 (90.0--100.0)}" in latex
    assert latex.count(r"\begin{tabular}") == 1


def test_the_small_print_says_how_intervals_were_drawn(record):
    paths = [record(name) for name in "abc"]
    (_, second, third) = (json.loads(path.read_text()) for path in paths)
    second["protocol"]["bootstrap_block"] = 12
    paths[1].write_text(json.dumps(second))
    del third["protocol"]["bootstrap_block"]  # an older record
    third["peak_memory_mb"] = third.pop("peak_memory_mib")
    paths[2].write_text(json.dumps(third))
    new, old = _read(*paths[:2])[0], _read(paths[2])[0]
    assert interval_note(new) == "95 % bootstrap intervals by blocks of 4 to 12 neighbouring queries."
    assert "take queries as independent" in interval_note(old)
    assert interval_note(new + old).startswith(interval_note(new) + " Some intervals take")
    (memory,) = (column for column in COLUMNS if column.heading == "MiB")
    assert memory.value(old[0]) == memory.value(new[0]) == 123.0
    third["recall_interval"] = {}
    paths[2].write_text(json.dumps(third))
    assert interval_note(_read(paths[2])[0]) == ""


def test_what_was_refused_has_columns_where_a_result_says_so(record):
    results, protocols = _read(record("a", no_positive=(6, 7)), record("b", no_positive=(6, 7), threshold=0.1))
    assert not {"P@T %", "Refused %", "AUC"} & {column.heading for column in shown_columns(results[:1])}
    assert {"P@T %", "R@T %", "Refused %"} <= {column.heading for column in shown_columns(results)}
    rows = list(csv.DictReader(io.StringIO(as_csv(results, protocols))))
    assert rows[0]["answered_precision"] == ""
    tested = results[1].record["no_answer"]["tested"]
    assert float(rows[1]["answered_recall"]) == tested["right"] / 18
    assert float(rows[1]["answered_rejection_recall"]) == tested["refused_without_place"] / 2


def test_an_unsteady_latency_is_marked(record):
    results, protocols = _read(record("a", label="steady", milliseconds=2.0, p95=6.0),
                               record("b", label="unsteady", milliseconds=2.0, p95=6.5))  # fmt: skip
    (milliseconds,) = (column for column in COLUMNS if column.key == "latency_ms")
    assert [cell(milliseconds, result) for result in results] == ["2.00", "~2.00"]
    assert r"$\sim$2.00" in as_latex(results, protocols)


def test_memory_that_the_method_adds(record):
    results, protocols = _read(record("a"))
    (row,) = csv.DictReader(io.StringIO(as_csv(results, protocols)))
    assert (row["added_memory_mib"], row["peak_memory_mib"]) == ("20.0", "123.0")


def test_no_ground_truth_is_a_protocol_of_its_own(record):
    results, protocols = _read(record("a"), record("b", truth=False, placed=False), record("c", table=True))
    assert [p.results for p in protocols] == [(0,), (1,), (2,)]
    assert protocols[1].text == "winter searched in summer, 20 queries, no ground truth, 20 references"
    row = list(csv.DictReader(io.StringIO(as_csv(results, protocols))))[1]
    assert [row[key] for key in ("recall@1", "recall@1_low", "average_precision")] == ["", "", ""]


def test_recalls_are_shown_at_the_k_that_were_asked_for(record):
    def counted_at(*ks):
        result = read_result(record(f"at-{len(ks)}"))
        return replace(result, record=result.record | {"recall": dict.fromkeys(map(str, ks), 0.5)})

    usual, own = counted_at(1, 5, 10, 20, 100), counted_at(1, 5, 25)
    assert shown_ks([usual]) == [1, 5, 10, 20]
    assert shown_ks([own]) == [1, 5, 25]
    assert shown_ks([own, usual]) == [1, 5, 10, 20, 25]
    assert [column.heading for column in columns_of([own])[:4]] == ["R@1 %", "R@5 %", "R@25 %", "AP"]
