"""Result records and their arrays as reports read them: what an older or damaged one lacks is noted, not fatal."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from opticornet.datasets.positives import Positives
from opticornet.datasets.windows import window_starts
from opticornet.evaluation.ground_truth import GroundTruth
from opticornet.evaluation.records import load_record
from opticornet.reports.labels import labels
from opticornet.utils.array_files import read_npz
from opticornet.utils.errors import UserError

RIGHT, CLOSE, WRONG, NO_POSITIVE = range(4)
OUTCOMES = ("right", "close", "wrong", "no positive")
CLOSE_RANK = 5  # a wrong first match is "close" where a right place is among this many

_NEEDED = ("preds", "distances", "errors", "correct", "counted", "hasPositive")
_PLACES = ("referencePositions", "queryPositions", "referenceRows", "queryRows")


@dataclass(frozen=True)
class Side:
    """The windows of one side.

    Attributes:
        rows: (N,) int64 row of each window's frame in its traverse's cut.
        starts: (N,) int64 row of each window's first frame.
        positions: (N, P) float64.
        lat_lon: (N, 2) degrees, or None.
        names: (N,) unicode, or None.
        images: (N,) unicode paths, or None.
        drives: (N,) unicode name of each one's drive, or None where there is one.
        other_images: paths by row of frames that windows hold and that have no window of their own, as far as known.
    """

    rows: np.ndarray
    starts: np.ndarray
    positions: np.ndarray
    lat_lon: np.ndarray | None
    names: np.ndarray | None
    images: np.ndarray | None
    drives: np.ndarray | None = None
    other_images: dict[int, str] = field(default_factory=dict)

    @property
    def images_by_row(self) -> dict[int, str]:
        """Path of each frame's image, by its row; empty where they are not known."""
        own = () if self.images is None else zip(self.rows.tolist(), self.images.tolist(), strict=True)
        return self.other_images | dict(own)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def route_rows(self) -> np.ndarray:
        """(N,) int64: ``rows``, which do not go on from one drive to the next."""
        if self.drives is None:
            return self.rows
        return self.rows + np.concatenate([[0], np.cumsum(self.drives[1:] != self.drives[:-1])])

    def row_names(self, windows: np.ndarray) -> list[str]:
        """What the rows of some windows (n,) are called: their numbers, behind their drive where there are several."""
        rows = self.rows[windows].tolist()
        if self.drives is None:
            return list(map(str, rows))
        return [f"{drive}:{row}" for drive, row in zip(self.drives[windows].tolist(), rows, strict=True)]


@dataclass(frozen=True)
class Answers:
    """What was answered to each query, checked to be of one shape.

    Attributes:
        predictions: (M, K) int64 reference windows, -1 where nothing was found.
        distances: (M, K) float32.
        errors: (M, K) float64, infinite where nothing was found.
        correct: (M, K) bool.
        counted, has_positive: (M,) bool.
        candidates: (M, topK) int64 before re-ranking, or None.
        reference, query: the two sides.
        positives: the correct references of each query, or None where a radius decides.
        query_sequences: (M,) int64 number of each query's sequence, or None where an older record lacks it.
        has_truth: which answers are right is known.
        refused: (M,) bool, the method said "no answer", or None where it never does.
        confidence: (M,) float64 of the first answers, or None where it was not measured.
    """

    predictions: np.ndarray
    distances: np.ndarray
    errors: np.ndarray
    correct: np.ndarray
    counted: np.ndarray
    has_positive: np.ndarray
    candidates: np.ndarray | None
    reference: Side
    query: Side
    positives: Positives | None
    query_sequences: np.ndarray | None = None
    has_truth: bool = True
    refused: np.ndarray | None = None
    confidence: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.predictions)

    @cached_property
    def placed(self) -> np.ndarray:
        """(M,) bool: queries whose position is known."""
        return np.isfinite(self.query.positions).all(axis=1)

    @cached_property
    def first_right_rank(self) -> np.ndarray:
        """(M,) int64 rank, from 1, of the first right place; 0 where none is among the K."""
        return np.where(self.correct.any(axis=1), self.correct.argmax(axis=1) + 1, 0)

    @cached_property
    def outcome(self) -> np.ndarray:
        """(M,) RIGHT, CLOSE (a right place in the first five), WRONG or NO_POSITIVE."""
        rank = self.first_right_rank
        answer = np.where(rank == 1, RIGHT, np.where((rank > 0) & (rank <= CLOSE_RANK), CLOSE, WRONG))
        return np.where(self.has_positive, answer, NO_POSITIVE)

    @cached_property
    def nearest(self) -> np.ndarray:
        """(M,) int64 reference window nearest to the query's place, or the middle one that is listed for it; -1 where
        none is known."""
        if not self.has_truth or (self.positives is None and not self.placed.all()):
            return np.full(len(self), -1)
        return GroundTruth(self.reference.positions, self.query.positions, self.positives).nearest_reference


