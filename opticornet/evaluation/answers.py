"""How queries are answered: by search of sequence descriptors, by matching frames, and by re-ranking."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from opticornet.datasets.windows import Windows
from opticornet.evaluation.scene import Scene, encode_side
from opticornet.inference.encode import encode, frames_of
from opticornet.inference.load import LoadedEncoder, WeightsRecord
from opticornet.matching.ranking import Ranking
from opticornet.matching.rerankers.base import Reranker, RerankMaterial, RerankSide
from opticornet.matching.search import EXACT, Index, search_threads
from opticornet.matching.sequences.base import SequenceMatcher
from opticornet.matching.sequences.match import MEMORY_BYTES, match, rerank
from opticornet.matching.sequences.windows import SequenceSet
from opticornet.utils.array_files import read_npz
from opticornet.utils.device import cpu_threads
from opticornet.utils.errors import UserError
from opticornet.utils.mapped import RowMatrix

KS = (1, 5, 10, 20, 100)
_WARM_UP = 3  # queries answered before any is timed


@dataclass(frozen=True)
class SearchSettings:
    """How sequence descriptors are searched.

    Attributes:
        index: a faiss ``index_factory`` string; "Flat" is exact.
        probes: lists of an inverted file that are visited per query; None: a sixteenth of them.
        seed: of an index's clustering.
        depth: references per query, at least.
    """

    index: str = EXACT
    probes: int | None = None
    seed: int = 0
    depth: int = max(KS)


@dataclass(frozen=True)
class MatchSettings:
    """How frames are matched.

    Attributes:
        matcher: scores two windows.
        memory_bytes: bound on what is held at a time.
        depth: references per query where all are matched, at least.
    """

    matcher: SequenceMatcher
    memory_bytes: int = MEMORY_BYTES
    depth: int = max(KS)


@dataclass(frozen=True)
class Described:
    """Both sides as sequence descriptors.

    Attributes:
        encoder: what encoded them.
        starts: (N,) int64 first frame of each reference window.
        reference, query: (N, O) and (M, O) float32 unit rows on the CPU.
        seconds: of the steps that this took.
        index: the references ready to be searched; None before :func:`indexed`.
    """

    encoder: LoadedEncoder
    starts: np.ndarray
    reference: np.ndarray
    query: np.ndarray
    seconds: dict[str, float]
    index: Index | None = None


@dataclass(frozen=True)
class MatchedFrames:
    """The frames of both sides, as they are matched.

    Attributes:
        reference, query: windows of them.
        single: what describes single frames; None: they are matched raw.
        seconds: of the steps that this took.
    """

    reference: SequenceSet
    query: SequenceSet
    single: LoadedEncoder | None
    seconds: dict[str, float]

    def windows_of(self, scene: Scene) -> tuple[SequenceSet, SequenceSet]:
        """The windows of a scene over the same frames: reference, query."""
        reference, query = (
            replace(
                frames,
                starts=side.starts,
                length=side.length,
                bounds=side.surroundings,
                backwards=side.backwards,
            )
            for frames, side in ((self.reference, scene.reference), (self.query, scene.query))
        )
        return reference, query


@dataclass(frozen=True)
class Answer:
    """Ranked references of every query, and how they were found.

    Attributes:
        ranking: (M, K) window numbers of the reference and their distances.
        out_dims: of the searched descriptor, 0 where frames were matched.
        seconds: of the steps.
        alone_ms: step to milliseconds of some queries, answered one at a time.
        weights, rerank_weights: what was loaded.
        candidates: the whole ranking before re-ranking.
        exact: the exact ranking, where an approximate index gave ``ranking``.
        index_settings: of an approximate index, see ``opticornet.matching.search.Index``.
        backwards: (M,) bool, queries whose windows were read backwards.
    """

    ranking: Ranking
    out_dims: int
    seconds: dict[str, float]
    alone_ms: dict[str, np.ndarray]
    backwards: np.ndarray
    weights: WeightsRecord | None = None
    rerank_weights: WeightsRecord | None = None
    candidates: Ranking | None = None
    exact: Ranking | None = None
    index_settings: dict[str, int] = field(default_factory=dict)


def describe(scene: Scene, loaded: LoadedEncoder, *, amp: bool = False, known: Described | None = None) -> Described:
    """Encode every window of both sides.

    Args:
        scene: whose windows.
        loaded: the encoder.
        amp: encode in bfloat16.
        known: of a scene whose references are not encoded again where their windows are the same: another split's, or
            the same one driven the other way.
    """
    encoder = loaded.encoder.to(scene.device)
    starts, vectors, index = scene.reference.starts, {}, None
    if known is not None and np.array_equal(known.starts, starts):
        vectors["reference"], index = known.reference, known.index
    seconds: dict[str, float] = {}
    for name, side in (("reference", scene.reference), ("query", scene.query)):
        if name not in vectors:
            with timed(seconds, f"encode_{name}"):
                vectors[name] = encode_side(encoder, side, scene.device, amp)
    return Described(loaded, starts, vectors["reference"], vectors["query"], seconds, index)


def indexed(scene: Scene, described: Described, settings: SearchSettings) -> Described:
    """With the references ready to be searched.

    Raises:
        UserError: the index does not fit the data.
    """
    if described.index is not None:
        return described
    seconds = dict(described.seconds)
    with timed(seconds, "search"), as_user_error(f"`index` {settings.index}"):
        index = Index(
            described.reference, settings.index, device=scene.device, seed=settings.seed, probes=settings.probes
        )
    return replace(described, index=index, seconds=seconds)


def search_descriptors(
    scene: Scene, described: Described, settings: SearchSettings, *, amp: bool = False, latency_queries: int = 0
) -> Answer:
    """Answer by nearest-neighbour search of sequence descriptors.

    Args:
        scene: what is searched for what.
        described: both sides, of :func:`indexed`.
        settings: of the search.
        amp: encode the queries that are timed alone in bfloat16, as ``described`` was.
        latency_queries: queries to time one at a time.
    """
    index = described.index
    assert index is not None
    k = min(settings.depth, len(scene.reference))
    seconds = dict(described.seconds)
    with timed(seconds, "search"):
        ranking = index.search(described.query, k)
    exact = None
    if settings.index != EXACT:
        exact = Index(described.reference, EXACT, device=scene.device).search(described.query, k)

    encoder = described.encoder.encoder
    frames = frames_of(scene.query.traverse, encoder, scene.device)
    query = scene.query
    encode_some = partial(encode, length=query.length, backwards=query.backwards, amp=amp)
    steps: dict[str, Callable[[int], object]] = {
        "encode": lambda i: encode_some(encoder, frames, query.starts[i : i + 1]).cpu(),
        "search": lambda i: index.search(described.query[i : i + 1], k),
    }
    return Answer(
        ranking=ranking,
        out_dims=described.reference.shape[1],
        seconds=seconds,
        alone_ms=one_at_a_time(len(query), steps, latency_queries),
        backwards=np.full(len(query), query.backwards),
        weights=described.encoder.weights,
        exact=exact,
        index_settings=index.settings,
    )


def match_frames(
    scene: Scene,
    frames: MatchedFrames,
    settings: MatchSettings,
    candidates: np.ndarray | None = None,
    *,
    amp: bool = False,
    latency_queries: int = 0,
) -> Answer:
    """Answer by matching the frames of windows: against all references, or only ``candidates`` (M, K).

    Args:
        scene: what is matched with what.
        frames: of both sides.
        settings: of the matching.
        candidates: window numbers of the reference, -1 for none.
        amp: describe frames in bfloat16.
        latency_queries: queries to time one at a time.

    Raises:
        UserError: the memory is too small.
    """
    seconds = dict(frames.seconds)
    reference, query = frames.windows_of(scene)
    k = min(settings.depth, len(scene.reference))
    step = "search" if candidates is None else "rerank"

    find_all, find_some = (
        partial(function, memory_bytes=settings.memory_bytes, device=scene.device) for function in (match, rerank)
    )

    def find(queries: slice) -> Ranking:
        some = query.some(queries)
        if candidates is None:
            return find_all(settings.matcher, reference, some, k)
        return find_some(settings.matcher, reference, some, candidates[queries])

    with timed(seconds, step), as_user_error("`match_memory_mib`"):
        ranking = find(slice(None))
    steps: dict[str, Callable[[int], object]] = {step: lambda i: find(slice(i, i + 1))}
    if frames.single is not None:
        steps = {"encode": single_frames_of_window(scene, frames.single, amp)} | steps
    return Answer(
        ranking=ranking,
        out_dims=0,
        seconds=seconds,
        alone_ms=one_at_a_time(len(scene.query), steps, latency_queries),
        backwards=np.full(len(scene.query), scene.query.backwards),
        weights=None if frames.single is None else frames.single.weights,
        candidates=None if candidates is None else Ranking(candidates, np.zeros(candidates.shape, np.float32)),
    )


def rerank_answer(
    scene: Scene,
    answer: Answer,
    reranker: Reranker,
    top_k: int,
    settings: MatchSettings,
    frames: MatchedFrames | None = None,
    *,
    amp: bool = False,
    latency_queries: int = 0,
) -> Answer:
    """Re-order the first ``top_k`` of an answer; what lay behind them is dropped.

    Args:
        scene: what was searched for what.
        answer: by search.
        reranker: what re-orders.
        top_k: candidates per query.
        settings: of matching frames, where the re-ranker does.
        frames: of both sides, where the re-ranker compares windows of them.
        amp: describe frames in bfloat16.
        latency_queries: queries to time one at a time.

    Raises:
        UserError: the traverses lack what is compared, or the memory is too small.
    """
    seconds = dict(answer.seconds)
    candidates = answer.ranking.first(top_k)
    scene = scene.with_length(reranker.window_length(scene.query.length), "rerank_length")
    reference, query = rerank_sides(scene)
    if frames is not None:
        windows = frames.windows_of(scene)
        seconds = summed(seconds, frames.seconds)
        reference, query = replace(reference, windows=windows[0]), replace(query, windows=windows[1])
    material = RerankMaterial(reference, query, settings.matcher, settings.memory_bytes, scene.device)
    with timed(seconds, "rerank"), as_user_error("`match_memory_mib`"):
        ranking = reranker.rerank(material, candidates, slice(None))

    single = None if frames is None else frames.single
    describe_frames = None if single is None else single_frames_of_window(scene, single, amp)

    def rerank_one(i: int) -> Ranking:
        if describe_frames is not None:
            describe_frames(i)
        one = slice(i, i + 1)
        return reranker.rerank(material, Ranking(candidates.indices[one], candidates.distances[one]), one)

    return replace(
        answer,
        ranking=ranking,
        candidates=answer.ranking,
        seconds=seconds,
        rerank_weights=None if single is None else single.weights,
        alone_ms=answer.alone_ms | one_at_a_time(len(scene.query), {"rerank": rerank_one}, latency_queries),
    )


def better(forwards: Answer, reverse: Answer) -> Answer:
    """Of each query the answer whose first reference is nearer: of equally near ones, and where neither found any, the
    first. Both answer the same queries by the same method, which took the time of both."""
    backwards = reverse.ranking.distances[:, 0] < forwards.ranking.distances[:, 0]

    def chosen(first: Ranking | None, second: Ranking | None) -> Ranking | None:
        if first is None or second is None:
            return None
        return Ranking(
            np.where(backwards[:, None], second.indices, first.indices),
            np.where(backwards[:, None], second.distances, first.distances),
        )

    ranking = chosen(forwards.ranking, reverse.ranking)
    assert ranking is not None
    return replace(
        forwards,
        ranking=ranking,
        candidates=chosen(forwards.candidates, reverse.candidates),
        exact=chosen(forwards.exact, reverse.exact),
        seconds=summed(forwards.seconds, reverse.seconds),
        alone_ms=summed(forwards.alone_ms, reverse.alone_ms),
        backwards=backwards,
    )


def summed(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Keys of either, values of one name added."""
    return first | {key: first[key] + value if key in first else value for key, value in second.items()}


