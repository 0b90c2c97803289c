"""From an answer to a result record."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from opticornet.datasets.adapting.adaptation import Adaptation
from opticornet.datasets.adapting.rows import BEGIN_FRAMES
from opticornet.datasets.descriptors.identity import DescriptorIdentity
from opticornet.datasets.traverse import FrameKind
from opticornet.datasets.windows import Windows
from opticornet.evaluation import records
from opticornet.evaluation.answering.answer import Answer
from opticornet.evaluation.arrays import answer_arrays, no_answer_arrays, scene_arrays
from opticornet.evaluation.judged import Judged, ScoreSettings, bootstrap, chance, padded
from opticornet.evaluation.no_answer import NoAnswer, answered, place_auc
from opticornet.evaluation.notes import over_jumps
from opticornet.evaluation.scene import Scene
from opticornet.matching.ranking import Ranking
from opticornet.utils.device import peak_memory_mib, processor_name
from opticornet.utils.files import full_path
from opticornet.utils.versions import versions


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


def score(
    scene: Scene, answer: Answer, settings: ScoreSettings, test: TestDescription, no_answer: NoAnswer | None = None
) -> tuple[records.ResultRecord, dict[str, np.ndarray]]:
    """Everything the result record says, and the arrays behind it."""
    judged = Judged.of(scene, answer.ranking, answer.equal, settings)
    curve = judged.curve
    block, intervals = bootstrap(scene, settings, judged)

    def recall_of(ranking: Ranking | None) -> dict[str, float]:
        if ranking is None:
            return {}
        found = answer.searched_equal.distinct(ranking)
        errors = answer.searched_equal.errors(scene.truth, found.indices, found.ways)
        return judged.recall_of(padded(scene.truth.within(errors, scene.radius), max(judged.ks), False))

    names = [f"{radius:g}" for radius in judged.radii]
    counts = judged.counted_by_radius.sum(axis=1)
    record = records.ResultRecord(
        data=test.data,
        method=test.method,
        protocol=protocol_record(judged, settings, block, scene, chance(scene, judged, answer.equal, settings.seed)),
        recall=judged.recall,
        recall_each=recall_each(scene, answer.each, judged),
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
        recall_per_drive={name: judged.recall_among(some) for name, some in query_drives(scene).items()},
        counted_per_drive={name: int(judged.counted[some].sum()) for name, some in query_drives(scene).items()},
    )
    return record, answer_arrays(answer, judged) | no_answer_arrays(answer, no_answer) | scene_arrays(scene)


def recall_each(scene: Scene, each: Ranking, judged: Judged) -> dict[str, float]:
    """The recalls of the same search with every reference judged for itself, as SeqNet counts."""
    correct = scene.truth.within(scene.truth.errors(each.indices), scene.radius)
    return judged.recall_of(padded(correct, max(judged.ks), False))


def query_drives(scene: Scene) -> dict[str, slice]:
    """Which queries are of each of several drives; nothing where there is one."""
    drives, of_each = scene.query.traverse.drives, scene.query.by_drive
    return {drive.name: some for drive, some in zip(drives, of_each, strict=True)} if len(drives) > 1 else {}


def tested(scene: Scene, judged: Judged, ranking: Ranking, no_answer: NoAnswer) -> records.AnsweredRecord:
    """How the tested queries fare by a threshold."""
    refused = no_answer.refuses(ranking.distances[:, 0])
    return answered(refused, judged.correct[:, 0], judged.has_positive if scene.split.has_truth else None)


def protocol_record(
    judged: Judged, settings: ScoreSettings, block: int, scene: Scene, by_chance: float | None
) -> records.ProtocolRecord:
    """How queries were counted; ``block`` of them were drawn together for the intervals."""
    return records.ProtocolRecord(
        no_positive=settings.no_positive,
        queries=len(judged.counted),
        counted=int(judged.counted.sum()),
        without_positive=int((~judged.has_positive).sum()),
        ks=judged.ks,
        window_rule=scene.protocol.window_rule(scene.query),
        seed=settings.seed,
        bootstrap_samples=settings.bootstrap,
        bootstrap_block=block,
        chance=by_chance,
        equal_windows=settings.equal_windows,
        name=scene.protocol.name,
    )


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
        adaptation=adaptation_record(scene.adaptation),
    )


def adaptation_record(adaptation: Adaptation) -> records.AdaptationRecord | None:
    """How frames were adapted; None where they were not."""
    if adaptation.by == "none":
        return None
    return records.AdaptationRecord(
        by=adaptation.by,
        looks_ahead=adaptation.by == "traverse",
        scale=adaptation.scale,
        begun_from=adaptation.begun_from,
        begun_with=BEGIN_FRAMES if adaptation.by == "running" else 0,
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


def latencies(alone_ms: dict[str, np.ndarray]) -> dict[str, records.Latency]:
    """Median and 95th percentile of each step's milliseconds for one query, and of their sum."""
    times = alone_ms | ({"total": sum(alone_ms.values())} if alone_ms else {})
    return {
        step: records.Latency(float(np.median(values)), float(np.percentile(values, 95)))
        for step, values in times.items()
    }


def side_record(side: Windows, takes: FrameKind = "descriptors", radius: float = 0.0) -> records.SideRecord:
    """One side in the record, of which the method took such frames; ``radius``: of what is correct."""
    traverse = side.traverse
    drives = tuple(drive_record(part, takes) for part in side.parts)
    return records.SideRecord(
        name=traverse.name,
        source=", ".join(drive.source for drive in drives),
        frames=len(traverse),
        kept=len(side),
        descriptors=next((drive.descriptors for drive in drives if drive.descriptors is not None), None),
        scored=int(traverse.is_scored.sum()),
        without_position=int((~traverse.placed).sum()),
        unusable=int((~traverse.is_usable).sum()),
        filled=0 if traverse.filled is None else int(traverse.filled.sum()),
        over_jumps=sum(over_jumps(part, radius)[0] for part in side.parts),
        drives=drives if len(drives) > 1 else (),
    )


def drive_record(drive: Windows, takes: FrameKind) -> records.DriveRecord:
    """One drive of a side in the record."""
    traverse, images = drive.traverse, takes == "images"
    return records.DriveRecord(
        name=traverse.name,
        source=full_path(traverse.images_source if images else traverse.source),
        frames=len(traverse),
        kept=len(drive),
        descriptors=None if images else DescriptorIdentity.beside(traverse),
    )