@dataclass(frozen=True)
class Result:
    """One record, the arrays behind it where they are still there, and notes for the reader.

    Attributes:
        path: of the record.
        record: the record's JSON.
        name: what tables and curves call it; unique among the results read together.
        answers: None where the arrays are missing or do not fit.
        curve: (3, T) precision, recall, threshold; None where absent.
        notes: what is missing and why, one sentence each.
    """

    path: Path
    record: dict[str, Any]
    name: str
    answers: Answers | None
    curve: np.ndarray | None
    notes: tuple[str, ...]

    def get(self, *keys: str, default: Any = None) -> Any:
        """``record[keys[0]][keys[1]]...``, or ``default`` where an older record lacks it."""
        value: Any = self.record
        for key in keys:
            if not isinstance(value, dict) or value.get(key) is None:
                return default
            value = value[key]
        return value

    def need_answers(self, purpose: str) -> Answers:
        """The answers.

        Raises:
            UserError: the arrays are missing or do not fit, which ``purpose`` needs.
        """
        if self.answers is None:
            raise UserError(f"{self.path}: {'; '.join(self.notes)}; {purpose} needs the arrays")
        return self.answers

    @property
    def dataset(self) -> str:
        """Dataset and split, for titles."""
        return f"{self.get('data', 'dataset', default='unknown dataset')} ({self.get('data', 'split', default='?')})"

    @property
    def units(self) -> str:
        return self.get("data", "units", default="units")

    @property
    def length(self) -> int:
        """Frames per window."""
        return int(self.get("method", "sequence_length", default=1))

    def recall(self, k: int) -> float | None:
        """Recall@``k``; None where it was not counted."""
        value = self.get("recall", str(k))
        return None if value is None else float(value)


def read_results(paths: tuple[str, ...] | list[Path], given: tuple[str, ...] = ()) -> tuple[list[Result], list[str]]:
    """The readable records among ``paths``, and a sentence about each that is not. A folder stands for the ``.json``
    files in it. ``given`` are their labels, one each; without any they are called by what differs between them.

    Raises:
        UserError: none is readable, none was named, or there are more or fewer labels.
    """
    if not paths:
        raise UserError("no result records named; give `results` with the .json files that a test wrote")
    results, failures = [], []
    for path in _files(paths):
        try:
            results.append(read_result(path))
        except UserError as error:
            failures.append(str(error))
    if not results:
        raise UserError(failures[0] if len(failures) == 1 else f"no readable result record: {'; '.join(failures)}")
    if given and len(given) != len(results):
        files = ", ".join(result.path.name for result in results)
        raise UserError(f"`label`: {len(given)} labels for {len(results)} results ({files}); wanted one each, in order")
    names = given or labels([result.record for result in results], [result.path.stem for result in results])
    return [replace(result, name=name) for result, name in zip(results, names, strict=True)], failures


def _files(paths: tuple[str, ...] | list[Path]) -> list[Path]:
    """Each file once, folders replaced by their records.

    Raises:
        UserError: a folder holds none.
    """
    files: dict[Path, None] = {}
    for path in map(Path, paths):
        inside = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"no result record (.json) in {path}: a test with `results_path` {path} writes them there")
        files |= dict.fromkeys(inside)
    return list(files)


def read_result(path: Path) -> Result:
    """One record with its arrays.

    Raises:
        UserError: the record itself is not readable.
    """
    record = load_record(path)
    if not isinstance(record["recall"], dict):
        raise UserError(f"{path} is not a result record: its recall is not an object of K to recall")
    arrays, notes = _read_arrays(path.parent / Path(str(record.get("predictions", ""))).name, path)
    answers = None
    if not notes:
        answers, notes = _answers(arrays, record, path)
    label = _nested(record, "method", "label") or path.stem
    return Result(path, record, str(label), answers, _curve(arrays), tuple(notes))


