"""From an answer to a result record: recalls, curves, intervals, latencies."""

import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from opticornet.datasets.descriptor_files import read_identity
from opticornet.datasets.traverse import FrameKind
from opticornet.datasets.windows import Windows
from opticornet.evaluation import records
from opticornet.evaluation.answers import KS, Answer
from opticornet.evaluation.metrics import block_length, precision_recall, recall_at, recall_at_radii, recall_intervals
from opticornet.evaluation.scene import Scene
from opticornet.matching.ranking import Ranking
from opticornet.utils.device import peak_memory_mib, processor_name
from opticornet.utils.versions import versions

WINDOW_RULE = "centred on the frame, shifted back inside its sequence"


@dataclass(frozen=True)
class ScoreSettings:
    """How queries are counted.

    Attributes:
        no_positive: "drop" queries without a reference within the radius, or "count" them as failures.
        radii: of the recall table, in the split's units.
        bootstrap: resamplings behind the intervals; 0: no intervals.
        seed: of the resamplings.
        longest_window: frames that the longest window of the method has: no block of an interval is shorter.
    """

    no_positive: Literal["drop", "count"] = "drop"
    radii: tuple[float, ...] = (1.0, 5.0, 10.0, 20.0, 40.0, 100.0, 200.0)
    bootstrap: int = 1000
    seed: int = 123
    longest_window: int = 1

    def counted(self, has_positive: np.ndarray) -> np.ndarray:
        """(M,) bool, queries with a positive, to (M,) bool, queries that enter a recall."""
        return has_positive if self.no_positive == "drop" else np.ones_like(has_positive)


@dataclass(frozen=True)
class TestDescription:
    """What a record says of a test beside its numbers.

    Attributes:
        data: what was searched for what.
        method: how a window became an answer.
        options: every option of the test, by flag.
        plugins: the files that were loaded.
        name: of the record's files, without ending.
    """

    __test__ = False  # not a test class, whatever pytest makes of its name

    data: records.DataRecord
    method: records.MethodRecord
    options: dict[str, Any]
    plugins: list[records.FileRecord]
    name: str


def recalls_wanted(references: int) -> list[int]:
    """The K of recall@K that so many references allow."""
    return [k for k in KS if k <= references]


def score(
    scene: Scene, answer: Answer, settings: ScoreSettings, test: TestDescription
) -> tuple[records.ResultRecord, dict[str, np.ndarray]]:
    """Everything the result record says, and the arrays behind it."""
    ks = recalls_wanted(len(scene.reference))
    has_positive = scene.has_positive()
    counted = settings.counted(has_positive)
    errors = padded(scene.truth.errors(answer.ranking.indices), max(ks), np.inf)
    correct = scene.truth.within(errors, scene.radius)
    recall = recall_at(correct, counted, ks)
    block, intervals = bootstrap(scene, settings, correct, counted, ks)
    radii = settings.radii
    counted_by_radius = np.array([settings.counted(scene.truth.has_positive(radius)) for radius in radii])  # (R, M)
    by_radius = recall_at_radii(errors, counted_by_radius, radii, ks)
    curve = precision_recall(answer.ranking.distances[:, 0], correct[:, 0], has_positive)

    def recall_of(ranking: Ranking | None) -> dict[str, float]:
        if ranking is None:
            return {}
        found = padded(scene.truth.correct(ranking.indices, scene.radius), max(ks), False)
        return {str(k): value for k, value in recall_at(found, counted, ks).items()}

    names = [f"{radius:g}" for radius in radii]
    record = records.ResultRecord(
        data=test.data,
        method=test.method,
        protocol=records.ProtocolRecord(
            no_positive=settings.no_positive,
            queries=len(scene.query),
            counted=int(counted.sum()),
            without_positive=int((~has_positive).sum()),
            ks=ks,
            window_rule=WINDOW_RULE,
            seed=settings.seed,
            bootstrap_samples=settings.bootstrap,
            bootstrap_block=block,
        ),
        recall={str(k): value for k, value in recall.items()},
        recall_interval={str(k): list(value) for k, value in intervals.items()},
        recall_before_rerank=recall_of(answer.candidates),
        recall_exact_index=recall_of(answer.exact),
        recall_at_radius={
            name: {str(k): float(value) for k, value in zip(ks, row, strict=True) if np.isfinite(value)}
            for name, row in zip(names, by_radius, strict=True)
        },
        counted_at_radius={name: int(count) for name, count in zip(names, counted_by_radius.sum(axis=1), strict=True)},
        average_precision=curve.area,
        recall_at_full_precision=curve.recall_at_full_precision,
        timing=timing_record(scene, answer),
        peak_memory_mib=peak_memory_mib(),
        options=test.options,
        plugins=test.plugins,
        versions=versions("torch", "numpy", "scipy", "faiss"),
        created=time.strftime("%Y-%m-%dT%H:%M:%S"),
        predictions=f"{test.name}.npz",
    )
    columns = answer.ranking.indices.shape[1]
    arrays = {
        "preds": answer.ranking.indices,
        "distances": answer.ranking.distances,
        "recalls": np.array(list(recall.values())),
        "rAtL": by_radius,
        "ks": np.array(ks),
        "radii": np.array(radii, np.float64),
        "errors": errors[:, :columns],
        "correct": correct[:, :columns],
        "counted": counted,
        "hasPositive": has_positive,
        "precision": curve.precision,
        "recall": curve.recall,
        "thresholds": curve.thresholds,
    }
    if answer.candidates is not None:
        arrays["candidates"] = answer.candidates.indices[:, :columns]
    return record, arrays | scene_arrays(scene)


