"""From an answer to a result record: recalls, curves, intervals, latencies."""

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch

from opticornet.datasets.identity import DescriptorIdentity
from opticornet.datasets.traverse import FrameKind
from opticornet.datasets.windows import Windows
from opticornet.evaluation import records
from opticornet.evaluation.answers import KS, Answer
from opticornet.evaluation.metrics import (
    PrecisionRecall,
    block_length,
    precision_recall,
    recall_at,
    recall_at_radii,
    recall_intervals,
)
from opticornet.evaluation.no_answer import NoAnswer, answered, place_auc
from opticornet.evaluation.notes import over_jumps
from opticornet.evaluation.scene import Scene
from opticornet.matching.ranking import Ranking
from opticornet.utils.device import peak_memory_mib, processor_name
from opticornet.utils.files import full_path
from opticornet.utils.versions import versions

_DRAWN = 16  # random references per query that tell what chance reaches


@dataclass(frozen=True)
class ScoreSettings:
    """How queries are counted.

    Attributes:
        no_positive: "drop" queries without a reference within the radius, or "count" them as failures.
        radii: of the recall table, in the split's units.
        bootstrap: resamplings behind the intervals; 0: no intervals.
        seed: of the resamplings.
        longest_window: frames that the longest window of the method has: no block of an interval is shorter.
        ks: the K of recall@K, rising from 1; those above the references are left out.
    """

    no_positive: Literal["drop", "count"] = "drop"
    radii: tuple[float, ...] = (1.0, 5.0, 10.0, 20.0, 40.0, 100.0, 200.0)
    bootstrap: int = 1000
    seed: int = 123
    longest_window: int = 1
    ks: tuple[int, ...] = KS

    def counted(self, has_positive: np.ndarray) -> np.ndarray:
        """(M,) bool, queries with a positive, to (M,) bool, queries that enter a recall: none where none has one."""
        return has_positive if self.no_positive == "drop" or not has_positive.any() else np.ones_like(has_positive)


@dataclass(frozen=True)
class TestDescription:
    """What a record says of a test beside its numbers.

    Attributes:
        data: what was searched for what.
        method: how a window became an answer.
        options: every option of the test, by flag.
        plugins: the files that were loaded.
        name: of the record's files, without ending.
        baseline_memory_mib: of the process before the method's work; None where it was not measured.
        added_memory_mib: by which that work raised its peak; None where it was not measured.
    """

    __test__ = False  # not a test class, whatever pytest makes of its name

    data: records.DataRecord
    method: records.MethodRecord
    options: dict[str, Any]
    plugins: list[records.FileRecord]
    name: str
    baseline_memory_mib: float | None = None
    added_memory_mib: float | None = None


@dataclass(frozen=True)
class Judged:
    """A ranking against the ground truth.

    Attributes:
        ks: the K of its recalls.
        radii: R radii of its recall table.
        errors: (M, C) float64, how far each answer is from its query; C at least the largest K, infinite behind the
            ranking's end.
        correct: (M, C) bool, within the split's radius or in its table.
        has_positive: (M,) bool, queries with a correct reference.
        counted: (M,) bool, queries that enter a recall.
        counted_by_radius: (R, M) bool, the same for each of ``radii``.
        curve: precision and recall of the first answers by their distance; None where no query has a positive.
    """

    ks: list[int]
    radii: tuple[float, ...]
    errors: np.ndarray
    correct: np.ndarray
    has_positive: np.ndarray
    counted: np.ndarray
    counted_by_radius: np.ndarray
    curve: PrecisionRecall | None

    @classmethod
    def of(cls, scene: Scene, ranking: Ranking, settings: ScoreSettings) -> "Judged":
        """The references of ``scene`` that ``ranking`` names, judged."""
        ks = [k for k in settings.ks if k <= len(scene.reference)]
        radii, truth = settings.radii, scene.truth
        errors = padded(truth.errors(ranking.indices), max(ks), np.inf)
        correct = truth.within(errors, scene.radius)
        has_positive = scene.has_positive()
        counted_by_radius = np.zeros((len(radii), len(has_positive)), bool)
        if scene.split.has_truth:
            counted_by_radius = np.array([settings.counted(truth.has_positive(radius)) for radius in radii])
        return cls(
            ks=ks,
            radii=radii,
            errors=errors,
            correct=correct,
            has_positive=has_positive,
            counted=settings.counted(has_positive),
            counted_by_radius=counted_by_radius,
            curve=precision_recall(ranking.distances[:, 0], correct[:, 0], has_positive)
            if has_positive.any()
            else None,
        )

    @cached_property
    def recall(self) -> dict[str, float]:
        """K to recall@K at the split's radius; empty where no query is counted."""
        return self.recall_of(self.correct)

    def recall_of(self, correct: np.ndarray) -> dict[str, float]:
        """K to recall@K, of other answers (M, C) to the same queries."""
        if not self.counted.any():
            return {}
        return {str(k): value for k, value in recall_at(correct, self.counted, self.ks).items()}

    @cached_property
    def recall_at_radii(self) -> np.ndarray:
        """(R, len(ks)) float64; NaN where a radius counts no query."""
        return recall_at_radii(self.errors, self.counted_by_radius, self.radii, self.ks)


