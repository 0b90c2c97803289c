"""The page: one self-contained HTML file that fetches nothing."""

import hashlib
import json
import math
import time
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from opticornet.reports import curves, no_answer, table
from opticornet.reports.difference import comparable, difference, verdict
from opticornet.reports.matrix import SimilarityMatrix, contrast
from opticornet.reports.pictures import FramePictures, matrix_picture, order_of_interest
from opticornet.reports.protocols import Protocol, truth_of, unit
from opticornet.reports.results import OUTCOMES, Answers, Result
from opticornet.reports.route import failure_text, place_map, route
from opticornet.reports.stress import stress_table

HERE = Path(__file__).parent
SCRIPTS = (
    "core",
    "chart",
    "plane",
    "bins",
    "headline",
    "table",
    "curves",
    "map",
    "route",
    "matrix",
    "atlas",
    "difference",
)
LIBRARIES = ("scripts/vendor/leaflet.js",)
STYLES = ("scripts/vendor/leaflet.css", "templates/page.css")
SHOWN_RANKS = 5  # ranked places of a query that the atlas lists


def render(
    results: list[Result],
    protocols: list[Protocol],
    matrices: list[SimilarityMatrix | str],
    pictures: dict[str, FramePictures],
    notes: list[str],
) -> str:
    """The page's HTML.

    Args:
        matrices: of each result, or the reason why there is none.
        pictures: by :func:`scene_key`.
        notes: what could not be read.
    """
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    columns = table.shown_columns(results)
    return environment.get_template("page.html").render(
        style=_inlined(STYLES),
        libraries=_inlined(LIBRARIES),
        scripts=_inlined(f"scripts/{name}.js" for name in SCRIPTS),
        payload=Markup(embedded(payload(results, protocols, matrices, pictures))),
        results=results,
        protocols=protocols,
        columns=columns,
        ks=table.shown_ks(results),
        cells=[[_cell(column, results, i, protocols) for column in columns] for i in range(len(results))],
        exports=_exports(results, protocols),
        interval_note=table.interval_note(results),
        stress=stress_table(results),
        notes=notes,
        drives=[table.per_drive(result, table.shown_ks(results)) for result in results],
        seqnets_count=table.by_seqnets_count(results, table.shown_ks(results)),
        details=[list(flattened(result.record)) for result in results],
        created=time.strftime("%Y-%m-%d %H:%M"),
        datasets=list(dict.fromkeys(result.dataset for result in results)),
    )


def _inlined(paths: Iterable[str]) -> Markup:
    """Text files of this folder, one after the other; a library's hint where its source map lies is left out."""
    texts = ((HERE / path).read_text(encoding="utf-8") for path in paths)
    return Markup("\n".join(text.split("//# sourceMappingURL")[0] for text in texts))


def embedded(value: Any) -> str:
    """JSON that is safe inside a script element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def payload(
    results: list[Result],
    protocols: list[Protocol],
    matrices: list[SimilarityMatrix | str],
    pictures: dict[str, FramePictures],
) -> dict[str, Any]:
    """What the page's scripts draw. Places and pictures are held once per scene, however many results share it."""
    scenes: dict[str, Any] = {}
    pairs = combinations(range(len(results)), 2)
    for result in results:
        if result.answers is not None and (key := scene_key(result.answers)) not in scenes:
            scenes[key] = _scene(result.answers, pictures.get(key))
    return {
        "outcomes": OUTCOMES,
        "protocols": [
            {"letter": p.letter, "dataset": p.dataset, "text": p.text, "results": p.results} for p in protocols
        ],
        "results": [_result(r, m, table.shown_ks(results)) for r, m in zip(results, matrices, strict=True)],
        "scenes": scenes,
        "differences": [_difference(results, *pair) for pair in pairs if comparable(*(results[i] for i in pair))],
    }


def scene_key(answers: Answers) -> str:
    """Equal for results over the same places."""
    digest = hashlib.sha256()
    for side in (answers.reference, answers.query):
        for array in (side.rows, side.positions, side.names, side.images, side.drives):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    if not answers.placed.all():  # such queries are drawn where they were matched
        digest.update(np.ascontiguousarray(answers.predictions[:, 0]).tobytes())
    return digest.hexdigest()[:12]


def _scene(answers: Answers, pictures: FramePictures | None) -> dict[str, Any]:
    where = place_map(answers)
    digits = 7 if where.kind == "lat-lon" else 2  # a centimetre
    sides = {}
    for name, side, points in (
        ("reference", answers.reference, where.reference),
        ("query", answers.query, where.query),
    ):
        sides[name] = {
            "points": numbers(points, digits),
            "rows": side.rows.tolist(),
            "names": None if side.names is None else side.names.tolist(),
            "drives": None if side.drives is None else side.drives.tolist(),
            "images": pictures.images[name] if pictures else {},
            "strips": pictures.strips[name] if pictures else {},
        }
    unplaced = int((~answers.placed).sum())
    return {"map": where.kind, "unplaced": unplaced, "pool": pictures.pool if pictures else [], **sides}