def _read_arrays(path: Path, record_path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays of an .npz; beside a renamed record they are looked for under its name."""
    if not path.is_file():
        path = record_path.with_suffix(".npz")
    try:
        return read_npz(path), []
    except UserError as error:
        reason = "is missing" if not path.exists() else f"is damaged ({error})"
        return {}, [f"{path.name} {reason}: no map, route, matrix or atlas"]


def _answers(arrays: dict[str, np.ndarray], record: dict[str, Any], path: Path) -> tuple[Answers | None, list[str]]:
    """The arrays as :class:`Answers`, or why they are not."""
    lacking = [key for key in (*_NEEDED, *_PLACES) if key not in arrays]
    if lacking:
        return None, [f"{path.name} is of an older version without {', '.join(lacking)}: no map, route or atlas"]
    predictions = arrays["preds"]
    if predictions.ndim != 2 or not predictions.size:
        return None, [f"{path.name} holds no predictions: no map, route or atlas"]
    queries = len(predictions)
    fits = all(arrays[key].shape == predictions.shape for key in ("distances", "errors", "correct")) and all(
        len(arrays[key]) == queries
        for key in ("counted", "hasPositive", "queryPositions", "queryRows", "querySequences", "noAnswer", "confidence")
        if key in arrays
    )
    listed = _positives(arrays)
    fits = fits and (listed is None or len(listed) == queries)
    fits = fits and all(
        len(arrays.get(f"{side}OtherRows", ())) == len(arrays.get(f"{side}OtherImages", ()))
        for side in ("reference", "query")
    )
    fits = fits and predictions.max() < len(arrays["referencePositions"]) == len(arrays["referenceRows"])
    if not fits:
        return None, [f"the arrays beside {path.name} are of different lengths: no map, route or atlas"]
    length = int(_nested(record, "method", "sequence_length") or 1)
    sides = [_side(arrays, name, length, _nested(record, "data", name, "frames")) for name in ("reference", "query")]
    return Answers(
        predictions=predictions,
        distances=arrays["distances"],
        errors=arrays["errors"],
        correct=arrays["correct"],
        counted=arrays["counted"],
        has_positive=arrays["hasPositive"],
        candidates=arrays.get("candidates"),
        reference=sides[0],
        query=sides[1],
        positives=listed,
        query_sequences=arrays.get("querySequences"),
        has_truth=_nested(record, "data", "truth") != "none",
        refused=arrays.get("noAnswer"),
        confidence=arrays.get("confidence"),
    ), []


def _positives(arrays: dict[str, np.ndarray]) -> Positives | None:
    if "positives" in arrays:  # an older record: one half-open range per query
        return Positives.of_ranges(arrays["positives"])
    if "positiveOffsets" in arrays:
        return Positives(arrays["positiveOffsets"], arrays.get("positiveRows", np.empty(0, np.int64)))
    return None


def _side(arrays: dict[str, np.ndarray], name: str, length: int, frames: int | None) -> Side:
    rows = arrays[f"{name}Rows"]
    starts = arrays.get(f"{name}Starts")
    if starts is None:  # an older record: as if its traverse were one sequence
        bounds = np.array([[0, frames or int(rows.max(initial=0)) + 1]])
        starts = window_starts(rows, np.repeat(bounds, len(rows), axis=0), length)
    return Side(
        rows=rows,
        starts=starts,
        positions=arrays[f"{name}Positions"].reshape(len(rows), -1),
        lat_lon=arrays.get(f"{name}LatLon"),
        names=arrays.get(f"{name}Names"),
        images=arrays.get(f"{name}Images"),
        drives=arrays.get(f"{name}Drives"),
        other_images=dict(
            zip(*(arrays.get(f"{name}Other{what}", np.empty(0)).tolist() for what in ("Rows", "Images")), strict=True)
        ),
    )


def _curve(arrays: dict[str, np.ndarray]) -> np.ndarray | None:
    if not all(key in arrays and arrays[key].size for key in ("precision", "recall", "thresholds")):
        return None
    return np.stack([arrays[key].astype(np.float64) for key in ("precision", "recall", "thresholds")])


def _nested(record: dict[str, Any], *keys: str) -> Any:
    value: Any = record
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