def score(
    scene: Scene, answer: Answer, settings: ScoreSettings, test: TestDescription, no_answer: NoAnswer | None = None
) -> tuple[records.ResultRecord, dict[str, np.ndarray]]:
    """Everything the result record says, and the arrays behind it."""
    judged = Judged.of(scene, answer.ranking, settings)
    curve = judged.curve
    block, intervals = bootstrap(scene, settings, judged)

    def recall_of(ranking: Ranking | None) -> dict[str, float]:
        if ranking is None:
            return {}
        return judged.recall_of(padded(scene.truth.correct(ranking.indices, scene.radius), max(judged.ks), False))

    names = [f"{radius:g}" for radius in judged.radii]
    counts = judged.counted_by_radius.sum(axis=1)
    record = records.ResultRecord(
        data=test.data,
        method=test.method,
        protocol=protocol_record(
            judged, settings, block, scene.query.rule_in_words, chance(scene, judged, settings.seed)
        ),
        recall=judged.recall,
        recall_interval={str(k): list(value) for k, value in intervals.items()},
        recall_before_rerank=recall_of(answer.candidates),
        recall_exact_index=recall_of(answer.exact),
        recall_at_radius={
            name: {str(k): float(value) for k, value in zip(judged.ks, row, strict=True) if np.isfinite(value)}
            for name, row in zip(names, judged.recall_at_radii, strict=True)
        },
        counted_at_radius={name: int(count) for name, count in zip(names, counts, strict=True)},
        average_precision=None if curve is None else curve.area,
        recall_at_full_precision=None if curve is None else curve.recall_at_full_precision,
        timing=timing_record(scene, answer),
        peak_memory_mib=peak_memory_mib(),
        options=test.options,
        plugins=test.plugins,
        versions=versions("torch", "numpy", "scipy", "faiss"),
        created=time.strftime("%Y-%m-%dT%H:%M:%S"),
        predictions=f"{test.name}.npz",
        baseline_memory_mib=test.baseline_memory_mib,
        added_memory_mib=test.added_memory_mib,
        place_auc=place_auc(answer.ranking.distances[:, 0], judged.has_positive),
        no_answer=None if no_answer is None else no_answer.record(tested(scene, judged, answer.ranking, no_answer)),
    )
    return record, answer_arrays(answer, judged) | no_answer_arrays(answer, no_answer) | scene_arrays(scene)


def tested(scene: Scene, judged: Judged, ranking: Ranking, no_answer: NoAnswer) -> records.AnsweredRecord:
    """How the tested queries fare by a threshold."""
    refused = no_answer.refuses(ranking.distances[:, 0])
    return answered(refused, judged.correct[:, 0], judged.has_positive if scene.split.has_truth else None)


def chance(scene: Scene, judged: Judged, seed: int) -> float | None:
    """Recall@1 of references drawn at random: where it is high, a recall says little. None where none is counted."""
    if not judged.counted.any():
        return None
    drawn = np.random.default_rng(seed).integers(len(scene.reference), size=(len(scene.query), _DRAWN))
    return float(scene.truth.correct(drawn, scene.radius)[judged.counted].mean())


def protocol_record(
    judged: Judged, settings: ScoreSettings, block: int, window_rule: str, by_chance: float | None
) -> records.ProtocolRecord:
    """How queries were counted; ``block`` of them were drawn together for the intervals."""
    return records.ProtocolRecord(
        no_positive=settings.no_positive,
        queries=len(judged.counted),
        counted=int(judged.counted.sum()),
        without_positive=int((~judged.has_positive).sum()),
        ks=judged.ks,
        window_rule=window_rule,
        seed=settings.seed,
        bootstrap_samples=settings.bootstrap,
        bootstrap_block=block,
        chance=by_chance,
    )


def answer_arrays(answer: Answer, judged: Judged) -> dict[str, np.ndarray]:
    """What was found, and what is right of it, in the arrays beside a record."""
    columns = answer.ranking.indices.shape[1]
    arrays = {
        "preds": answer.ranking.indices,
        "distances": answer.ranking.distances,
        "recalls": np.array(list(judged.recall.values())),
        "rAtL": judged.recall_at_radii,
        "ks": np.array(judged.ks),
        "radii": np.array(judged.radii, np.float64),
        "errors": judged.errors[:, :columns],
        "correct": judged.correct[:, :columns],
        "counted": judged.counted,
        "hasPositive": judged.has_positive,
    }
    if answer.backwards.any():
        arrays["backwards"] = answer.backwards
    if judged.curve is not None:
        arrays |= {name: getattr(judged.curve, name) for name in ("precision", "recall", "thresholds")}
    if answer.candidates is not None:
        arrays["candidates"] = answer.candidates.indices[:, :columns]
    return arrays