def _result(result: Result, matrix: SimilarityMatrix | str, ks: list[int]) -> dict[str, Any]:
    radius = result.get("data", "positive_radius")
    return {
        "name": result.name,
        "dataset": result.dataset,
        "units": result.units,
        "radius": radius,
        "radiusText": "" if radius is None else f"{radius:g} {unit(radius, result.units)}",
        "length": result.length,
        "counted": result.get("protocol", "counted"),
        "truth": truth_of(result),
        "noAnswer": no_answer.facts(result),
        "operatingPoint": no_answer.operating_point(result),
        "recall": {str(k): result.recall(k) for k in ks},
        "interval": {str(k): table.interval(result, k) for k in ks},
        "averagePrecision": result.get("average_precision"),
        "recallAtFullPrecision": result.get("recall_at_full_precision"),
        "latency": curves.latency(result),
        "latencyParts": {k: v.get("median") for k, v in result.get("timing", "latency_ms", default={}).items()},
        "recallBefore": result.get("recall_before_rerank", "1"),
        "curves": {
            "k": _curve(curves.recall_at_k(result)),
            "precision": _curve(curves.precision_recall(result)),
            "radius": _curve(curves.recall_at_radius(result)),
        },
        "notes": result.notes,
        "answers": None if result.answers is None else _answers(result, result.answers),
        "matrix": {"reason": matrix} if isinstance(matrix, str) else _matrix(matrix),
    }


def _answers(result: Result, answers: Answers) -> dict[str, Any]:
    along = route(result, answers)
    ranks = min(SHOWN_RANKS, answers.predictions.shape[1])
    return {
        "scene": scene_key(answers),
        "queryStarts": answers.query.starts.tolist(),
        "referenceStarts": answers.reference.starts.tolist(),
        "predictions": answers.predictions[:, :ranks].tolist(),
        "distances": numbers(answers.distances[:, :ranks], 4),
        "errors": numbers(answers.errors[:, :ranks], 1),
        "correct": answers.correct[:, :ranks].astype(int).tolist(),
        "outcome": answers.outcome.tolist(),
        "rank": answers.first_right_rank.tolist(),
        "ranked": answers.predictions.shape[1],
        "nearest": answers.nearest.tolist(),
        "positives": None if answers.positives is None else answers.positives.ranges(),
        "before": None if answers.candidates is None else answers.candidates[:, 0].tolist(),
        "order": order_of_interest(answers).tolist(),
        "refused": None if answers.refused is None else answers.refused.tolist(),
        "confidence": None if answers.confidence is None else numbers(answers.confidence, 3),
        "route": {
            "window": along.window,
            "recall": numbers(along.recall, 3),
            "failure": along.failure,
            "text": failure_text(along, answers.outcome, result.units),
        },
    }


def _matrix(matrix: SimilarityMatrix) -> dict[str, Any]:
    low, high = contrast(matrix.values)
    return {
        "picture": matrix_picture(matrix),
        "shape": matrix.shape,
        "factor": matrix.factor,
        "what": matrix.what,
        "low": round(low, 3),
        "high": round(high, 3),
    }


def _difference(results: list[Result], a: int, b: int) -> dict[str, Any]:
    found = difference(results[a], results[b])
    return {
        "first": a,
        "second": b,
        "both": found.both,
        "neither": found.neither,
        "onlyFirst": found.only_first.tolist(),
        "onlySecond": found.only_second.tolist(),
        "verdict": verdict(found),
    }


def _curve(curve: curves.Curve | None) -> dict[str, Any] | None:
    return None if curve is None else {"x": numbers(curve.x, 4), "y": numbers(curve.y, 4)}


def numbers(values: np.ndarray, digits: int) -> list:
    """Nested lists of rounded numbers; what is not finite becomes null, whole numbers lose their point."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(part) for part in value]
        if not math.isfinite(value):
            return None
        value = round(value, digits)
        return int(value) if value == int(value) else value

    return plain(np.asarray(values, dtype=np.float64).tolist())


def _cell(column: table.Column, results: list[Result], i: int, protocols: list[Protocol]) -> dict[str, Any]:
    """One cell of the table: its text, its value to sort by, its interval and whether it is the best."""
    result = results[i]
    members = next(p.results for p in protocols if i in p.results)
    bounds = table.interval(result, int(column.key.split("@")[1])) if column.key.startswith("recall@") else None
    return {
        "text": table.cell(column, result),
        "value": column.value(result),
        "interval": bounds and [100 * bound for bound in bounds],
        "best": i in table.best_rows(column, results, members),
    }


def _exports(results: list[Result], protocols: list[Protocol]) -> dict[str, str]:
    return {
        "csv": table.as_csv(results, protocols),
        "md": table.as_markdown(results, protocols),
        "tex": table.as_latex(results, protocols),
    }


def flattened(record: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str, str]]:
    """A record's fields as (section, name, value), for "what was run"; below a section, numbers by K on one line."""
    for key, value in record.items():
        by_k = prefix and isinstance(value, dict) and value and all(name.isdigit() for name in value)
        if key == "drives":
            value = {drive["name"]: drive for drive in value}
        if isinstance(value, dict) and not by_k:
            yield from flattened(value, f"{prefix}{key}.")
            continue
        text = ", ".join(f"@{k} {_value_text(number)}" for k, number in value.items()) if by_k else _value_text(value)
        section, _, rest = f"{prefix}{key}".partition(".")
        yield (section, rest, text) if rest else ("result", section, text)


def _value_text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(_value_text, value))
    return value if isinstance(value, str) else json.dumps(value)