def rerank_sides(scene: Scene) -> tuple[RerankSide, RerankSide]:
    """Reference and query as a re-ranker sees them, without windows of frames."""
    reference, query = (
        RerankSide(side.traverse.source or side.traverse.name, side.rows, None, side.traverse.local_features)
        for side in (scene.reference, scene.query)
    )
    return reference, query


def one_at_a_time(queries: int, steps: dict[str, Callable[[int], object]], wanted: int) -> dict[str, np.ndarray]:
    """Milliseconds of steps that answer the i-th query, for ``wanted`` of the queries, spread along the traverse; with
    one CPU thread, as the times of many vary with what else the machine does."""
    if wanted < 1:
        return {}
    chosen = np.unique(np.linspace(0, queries - 1, min(wanted, queries)).astype(int)).tolist()

    def milliseconds(step: Callable[[int], object], i: int) -> float:
        begun = time.perf_counter()
        step(i)
        return 1000 * (time.perf_counter() - begun)

    times = {}
    with cpu_threads(1), search_threads(1):
        for name, step in steps.items():
            for i in chosen[:_WARM_UP]:  # the first calls pay for set-up
                step(i)
            times[name] = np.array([milliseconds(step, i) for i in chosen])
    return times


def matched_frames(scene: Scene, single: LoadedEncoder | None, *, amp: bool = False) -> MatchedFrames:
    """The frames of both sides as they are matched: raw, or as ``single`` describes them."""
    seconds: dict[str, float] = {}
    if single is None:
        reference, query = (
            sequence_set(side, side.traverse.need_descriptors(), normalise=True)
            for side in (scene.reference, scene.query)
        )
        return MatchedFrames(reference, query, None, seconds)
    encoder, sets = single.encoder.to(scene.device), []
    for name, side in (("reference", scene.reference), ("query", scene.query)):
        with timed(seconds, f"encode_{name}"):
            frames = frames_of(side.traverse, encoder, scene.device)
            sets.append(sequence_set(side, encode(encoder, frames, np.arange(len(frames)), 1, amp=amp)))
    return MatchedFrames(sets[0], sets[1], single, seconds)