def no_answer_arrays(answer: Answer, no_answer: NoAnswer | None) -> dict[str, np.ndarray]:
    """Which queries have no answer, and how confident the first answers are, where that is known."""
    if no_answer is None:
        return {}
    best = answer.ranking.distances[:, 0]
    arrays = {"noAnswer": no_answer.refuses(best)}
    if no_answer.calibration is not None:
        arrays["confidence"] = no_answer.calibration.of(best)
    return arrays


def data_record(
    scene: Scene, takes: FrameKind, options: dict[str, Any], differences: tuple[str, ...] = ()
) -> records.DataRecord:
    """What was searched for what, described by a method that takes such frames; ``options`` say which data, and
    ``differences`` in what the frame descriptors that met were made differently."""
    return records.DataRecord(
        dataset=scene.dataset,
        split=scene.split.name,
        reference=side_record(scene.reference, takes, scene.radius),
        query=side_record(scene.query, takes, scene.radius),
        dims=scene.in_dims(takes),
        units=scene.split.units,
        positive_radius=scene.split.positive_radius,
        options=options,
        frames=takes,
        truth="none" if not scene.split.has_truth else "radius" if scene.split.positives is None else "table",
        descriptor_differences=differences,
    )


def timing_record(scene: Scene, answer: Answer) -> records.TimingRecord:
    """How long it took, and on what."""
    return records.TimingRecord(
        encode_reference_s=answer.seconds.get("encode_reference", 0.0),
        encode_query_s=answer.seconds.get("encode_query", 0.0),
        search_s=answer.seconds.get("search", 0.0),
        rerank_s=answer.seconds.get("rerank", 0.0),
        latency_ms=latencies(answer.alone_ms),
        latency_queries=max(map(len, answer.alone_ms.values()), default=0),
        device=str(scene.device),
        processor=processor_name(scene.device),
        threads=torch.get_num_threads(),
        latency_threads=1,
    )


def scene_arrays(scene: Scene) -> dict[str, np.ndarray]:
    """What was searched for what, in the arrays beside a record."""
    arrays = {"querySequences": query_sequences(scene)}
    for side_name, side in (("reference", scene.reference), ("query", scene.query)):
        arrays[f"{side_name}Rows"] = side.rows
        arrays[f"{side_name}Starts"] = side.starts
        arrays[f"{side_name}Positions"] = side.positions
        if side.traverse.lat_lon is not None:
            arrays[f"{side_name}LatLon"] = side.traverse.lat_lon[side.rows]
        for what in ("names", "images"):
            values = getattr(side.traverse, what)
            if values is not None:
                arrays[f"{side_name}{what.capitalize()}"] = np.array(values, dtype=np.str_)[side.rows]
    if scene.truth.listed is not None:
        arrays["positiveOffsets"], arrays["positiveRows"] = scene.truth.listed.offsets, scene.truth.listed.rows
    return arrays


def query_sequences(scene: Scene) -> np.ndarray:
    """(M,) int64: each query's sequence, by the row of its traverse where that begins."""
    return scene.query.traverse.bounds[scene.query.rows, 0]


def bootstrap(scene: Scene, settings: ScoreSettings, judged: Judged) -> tuple[int, dict[int, tuple[float, float]]]:
    """Queries in a block, as the hits at 1 ask for but no fewer than a window has frames, and the intervals by K; 0 and
    none where none are wanted."""
    if not settings.bootstrap or not judged.counted.any():
        return 0, {}
    sequences, counted = query_sequences(scene), judged.counted
    block = block_length(judged.correct[counted, 0], settings.longest_window, sequences[counted])
    generator = np.random.default_rng(settings.seed)
    return block, recall_intervals(
        judged.correct, counted, judged.ks, generator, block=block, sequences=sequences, samples=settings.bootstrap
    )


def latencies(alone_ms: dict[str, np.ndarray]) -> dict[str, records.Latency]:
    """Median and 95th percentile of each step's milliseconds for one query, and of their sum."""
    times = alone_ms | ({"total": sum(alone_ms.values())} if alone_ms else {})
    return {
        step: records.Latency(float(np.median(values)), float(np.percentile(values, 95)))
        for step, values in times.items()
    }


def side_record(side: Windows, takes: FrameKind = "descriptors", radius: float = 0.0) -> records.SideRecord:
    """One traverse in the record, of which the method took such frames; ``radius``: of what is correct."""
    traverse, images = side.traverse, takes == "images"
    return records.SideRecord(
        name=traverse.name,
        source=full_path(traverse.images_source if images else traverse.source),
        frames=len(traverse),
        kept=len(side),
        descriptors=None if images else DescriptorIdentity.beside(traverse),
        scored=int(traverse.is_scored.sum()),
        without_position=int((~traverse.placed).sum()),
        unusable=int((~traverse.is_usable).sum()),
        filled=0 if traverse.filled is None else int(traverse.filled.sum()),
        over_jumps=over_jumps(side, radius)[0],
    )


def padded(values: np.ndarray, columns: int, fill: float | bool) -> np.ndarray:
    """(M, K) to (M, at least ``columns``): a ranking of few candidates finds nothing behind them."""
    missing = max(0, columns - values.shape[1])
    return np.pad(values, ((0, 0), (0, missing)), constant_values=fill)
