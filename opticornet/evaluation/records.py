"""The result record: every number beside what it means.

``<name>.json`` holds the record, ``<name>.npz`` beside it the predictions it was computed from (seqNet's keys and
ours, see ``docs/protocols.md``); both are written by :func:`save_result`.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from opticornet.datasets.descriptors.identity import DescriptorIdentity
from opticornet.inference.load import WeightsRecord
from opticornet.utils.errors import UserError
from opticornet.utils.files import atomic_path, write_json, writing

FORMAT = 1
UNSTEADY = 3.0  # p95 over median of a latency from which on it is marked
_RENAMED: dict[str, str] = {
    "peak_memory_mb": "peak_memory_mib"
}  # fields that earlier versions wrote under another name


@dataclass(frozen=True)
class FileRecord:
    """A file that shaped the result."""

    path: str
    sha256: str


@dataclass(frozen=True)
class DriveRecord:
    """One of several drives of a side."""

    name: str
    source: str  # as of the side
    frames: int
    kept: int
    descriptors: DescriptorIdentity | None = None


@dataclass(frozen=True)
class SideRecord:
    """One traverse of the split, or several one after the other."""

    name: str
    source: str  # of the descriptors; of the images where the method took those
    frames: int
    kept: int  # windows that take part
    descriptors: DescriptorIdentity | None = None  # None: no ``.json`` beside them; of several drives the first known
    scored: int = 0  # frames that were to be queries or places
    without_position: int = 0  # of all frames
    unusable: int = 0  # of all frames, those that were filled not among them
    filled: int = 0  # from their neighbours
    over_jumps: int = 0  # windows that reach over a jump of their drive
    drives: tuple[DriveRecord, ...] = ()  # where there are several


@dataclass(frozen=True)
class AdaptationRecord:
    """How each traverse's frame descriptors were centred: the map's by their own mean."""

    by: str  # of queries: "running", the mean of the frames so far; "traverse", of the whole drive
    looks_ahead: bool  # later frames shaped a query's
    scale: bool  # also divided by the standard deviation
    begun_from: str  # of "running": "queries of train" or "the map's mean"; else ""
    begun_with: int  # frames that it counts for; 0 of "traverse"

    @property
    def label(self) -> str:
        """What the label of a result says of it."""
        text = "adapted, scaled" if self.scale else "adapted"
        return f"{text}, looking ahead" if self.looks_ahead else text


@dataclass(frozen=True)
class DataRecord:
    """What was searched for what."""

    dataset: str
    split: str
    reference: SideRecord
    query: SideRecord
    dims: int  # D, of the frame descriptors; 0 where the method took images
    units: str  # of positions, radii and errors: "metres" or "frames"
    positive_radius: float | None  # None: a table of positives decides, or nothing does
    options: dict[str, Any]  # the data options, by flag
    frames: str = "descriptors"  # or "images": what the method took
    descriptor_differences: tuple[str, ...] = ()  # in what made frame descriptors; `other_descriptors` insisted
    adaptation: AdaptationRecord | None = None  # None: frame descriptors as they are
    truth: str = ""  # what says which answers are right: "radius", "table" or "none"; "" in earlier versions


@dataclass(frozen=True)
class RerankWeightRecord:
    """The weight of the searched distance in a re-ranked one, and how it was chosen."""

    weight: float  # 0, the second stage alone (SeqNet's), to 1, the first alone
    chosen_on: tuple[str, ...] = ()  # the splits it was chosen on; none where it was given, or could not be chosen
    criterion: str = "given"  # or what it was chosen for, or why it could not be
    measured: dict[str, float] = field(default_factory=dict)  # weight -> the criterion there: both stages, the best


@dataclass(frozen=True)
class LocalFeaturesRecord:
    """The local features of a frame that re-ranked the candidates."""

    features: int  # rows of a frame that were read
    channels: int
    dtype: str  # as stored
    bytes_per_frame: int  # that were read


@dataclass(frozen=True)
class MethodRecord:
    """How a window became an answer."""

    label: str  # what tables and curves call it, e.g. "dsdnet S5, re-ranked by s1+seqmatch L5"
    pooling: str
    sequence_length: int
    filter_length: int
    out_dims: int  # of the searched descriptor; 0 where frames are matched without one
    index: str
    matcher: str  # of frames; "encoder" where windows were compared as it encodes them; "" where neither took part
    matcher_options: dict[str, Any]
    rerank: str  # "" or the method that re-ordered the candidates
    rerank_length: int
    top_k: int  # candidates re-ordered; 0 without re-ranking
    weights: WeightsRecord | None
    rerank_weights: WeightsRecord | None
    amp: bool  # matrix products in bfloat16
    index_settings: dict[str, int]  # nlist and nprobe, or efSearch, of an approximate index; else empty
    predictions: FileRecord | None  # the results file whose candidates were re-ordered; None: they were searched
    direction: str = "forward"  # of the queries: "forward", "reverse" or "both", whichever matched better
    map_paces: tuple[float, ...] = (1.0,)  # times as fast as recorded, at which the searched map was encoded
    pace_cost: float | None = None  # share of a distance per doubling of the pace; None: of one pace
    rerank_weight: RerankWeightRecord | None = None  # None: no searched distance takes part in the order
    local_features: LocalFeaturesRecord | None = None  # None: none were compared
    backwards: float = 0.0  # share of the queries whose windows were read backwards


@dataclass(frozen=True)
class ProtocolRecord:
    """How queries were counted."""

    no_positive: str  # "drop" or "count"
    queries: int
    counted: int
    without_positive: int
    ks: list[int]
    window_rule: str
    seed: int
    bootstrap_samples: int
    bootstrap_block: int  # neighbouring counted queries that are drawn together; 0 without intervals
    chance: float | None = None  # recall@1 of references drawn at random; None where no query is counted
    equal_windows: str = "each"  # references with the same window: "one" answer, or "each" (in earlier versions)
    name: str = "opticornet"  # or whose released code windows are cut and judged as


@dataclass(frozen=True)
class Latency:
    """Milliseconds per query, timed one query at a time."""

    median: float
    p95: float

    @property
    def unsteady(self) -> bool:
        """Whether the slowest queries took so much longer that the median may be another one next time."""
        return self.p95 > UNSTEADY * self.median


@dataclass(frozen=True)
class TimingRecord:
    """Seconds of the whole steps, and latencies of single queries (absent where not measured)."""

    encode_reference_s: float  # by the method and, where it is another, by the encoder of matched frames
    encode_query_s: float
    search_s: float
    rerank_s: float
    latency_ms: dict[str, Latency]  # "encode", "search", "rerank", "total"
    latency_queries: int  # queries behind each latency; 0: not measured
    device: str
    processor: str  # name of the GPU, or of the CPU
    threads: int  # of the whole steps
    latency_threads: int = 0  # of the latencies; 0 in earlier versions: as many as of the whole steps


@dataclass(frozen=True)
class AnsweredRecord:
    """How queries fare by a threshold; what needs ground truth is None without, a share of nothing as well."""

    answered: int
    refused: int
    right: int | None = None  # answered, rightly
    wrong: int | None = None  # answered wrongly, though their place is in the map
    wrong_without_place: int | None = None  # answered, though their place is not in the map
    refused_with_place: int | None = None
    refused_without_place: int | None = None  # rightly
    precision: float | None = None  # right answers among all answers
    recall: float | None = None  # right answers among the queries with a place in the map
    f1: float | None = None
    rejection_recall: float | None = None  # share of the queries without a place that were refused


@dataclass(frozen=True)
class NoAnswerRecord:
    """When a query has no answer: where its best distance is above the threshold."""

    threshold: float
    chosen_on: str  # the split it was chosen on; "" where it was given
    criterion: str  # "best F1", "precision of at least 0.99" or "given"
    chosen: AnsweredRecord | None  # how that split's queries fare by it
    tested: AnsweredRecord  # how those of the tested split fare


@dataclass(frozen=True)
class ResultRecord:
    """A test's outcome and everything that shaped it."""

    data: DataRecord
    method: MethodRecord
    protocol: ProtocolRecord
    recall: dict[str, float]  # "1", "5", ... -> recall@K at the split's radius; empty where no query is counted
    recall_interval: dict[str, list[float]]  # 95 % bootstrap, [low, high]
    recall_before_rerank: dict[str, float]  # of the candidates; empty without re-ranking
    recall_exact_index: dict[str, float]  # of exact search, where an approximate index answered; else empty
    recall_at_radius: dict[str, dict[str, float]]  # radius -> K -> recall; empty where a radius counts no query
    counted_at_radius: dict[str, int]  # radius -> queries counted there
    average_precision: float | None  # area under precision-recall; None where no query has a positive
    recall_at_full_precision: float | None
    timing: TimingRecord
    peak_memory_mib: float  # of the process since the method's work began, in the computer's memory
    options: dict[str, Any]  # every option of the test, by flag
    plugins: list[FileRecord]  # that were loaded, of the test and of the runs it took weights from
    versions: dict[str, str]
    created: str  # local time, ISO 8601
    predictions: str  # file name of the .npz beside the record
    baseline_memory_mib: float | None = None  # of the process before the method's work, data opened and checked
    added_memory_mib: float | None = None  # by which the method, not its scoring, raised the peak; of the first split
    place_auc: float | None = None  # of telling queries with and without a place apart by their best distance
    no_answer: NoAnswerRecord | None = None  # None: every query is answered
    recall_per_drive: dict[str, dict[str, float]] = field(default_factory=dict)  # of several query drives: as `recall`
    counted_per_drive: dict[str, int] = field(default_factory=dict)  # queries counted of each
    recall_each: dict[str, float] = field(
        default_factory=dict
    )  # as `recall`, every reference judged for itself (SeqNet)
    stress: dict[str, dict[str, float]] = field(default_factory=dict)  # condition -> K -> recall; empty: not measured
    format: int = FORMAT


