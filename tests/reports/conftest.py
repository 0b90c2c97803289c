"""Result records made by hand: places on a line or a circle, answers whose outcomes are given."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from opticornet.datasets.positives import Positives
from opticornet.evaluation import records
from opticornet.evaluation.no_answer import answered
from opticornet.evaluation.records import save_result


def make_record(
    folder: Path,
    name: str = "one",
    *,
    wrong: tuple[int, ...] = (3, 4, 5),
    no_positive: tuple[int, ...] = (),
    queries: int = 20,
    candidates: int = 10,
    label: str = "smooth S5",
    dataset: str = "loop",
    planar: bool = True,
    milliseconds: float = 2.0,
    names: list[str] | None = None,
    images: list[str] | None = None,
    reranked: bool = False,
    table: bool = False,
    lat_lon: bool = False,
    truth: bool = True,
    placed: bool = True,
    threshold: float | None = None,
    p95: float | None = None,
    stress: dict[str, dict[str, float]] | None = None,
    each: dict[str, float] | None = None,
) -> Path:
    """A record of ``queries`` queries, each taken where the reference of its number was.

    The queries in ``wrong`` find the place half the route away first and their own third; the others their own first.
    """
    index = np.arange(queries)
    predictions = (index[:, None] + np.arange(candidates)) % queries
    for i in wrong:
        predictions[i, :3] = [(i + queries // 2) % queries, (i + queries // 2 + 1) % queries, i]
    for row in predictions:  # no place twice
        used = list(dict.fromkeys(row.tolist()))
        row[:] = (used + [j for j in range(queries) if j not in used])[:candidates]
    angle = 2 * np.pi * index / queries
    places = np.stack([100 * np.cos(angle), 100 * np.sin(angle)], axis=1) if planar else index[:, None] * 1.0
    query_places = places.copy()
    query_places[list(no_positive)] += 1000.0
    radius = 5.0 if planar else 0.5
    errors = np.linalg.norm(places[predictions] - query_places[:, None], axis=-1)
    correct = errors <= radius
    has_positive = np.ones(queries, bool)
    has_positive[list(no_positive)] = False
    if not truth:
        has_positive[:], correct[:] = False, False
    if not placed:
        query_places[:], errors[:] = np.nan, np.nan
    distances = np.sort(np.random.default_rng(0).random(predictions.shape), axis=1).astype(np.float32)
    refused = distances[:, 0] > (np.inf if threshold is None else threshold)
    tested = answered(refused, correct[:, 0], has_positive if truth else None)
    recall = {str(k): float(correct[has_positive, :k].any(axis=1).mean()) for k in (1, 5, 10)} if truth else {}
    record = records.ResultRecord(
        data=records.DataRecord(
            dataset=dataset,
            split="test",
            reference=records.SideRecord("summer", "made by hand", queries, queries),
            query=records.SideRecord("winter", "made by hand", queries, queries),
            dims=8,
            units="metres" if planar else "frames",
            positive_radius=None if table or not truth else radius,
            options={"dataset": "a folder that is gone"},
            truth="none" if not truth else "table" if table else "radius",
        ),
        method=records.MethodRecord(
            label=label,
            pooling="smooth",
            sequence_length=3,
            filter_length=0,
            out_dims=8,
            index="Flat",
            matcher="",
            matcher_options={},
            rerank="single+seqmatch" if reranked else "",
            rerank_length=0,
            top_k=candidates if reranked else 0,
            weights=None,
            rerank_weights=None,
            amp=False,
            index_settings={},
            predictions=None,
        ),
        protocol=records.ProtocolRecord(
            no_positive="drop",
            queries=queries,
            counted=int(has_positive.sum()),
            without_positive=len(no_positive),
            ks=[1, 5, 10],
            window_rule="centred on the frame, shifted back inside its sequence",
            seed=1,
            bootstrap_samples=100,
            bootstrap_block=4,
            equal_windows="one",
        ),
        recall=recall,
        recall_interval={k: [max(0.0, value - 0.1), min(1.0, value + 0.1)] for k, value in recall.items()},
        recall_before_rerank={"1": 0.25} if reranked else {},
        recall_exact_index={},
        recall_at_radius={"1": recall, "5": recall, "50": recall},
        counted_at_radius=dict.fromkeys(("1", "5", "50"), int(has_positive.sum())),
        average_precision=0.75 if truth else None,
        recall_at_full_precision=0.5 if truth else None,
        timing=records.TimingRecord(
            encode_reference_s=0.1,
            encode_query_s=0.1,
            search_s=0.1,
            rerank_s=0.0,
            latency_ms={"total": records.Latency(milliseconds, p95 or 2 * milliseconds)},
            latency_queries=20,
            device="cpu",
            processor="a CPU",
            threads=1,
        ),
        peak_memory_mib=123.0,
        options={"dataset": "a folder that is gone", "label": label},
        plugins=[],
        versions={"python": "3.11"},
        created="2026-01-01T00:00:00",
        predictions=f"{name}.npz",
        baseline_memory_mib=100.0,
        added_memory_mib=20.0,
        no_answer=None if threshold is None else records.NoAnswerRecord(threshold, "val", "best F1", None, tested),
        stress=stress or {},
        recall_each=recall if each is None else each,
    )
    arrays = {
        "preds": predictions,
        "distances": distances,
        "errors": errors,
        "correct": correct,
        "counted": has_positive,
        "hasPositive": has_positive,
        "referenceRows": index,
        "queryRows": index,
        "referencePositions": places,
        "queryPositions": query_places,
    }
    if truth:
        arrays |= {
            "precision": np.array([1.0, 0.8]),
            "recall": np.array([0.5, 0.8]),
            "thresholds": np.array([0.1, 0.2]),
        }
    if threshold is not None:
        arrays |= {"noAnswer": refused, "confidence": 1.0 - distances[:, 0]}
    if reranked:
        arrays["candidates"] = np.roll(predictions, 1, axis=1)
    if table:
        listed = Positives.of_lists([[i] if found else [] for i, found in enumerate(has_positive)])
        arrays["positiveOffsets"], arrays["positiveRows"] = listed.offsets, listed.rows
    for side in ("reference", "query"):
        if lat_lon:
            arrays[f"{side}LatLon"] = np.array([63.4, 10.4]) + arrays[f"{side}Positions"] / 111e3
        if names:
            arrays[f"{side}Names"] = np.array(names, dtype=np.str_)
        if images:
            arrays[f"{side}Images"] = np.array(images, dtype=np.str_)
    assert asdict(record)["format"] == records.FORMAT
    return save_result(record, arrays, folder, name)


@pytest.fixture
def record(tmp_path):
    """Makes a record in the test's folder; see :func:`make_record`."""

    def make(name: str = "one", **settings) -> Path:
        return make_record(tmp_path / "results", name, **settings)

    return make
