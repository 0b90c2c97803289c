"""Where along the route it fails: coordinates for a map, recall along the drive, the longest failure."""

from dataclasses import dataclass

import numpy as np

from opticornet.reports.protocols import unit
from opticornet.reports.results import NO_POSITIVE, RIGHT, Answers, Result


@dataclass(frozen=True)
class Map:
    """Places in the plane.

    Attributes:
        kind: "lat-lon" (longitude, latitude; degrees), "metres" (x, y) or "line": places have one coordinate only, so
            a query is drawn at its own coordinate and, across, that of the place it was matched to.
        reference, query: (N, 2) and (M, 2) float64, NaN where a place is not known; with "line" (N, 1) and (M, 1).
    """

    kind: str
    reference: np.ndarray
    query: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """(L, 2) or (L, 1) float64: the places of both sides that are known."""
        places = np.concatenate([self.reference, self.query])
        return places[np.isfinite(places).all(axis=1)]


def place_map(answers: Answers) -> Map:
    """Coordinates of both sides, ready for street tiles where latitude and longitude are known."""
    reference, query = answers.reference.lat_lon, answers.query.lat_lon
    if query is None and not answers.placed.any():
        query = np.full((len(answers), 2), np.nan)
    if reference is None or query is None:
        return local_map(answers)
    return Map("lat-lon", reference[:, ::-1], _drawn_at(answers, reference, query)[:, ::-1])


def local_map(answers: Answers) -> Map:
    """Coordinates of both sides as their radii measure them: never "lat-lon"."""
    planar = answers.query.positions.shape[1] >= 2
    reference, query = (side.positions[:, :2] for side in (answers.reference, answers.query))
    return Map("metres" if planar else "line", reference, _drawn_at(answers, reference, query))


def _drawn_at(answers: Answers, reference: np.ndarray, query: np.ndarray) -> np.ndarray:
    """(M, P) where queries are drawn: where they were taken, else where they were matched, else nowhere (NaN)."""
    first = answers.predictions[:, :1]
    matched = np.where(first >= 0, reference[first[:, 0]], np.nan)
    return np.where(answers.placed[:, None], query, matched)


@dataclass(frozen=True)
class Route:
    """The drive as a strip.

    Attributes:
        window: queries that one value of ``recall`` averages.
        recall: (M,) float64, share of right first matches among the queries with a positive around each one; NaN
            where there are none.
        failure: half-open range of queries of the longest failure; empty where none failed.
        failure_length: metres along its queries of known position; None where positions are not in metres.
    """

    window: int
    recall: np.ndarray
    failure: tuple[int, int]
    failure_length: float | None


def route(result: Result, answers: Answers) -> Route:
    """Recall along the drive."""
    window = max(9, round(len(answers) / 20)) | 1
    known = (answers.outcome != NO_POSITIVE).astype(float)
    right = (answers.outcome == RIGHT).astype(float)
    kernel = np.ones(min(window, len(answers)))
    with np.errstate(invalid="ignore"):
        recall = np.convolve(right, kernel, "same") / np.convolve(known, kernel, "same")
    start, stop = longest_failure(answers.outcome, answers.query.route_rows)
    length = None
    if result.units == "metres":
        steps = np.diff(answers.query.positions[start:stop][answers.placed[start:stop]], axis=0)
        length = float(np.linalg.norm(steps, axis=1).sum())
    return Route(window, recall, (start, stop), length)


def longest_failure(outcome: np.ndarray, rows: np.ndarray) -> tuple[int, int]:
    """The longest run of consecutive queries without a right first match, as a half-open range.

    Queries without a positive neither lengthen nor end a run; a gap in ``rows`` (M,) ends one.
    """
    best, best_count = (0, 0), 0
    start, count, last = None, 0, 0
    for i, what in enumerate(outcome):
        if what == RIGHT or (i and rows[i] != rows[i - 1] + 1):
            start, count = None, 0
        if what not in (RIGHT, NO_POSITIVE):
            start = i if start is None else start
            count, last = count + 1, i
            if count > best_count:
                best, best_count = (start, last + 1), count
    return best


def failure_text(found: Route, outcome: np.ndarray, units: str) -> str:
    """The longest failure in words."""
    start, stop = found.failure
    count = int((outcome[start:stop] != NO_POSITIVE).sum())
    if not count:
        return "no query failed"
    text = f"{count} {'query' if count == 1 else 'queries'} in a row"
    if found.failure_length:
        length = found.failure_length
        return f"{text}, {length / 1000:.1f} km" if length >= 2000 else f"{text}, {length:.0f} {unit(length, units)}"
    return text