def save_result(record: ResultRecord, arrays: dict[str, np.ndarray], folder: Path, name: str) -> Path:
    """Write ``name.npz`` and ``name.json`` below ``folder``; returns the record's path.

    Where a result of that name exists (two tests within a second), the name ends in ``-2`` and so on.

    Raises:
        UserError: the folder is not writable, or the disk is full.
    """
    path = _reserved(folder, name)
    try:
        with atomic_path(path.with_suffix(".npz")) as temporary, open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        write_json(path, asdict(replace(record, predictions=f"{path.stem}.npz")))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _reserved(folder: Path, name: str) -> Path:
    """An empty ``.json`` of that name, or of the first free one after it."""
    for number in range(1, 10_000):
        path = folder / (f"{name}.json" if number == 1 else f"{name}-{number}.json")
        with writing(path):
            folder.mkdir(parents=True, exist_ok=True)
            if path.with_suffix(".npz").exists():
                continue
            with suppress(FileExistsError), open(path, "x"):
                return path
    raise UserError(f"{folder} holds too many results named {name}; choose another `results_path`")


def load_record(path: Path) -> dict[str, Any]:
    """A result record as the plain dict its JSON is, fields of earlier versions by their names of today.

    Raises:
        UserError: not a record, or one of a newer format.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such result record; a test writes them to `results_path`") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a readable result record: {error}") from error
    if not isinstance(record, dict) or "recall" not in record or "format" not in record:
        raise UserError(f"{path} is not a result record: wanted the .json that a test writes to `results_path`")
    if type(record["format"]) is not int:
        raise UserError(f"{path} is not a result record: its format is {record['format']!r}, wanted a number")
    if record["format"] > FORMAT:
        raise UserError(f"{path} has format {record['format']}, newer than {FORMAT}; update the program to read it")
    return {_RENAMED.get(str(name), str(name)): value for name, value in record.items()}