def data_record(scene: Scene, takes: FrameKind, options: dict[str, Any]) -> records.DataRecord:
    """What was searched for what, described by a method that takes such frames; ``options`` say which data."""
    return records.DataRecord(
        dataset=scene.dataset,
        split=scene.split.name,
        reference=side_record(scene.reference, takes),
        query=side_record(scene.query, takes),
        dims=scene.in_dims(takes),
        units=scene.split.units,
        positive_radius=scene.split.positive_radius,
        options=options,
        frames=takes,
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
    if scene.truth.table is not None:
        arrays["positives"] = scene.truth.table
    return arrays


def query_sequences(scene: Scene) -> np.ndarray:
    """(M,) int64: each query's sequence, by the row of its traverse where that begins."""
    return scene.query.traverse.bounds[scene.query.rows, 0]


def bootstrap(
    scene: Scene, settings: ScoreSettings, correct: np.ndarray, counted: np.ndarray, ks: list[int]
) -> tuple[int, dict[int, tuple[float, float]]]:
    """Queries in a block, as the hits at 1 ask for but no fewer than a window has frames, and the intervals by K; 0 and
    none where none are wanted."""
    if not settings.bootstrap:
        return 0, {}
    sequences = query_sequences(scene)
    block = block_length(correct[counted, 0], settings.longest_window, sequences[counted])
    generator = np.random.default_rng(settings.seed)
    return block, recall_intervals(
        correct, counted, ks, generator, block=block, sequences=sequences, samples=settings.bootstrap
    )


def latencies(alone_ms: dict[str, np.ndarray]) -> dict[str, records.Latency]:
    """Median and 95th percentile of each step's milliseconds for one query, and of their sum."""
    times = alone_ms | ({"total": sum(alone_ms.values())} if alone_ms else {})
    return {
        step: records.Latency(float(np.median(values)), float(np.percentile(values, 95)))
        for step, values in times.items()
    }


def summary(record: records.ResultRecord) -> str:
    """The result in a few lines for the terminal."""
    data, method, protocol = record.data, record.method, record.protocol
    ks = [str(k) for k in protocol.ks]
    unit = data.units.removesuffix("s") if data.positive_radius == 1 else data.units
    within = "the split's table" if data.positive_radius is None else f"{data.positive_radius:g} {unit}"
    lines = [
        f"{method.label} on {data.dataset} ({data.split}): {protocol.counted} of {protocol.queries} queries counted, "
        f"{data.reference.kept} references, correct within {within}",
        "  " + "".join(f"{'R@' + k:>8}" for k in ks) + "      AP  R@P=1",
        "  " + "".join(f"{record.recall[k]:8.3f}" for k in ks)
        + f"{record.average_precision:8.3f}{record.recall_at_full_precision:7.3f}",
    ]  # fmt: skip
    lines += warnings(data.reference, data.query)
    if record.recall_interval:
        low, high = record.recall_interval["1"]
        block = f"{protocol.bootstrap_block} neighbouring queries" if protocol.bootstrap_block > 1 else "single queries"
        lines.append(
            f"  R@1 95 % interval {low:.3f} to {high:.3f} ({protocol.bootstrap_samples} resamplings, blocks of {block})"
        )
    if record.recall_before_rerank:
        lines.append(f"  before re-ranking: R@1 {record.recall_before_rerank['1']:.3f}")
    if record.recall_exact_index:
        lost = record.recall_exact_index["1"] - (record.recall_before_rerank or record.recall)["1"]
        lines.append(f"  index {method.index}: R@1 {lost:+.3f} lost against exact search")
    if record.timing.latency_ms:
        parts = ", ".join(f"{step} {t.median:.2f} (p95 {t.p95:.2f})" for step, t in record.timing.latency_ms.items())
        lines.append(f"  ms per query: {parts}; peak memory {record.peak_memory_mib:.0f} MiB")
    return "\n".join(lines)


def warnings(reference: records.SideRecord, query: records.SideRecord) -> list[str]:
    """What a reader of the recalls must know about the frame descriptors."""
    lines = [
        f"  warning: descriptors of {side.name} are by {side.descriptors.encoder} with random weights; they tell "
        "nothing about trained ones"
        for side in (reference, query)
        if side.descriptors and side.descriptors.is_random
    ]
    if reference.descriptors and query.descriptors and reference.descriptors != query.descriptors:
        key = next(
            f.name
            for f in fields(records.DescriptorRecord)
            if getattr(reference.descriptors, f.name) != getattr(query.descriptors, f.name)
        )
        lines.append(
            f"  warning: descriptors were made differently: {key} {getattr(reference.descriptors, key)} for "
            f"{reference.name}, {getattr(query.descriptors, key)} for {query.name}"
        )
    return lines


def side_record(side: Windows, takes: FrameKind = "descriptors") -> records.SideRecord:
    """One traverse in the record, of which the method took such frames."""
    traverse = side.traverse
    if takes == "images":
        return records.SideRecord(traverse.name, traverse.images_source, len(traverse), len(side))
    identity = read_identity(Path(traverse.source))
    descriptors = None
    if identity is not None:
        descriptors = records.DescriptorRecord(
            **{f.name: identity.get(f.name) for f in fields(records.DescriptorRecord)}
        )
    return records.SideRecord(traverse.name, traverse.source, len(traverse), len(side), descriptors)


def padded(values: np.ndarray, columns: int, fill: object) -> np.ndarray:
    """(M, K) to (M, at least ``columns``): a ranking of few candidates finds nothing behind them."""
    missing = max(0, columns - values.shape[1])
    return np.pad(values, ((0, 0), (0, missing)), constant_values=fill)
