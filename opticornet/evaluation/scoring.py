"""From an answer to a result record: recalls, curves, intervals, latencies."""

import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from opticornet.datasets.descriptor_files import read_identity
from opticornet.datasets.traverse import FrameKind
from opticornet.datasets.windows import Windows
from opticornet.evaluation import records
from opticornet.evaluation.answers import KS, Answer
from opticornet.evaluation.metrics import block_length, precision_recall, recall_at, recall_at_radii, recall_intervals
from opticornet.evaluation.scene import Scene
from opticornet.inference.load import frames_taken
from opticornet.inference.runs import run_name
from opticornet.matching.ranking import Ranking
from opticornet.matching.search import EXACT
from opticornet.options.modes import TestOptions
from opticornet.options.plugins import remembered
from opticornet.options.shared import MATCHED, DataOptions
from opticornet.utils.checkpoints import sha256
from opticornet.utils.device import peak_memory_mib, processor_name
from opticornet.utils.options import flag_of
from opticornet.utils.versions import versions

WINDOW_RULE = "centred on the frame, shifted back inside its sequence"


def score(scene: Scene, options: TestOptions, answer: Answer) -> tuple[records.ResultRecord, dict[str, np.ndarray]]:
    """Everything the result record says, and the arrays behind it."""
    ks = [k for k in KS if k <= len(scene.reference)]
    if len(ks) < len(KS) and not options.quiet:
        dropped = ", ".join(str(k) for k in KS if k not in ks)
        print(f"note: recall@{dropped} left out: there are only {len(scene.reference)} references", file=sys.stderr)

    has_positive = scene.has_positive()
    counted = counting(has_positive, options)
    errors = padded(scene.truth.errors(answer.ranking.indices), max(ks), np.inf)
    correct = scene.truth.within(errors, scene.radius)
    recall = recall_at(correct, counted, ks)
    block = bootstrap_block(scene, options, correct, counted)
    intervals = {}
    if options.bootstrap:
        intervals = recall_intervals(
            correct,
            counted,
            ks,
            np.random.default_rng(options.seed),
            block=block,
            sequences=query_sequences(scene),
            samples=options.bootstrap,
        )
    counted_by_radius = np.array([counting(scene.truth.has_positive(r), options) for r in options.radii])  # (R, M)
    by_radius = recall_at_radii(errors, counted_by_radius, options.radii, ks)
    curve = precision_recall(answer.ranking.distances[:, 0], correct[:, 0], has_positive)

    def recall_of(ranking: Ranking | None) -> dict[str, float]:
        if ranking is None:
            return {}
        found = padded(scene.truth.correct(ranking.indices, scene.radius), max(ks), False)
        return {str(k): value for k, value in recall_at(found, counted, ks).items()}

    data = data_record(scene, options, answer)
    radii = [f"{radius:g}" for radius in options.radii]
    record = records.ResultRecord(
        data=data,
        method=method_record(options, answer, label(options, (data.reference, data.query))),
        protocol=records.ProtocolRecord(
            no_positive=options.no_positive,
            queries=len(scene.query),
            counted=int(counted.sum()),
            without_positive=int((~has_positive).sum()),
            ks=ks,
            window_rule=WINDOW_RULE,
            seed=options.seed,
            bootstrap_samples=options.bootstrap,
            bootstrap_block=block,
        ),
        recall={str(k): value for k, value in recall.items()},
        recall_interval={str(k): list(value) for k, value in intervals.items()},
        recall_before_rerank=recall_of(answer.candidates),
        recall_exact_index=recall_of(answer.exact),
        recall_at_radius={
            radius: {str(k): float(value) for k, value in zip(ks, row, strict=True) if np.isfinite(value)}
            for radius, row in zip(radii, by_radius, strict=True)
        },
        counted_at_radius={
            radius: int(count) for radius, count in zip(radii, counted_by_radius.sum(axis=1), strict=True)
        },
        average_precision=curve.area,
        recall_at_full_precision=curve.recall_at_full_precision,
        timing=timing_record(scene, answer),
        peak_memory_mib=peak_memory_mib(),
        options=options.record(),
        plugins=plugins_of(options, answer),
        versions=versions("torch", "numpy", "scipy", "faiss"),
        created=time.strftime("%Y-%m-%dT%H:%M:%S"),
        predictions=f"{run_name(options.sequence_length, options.exp_name)}.npz",
    )
    columns = answer.ranking.indices.shape[1]
    arrays = {
        "preds": answer.ranking.indices,
        "distances": answer.ranking.distances,
        "recalls": np.array(list(recall.values())),
        "rAtL": by_radius,
        "ks": np.array(ks),
        "radii": np.array(options.radii, np.float64),
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


def data_record(scene: Scene, options: TestOptions, answer: Answer) -> records.DataRecord:
    """What was searched for what, and how it was described."""
    takes = frames_taken(str(answer.weights.flags.get("pooling")) if answer.weights else options.pooling)
    return records.DataRecord(
        dataset=scene.dataset,
        split=scene.split.name,
        reference=side_record(scene.reference, takes),
        query=side_record(scene.query, takes),
        dims=scene.in_dims(takes),
        units=scene.split.units,
        positive_radius=scene.split.positive_radius,
        options={flag_of(f)[2:]: getattr(options, key) for key, f in DataOptions.flags().items()},
        frames=takes,
    )


def method_record(options: TestOptions, answer: Answer, name: str) -> records.MethodRecord:
    """How a window became an answer, under the label ``name``."""
    matched = options.pooling in MATCHED or options.rerank in MATCHED
    path = options.predictions_file
    return records.MethodRecord(
        label=name,
        pooling=options.pooling,
        sequence_length=options.sequence_length,
        filter_length=options.filter_length,
        out_dims=answer.out_dims,
        index=options.index if answer.out_dims else "",
        matcher=options.matcher if matched else "",
        matcher_options={
            "reverse": options.reverse,
            "velocities": list(options.velocities),
            "contrastWindow": options.contrast_window,
        }
        if matched
        else {},
        rerank=options.rerank,
        rerank_length=rerank_length(options),
        top_k=0 if answer.candidates is None else answer.ranking.indices.shape[1],
        weights=answer.weights,
        rerank_weights=answer.rerank_weights,
        amp=options.amp,
        index_settings=answer.index_settings,
        predictions=records.FileRecord(path, sha256(Path(path))) if path else None,
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


def plugins_of(options: TestOptions, answer: Answer) -> list[records.FileRecord]:
    """The plugin files of the test and those that the runs of its weights remember; as when they are loaded, a file
    given now stands for a remembered one of its name."""
    files = remembered(options.plugin)
    given = {Path(path).name for path in files}
    for weights in (answer.weights, answer.rerank_weights):
        kept = weights.flags.get("plugins", {}) if weights else {}
        files |= {path: digest for path, digest in kept.items() if Path(path).name not in given}
    return [records.FileRecord(path, digest) for path, digest in files.items()]


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


def bootstrap_block(scene: Scene, options: TestOptions, correct: np.ndarray, counted: np.ndarray) -> int:
    """Queries in a block of the intervals: as the hits at 1 ask for, but no fewer than a window has frames; 0 where no
    intervals are wanted."""
    if not options.bootstrap:
        return 0
    longest_window = max(options.sequence_length, rerank_length(options))
    return block_length(correct[counted, 0], longest_window, query_sequences(scene)[counted])


def counting(has_positive: np.ndarray, options: TestOptions) -> np.ndarray:
    """(M,) bool: queries that enter a recall, as ``--noPositive`` says."""
    return has_positive if options.no_positive == "drop" else np.ones_like(has_positive)


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


def label(options: TestOptions, sides: tuple[records.SideRecord, ...]) -> str:
    """What curves and tables call the method: how it answers and, in brackets, what its numbers cannot be read
    without: an approximate index, bfloat16, candidates of a file, frame descriptors of random weights."""
    letter = "L" if options.pooling in MATCHED else "S"
    text = f"{options.pooling} {letter}{options.sequence_length}"
    if options.rerank:
        text += f" > {options.rerank} L{rerank_length(options)}"
    random = {side.descriptors.encoder for side in sides if side.descriptors and side.descriptors.is_random}
    notes = [f"candidates of {Path(options.predictions_file).name}"] if options.predictions_file else []
    if options.index != EXACT and options.pooling not in MATCHED:
        notes.append(options.index)
    if options.amp:
        notes.append("bfloat16")
    if random:
        notes.append(f"random {', '.join(sorted(random))}")
    return f"{text} ({'; '.join(notes)})" if notes else text


def rerank_length(options: TestOptions) -> int:
    """Frames that re-ranking compares on either side; 0 without re-ranking."""
    if options.rerank in MATCHED:
        return options.rerank_length or options.sequence_length
    return 1 if options.rerank else 0


def side_record(side: Windows, takes: FrameKind = "descriptors") -> records.SideRecord:
    """One traverse in the record, of which the method took such frames."""
    traverse = side.traverse
    if takes == "images":
        return records.SideRecord(traverse.name, traverse.images_source, len(traverse), len(side))
    identity = read_identity(Path(traverse.source))
    descriptors = None
    if identity is not None:
        known: dict[str, Any] = {f.name: identity.get(f.name) for f in fields(records.DescriptorRecord)}
        descriptors = records.DescriptorRecord(**known)
    return records.SideRecord(traverse.name, traverse.source, len(traverse), len(side), descriptors)


def padded(values: np.ndarray, columns: int, fill: float | bool) -> np.ndarray:
    """(M, K) to (M, at least ``columns``): a ranking of few candidates finds nothing behind them."""
    missing = max(0, columns - values.shape[1])
    return np.pad(values, ((0, 0), (0, missing)), constant_values=fill)
