"""Options of ``--mode test``."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from opticornet.datasets.descriptors.local_files import LocalSource
from opticornet.evaluation.answer_files import ANSWER_FORMATS, SUFFIXES
from opticornet.evaluation.answering.paces import FASTEST, PACE_COST
from opticornet.evaluation.protocols import PROTOCOLS
from opticornet.matching.rerankers import RERANKERS
from opticornet.matching.sequences import SEQUENCE_MATCHERS
from opticornet.options.shared import MATCHED, MethodOptions
from opticornet.utils.errors import UserError
from opticornet.utils.options import option
from opticornet.utils.registry import entry


@dataclass(frozen=True, kw_only=True)
class TestOptions(MethodOptions):
    """``--mode test``: encode, retrieve, re-rank, score, save."""

    __test__ = False  # not a test class, whatever pytest makes of its name

    splits: tuple[str, ...] = option(
        "--split", ("test",), "splits to score, a result each; all: every one but train; test: also all test-NAME"
    )
    ckpt: str = option("--ckpt", "best", "which checkpoint of the run", choices=("best", "latest"))
    index: str = option("--index", "Flat", "faiss index_factory string; Flat is exact")
    nprobe: int = option("--nprobe", 0, "lists of an IVF index that are visited per query; 0: a sixteenth of them")
    map_paces: tuple[float, ...] = option(
        "--mapPaces",
        (1.0,),
        "encode each place of the map as at these speeds, too, e.g. 0.5 2 0: slower, faster, standing; -1: backwards; "
        "1, as recorded, is always among them",
        minimum=-math.inf,
    )
    pace_cost: float = option(
        "--paceCost", PACE_COST, "share of its distance that a place costs per doubling or halving of its pace"
    )
    matcher: str = option("--matcher", "diagonal", "sequence matcher", choices=SEQUENCE_MATCHERS)
    match_memory_mib: int = option("--matchMemory", 1024, "memory that re-ranking may fill, in MiB", minimum=1)
    direction: Literal["forward", "reverse", "both"] = option(
        "--direction",
        "forward",
        "how the queries' route was driven: as the references', the other way, or whichever matches a query better",
        choices=("forward", "reverse", "both"),
    )
    reverse: bool = option("--reverse", False, "same as --direction reverse")
    rerank: str = option(
        "--rerank",
        "",
        "re-order the candidates by sequence matching, or by local features (extract --local)",
        choices=RERANKERS,
    )
    top_k: int = option("--topK", 20, "candidates to re-rank; by default no more than there are references", minimum=1)
    predictions_file: str = option(
        "--predictionsFile", "", "re-rank the predictions of this results file instead", path=()
    )
    no_positive: Literal["drop", "count"] = option(
        "--noPositive", "drop", "queries without a reference in the radius", choices=("drop", "count")
    )
    equal_windows: Literal["one", "each"] = option(
        "--equalWindows",
        "one",
        "references whose windows hold the same frames, as at a sequence's ends: one answer, or each judged alone",
        choices=("one", "each"),
    )
    recall_at: tuple[int, ...] = option(
        "--recallAt", (1, 5, 10, 20, 100), "the K of recall@K; 1 is always among them", minimum=1
    )
    radii: tuple[float, ...] = option("--radii", (1, 5, 10, 20, 40, 100, 200), "radii of the recall table")
    bootstrap: int = option("--bootstrap", 1000, "resamplings for the 95 %% intervals; 0: no intervals")
    no_answer: str = option(
        "--noAnswer", "", "no answer above a distance: val chooses it on the val split; or the distance itself"
    )
    answer_precision: float = option("--precision", 0.0, "precision that --noAnswer val reaches; 0: the best F1")
    answers: str = option("--answers", "", "also write the answers to this file; {split} stands for the split")
    answers_format: str = option(
        "--answersFormat", "", "format of --answers; default by its ending, .csv or .tum", choices=ANSWER_FORMATS
    )
    answers_top_k: int = option("--answersTopK", 20, "answers per query that --answers holds", minimum=1)
    stress: bool = option(
        "--stress",
        False,
        "also the recalls where the queries' drive is faster, slower, reversed, stops or loses frames",
    )
    latency_queries: int = option("--latencyQueries", 50, "queries timed one at a time; 0: none")
    results_path: str = option("--resultsPath", "", "folder for predictions (.npz) and result record (.json)")
    extract_only: bool = option(
        "--extractOnly", False, "only write encodings and ground truth to --resultsPath (seqNet's dbDesc, qDesc, gt)"
    )
    projector: int = option("--projector", 0, "embeddings of this many places for TensorBoard's projector")
    label: str = option(
        "--label", "", "what tables and curves call this result; else by what differs between those shown"
    )
    report: str = option("--report", "", "also write a report of this result to this folder")

    def __post_init__(self) -> None:
        if not self.splits:
            raise UserError("`splits`: wanted the name of a split, or all")
        if any(abs(pace) > FASTEST for pace in self.map_paces):
            raise UserError(f"`map_paces` {_in_words(self.map_paces)}: wanted paces from -{FASTEST} to {FASTEST}")
        if not self.radii:
            raise UserError("`radii`: wanted radii of 0 or more")
        if self.no_answer not in ("", "val") and not math.isfinite(_number_or_nan(self.no_answer)):
            raise UserError(f"`no_answer` {self.no_answer}: wanted val, or a distance")
        if self.answer_precision > 1:
            raise UserError(f"`answer_precision` {self.answer_precision:g}: wanted a share, at most 1")
        if self.reverse and "direction" in self.given and self.direction != "reverse":
            raise UserError(f"`reverse` contradicts `direction` {self.direction}; leave one out")

    def completed(self) -> Self:
        """With the direction that ``reverse`` is short for, and the format that the ending of the answers says."""
        options = super().completed()
        if options.reverse:
            options = replace(options, direction="reverse")
        if not options.answers or options.answers_format:
            return options
        suffix = Path(options.answers).suffix.lower()
        if suffix not in SUFFIXES:
            raise UserError(
                f"`answers` {options.answers}: the ending does not say a format; give `answers_format` "
                f"{', '.join(ANSWER_FORMATS)}"
            )
        return replace(options, answers_format=SUFFIXES[suffix])

    @property
    def method_name(self) -> str:
        return f"{self.pooling}-{self.rerank}" if self.rerank else self.pooling

    @property
    def ks(self) -> tuple[int, ...]:
        """The K of recall@K, rising; 1 is among them, which intervals, curves and reports are of."""
        return tuple(sorted({1, *self.recall_at}))

    @property
    def split(self) -> str:
        """The split, where there is one."""
        return self.splits[0]

    @property
    def name_ending(self) -> str:
        return "_".join(filter(None, (self.exp_name, "" if self.split == "test" else self.split)))

    def for_split(self, name: str) -> Self:
        """The same test of one of its splits."""
        return replace(self, splits=(name,))

    @property
    def searches(self) -> bool:
        """Whether sequence descriptors are searched; otherwise frames are matched."""
        return self.pooling not in MATCHED

    @property
    def paces(self) -> tuple[float, ...]:
        """At which the map is encoded, first as it was recorded."""
        return tuple(dict.fromkeys((1.0, *self.map_paces)))

    @property
    def compares(self) -> str:
        """What the re-ranker compares; empty where nothing is re-ranked."""
        return self.part("rerank").compares if self.rerank else ""

    def source(self) -> dict[str, Any]:
        if self.compares != "local features":
            return super().source()
        reranker = self.part("rerank")
        return super().source() | {"local": LocalSource(reranker.local_store, reranker.local_features)}

    def windowing(self) -> dict[str, Any]:
        return super().windowing() | {"either_way": self.direction != "forward"}

    @property
    def longest_window(self) -> int:
        """Frames of the longest window, of the method or of what re-ranks."""
        return max(self.sequence_length, self.rerank_window)

    @property
    def rerank_window(self) -> int:
        """Frames that re-ranking compares on either side; 0 without re-ranking."""
        return self.part("rerank").window_length(self.sequence_length) if self.rerank else 0

    @property
    def matches_frames(self) -> bool:
        """Whether frames are matched, for the answer or to re-rank it."""
        return not self.searches or self.compares in ("raw frames", "described frames")

    @property
    def describes_to_rerank(self) -> bool:
        """Whether re-ranking compares what a second encoder describes."""
        return self.compares in ("described frames", "described windows")

    @property
    def reads_descriptors(self) -> bool:
        """Whether frame descriptors are read: by the method, or to re-rank."""
        return super().reads_descriptors or self.matches_frames or self.describes_to_rerank

    @property
    def sees_order(self) -> bool:
        """Whether windows of several frames are compared, in whose order the direction shows."""
        compared = self.rerank_window if self.rerank else self.sequence_length
        if (self.rerank or self.matches_frames) and compared > 1:
            return True
        return self.searches and self.sequence_length > 1 and self.part("pooling").sees_order

    @property
    def multiplies(self) -> bool:
        """Whether an encoder computes matrix products."""
        if self.pooling in MATCHED:
            return self.pooling == "s1+seqmatch"
        return self.part("pooling").multiplies or self.describes_to_rerank

    def unused(self) -> dict[str, str]:
        reasons = super().unused()
        if self.compares:
            reasons.pop("other_descriptors", None)
        if self.compares == "described frames":  # those of images perhaps
            reasons.pop("crop", None)
        if self.searches:
            reasons["predictions_file"] = f"it is re-ordered by `pooling` {' or '.join(MATCHED)}, not {self.pooling}"
        else:
            reasons |= dict.fromkeys(("index", "nprobe"), f"no descriptors are searched; {self.pooling} matches frames")
            reasons["rerank"] = f"it re-orders what a descriptor found; {self.pooling} already matches frames"
            reasons["extract_only"] = f"it writes sequence descriptors; {self.pooling} has none"
            reasons["projector"] = f"it shows sequence descriptors; {self.pooling} has none"
        if self.compares == "described windows":
            reasons["matcher"] = "windows are compared as they are encoded; `rerank_by` frames matches their frames"
        elif not self.matches_frames:
            reasons["matcher"] = "no frames are matched"
            if not self.rerank:
                reasons["match_memory_mib"] = "no frames are matched"
        if not self.sees_order:
            reasons |= dict.fromkeys(("direction", "reverse"), "single frames are compared, and they have no direction")
        if not self.searches:
            reasons["map_paces"] = "frames are matched; a `matcher` such as seqslam does so at other speeds"
        elif self.pooling == "single" or self.sequence_length == 1:
            reasons["map_paces"] = "single frames are searched, which are the same at any pace"
        if entry(PROTOCOLS, self.protocol).has_windows:
            as_recorded = f"`protocol` {self.protocol} takes drives as they were recorded"
            reasons |= dict.fromkeys(("direction", "reverse", "map_paces", "stress"), as_recorded)
        if len(self.paces) == 1 or "map_paces" in reasons:
            reasons["pace_cost"] = "the map has no other pace than 1; `map_paces` gives it some"
        if self.longest_window == 1:
            reasons["equal_windows"] = "windows of one frame are never the same"
        if not self.multiplies:
            reasons["amp"] = "no encoder computes matrix products"
        if self.searches and not (self.resume or self.results_path):
            reasons["projector"] = "nothing is kept to show it in; give `results_path`"
        if self.longest_window == 1 or (self.pooling == "single" and self.rerank_window <= 1):
            reasons["stress"] = "single frames are compared, which are the same at any speed"
        if self.predictions_file:
            reasons["stress"] = "the candidates of `predictions_file` are those of the drive as it was recorded"
        if not self.rerank and not self.predictions_file:
            reasons["top_k"] = "nothing is re-ranked; `rerank` does"
        if "IVF" not in self.index:
            reasons["nprobe"] = f"an index {self.index} has no lists; IVF ones have"
        if not self.answers:
            reasons |= dict.fromkeys(("answers_format", "answers_top_k"), "no answers are written; `answers` does")
        if self.no_answer != "val":
            reasons["answer_precision"] = "no threshold is chosen; `no_answer` val does"
        if self.extract_only:
            scored = (
                *(
                    "rerank",
                    "top_k",
                    "index",
                    "nprobe",
                    "map_paces",
                    "pace_cost",
                    "no_positive",
                    "equal_windows",
                    "radii",
                    "bootstrap",
                    "latency_queries",
                    "stress",
                ),
                *("recall_at", "no_answer", "answer_precision", "answers", "answers_format", "answers_top_k", "label"),
            )
            reasons |= dict.fromkeys((*scored, "projector", "report"), "descriptors are written, nothing is scored")
        if not self.resume and not getattr(self.part("rerank") if self.rerank else None, "rerank_resume", ""):
            reasons["ckpt"] = "no weights are loaded"
        return reasons


def _in_words(numbers: tuple[float, ...]) -> str:
    return " ".join(f"{number:g}" for number in numbers)


def _number_or_nan(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