def single_frames_of_window(scene: Scene, single: LoadedEncoder, amp: bool) -> Callable[[int], Tensor]:
    """Describes all frames of the i-th query window, (L, O), which is what a robot has to compute per query."""
    encoder = single.encoder.to(scene.device)
    frames = frames_of(scene.query.traverse, encoder, scene.device)

    def describe_frames(i: int) -> Tensor:
        rows = scene.query.starts[i] + np.arange(scene.query.length)
        return encode(encoder, frames, rows, 1, amp=amp).cpu()

    return describe_frames


def sequence_set(side: Windows, frames: RowMatrix | Tensor, normalise: bool = False) -> SequenceSet:
    """The windows of one side over ``frames``."""
    return SequenceSet(
        frames,
        side.starts,
        side.length,
        side.surroundings,
        normalise,
        backwards=side.backwards,
        anchor=side.anchor,
    ).measured()


def read_predictions(path: str | Path, scene: Scene, top_k: int) -> np.ndarray:
    """The first ``top_k`` predictions of a results file: (M, K) int64.

    Raises:
        UserError: not a results file, or one of other data.
    """
    if not Path(path).is_file():
        raise UserError(f"`predictions_file` {path}: no such file; a test writes it, a .npz, to `results_path`")
    try:
        predictions = read_npz(Path(path), ("preds",))["preds"]
    except UserError as error:
        raise UserError(f"`predictions_file` {path}: not a results file with preds ({error})") from error
    integers = predictions.ndim == 2 and predictions.shape[1] and np.issubdtype(predictions.dtype, np.integer)
    if not integers or len(predictions) != len(scene.query):
        raise UserError(
            f"`predictions_file` {path} holds preds of shape {predictions.shape} {predictions.dtype}, wanted integers "
            f"for {len(scene.query)} queries; it was made on another split, or with another `filter_length`"
        )
    if predictions.max() >= len(scene.reference) or predictions.min() < -1:
        raise UserError(
            f"`predictions_file` {path} names references {predictions.min()} to {predictions.max()}, but there are "
            f"{len(scene.reference)}; it was made on other data"
        )
    return predictions[:, :top_k].astype(np.int64)


@contextmanager
def timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    """Add the time the block takes to ``seconds[step]``."""
    begun = time.perf_counter()
    yield
    seconds[step] = seconds.get(step, 0.0) + time.perf_counter() - begun


@contextmanager
def as_user_error(argument: str) -> Iterator[None]:
    """Turn a ValueError of the block into a UserError that names the argument it comes from."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"{argument}: {error}") from error
