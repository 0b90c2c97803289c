"""The ways to an answer: search by sequence descriptor, match frames, re-order the one by the other."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from opticornet.datasets.traverse import FrameKind
from opticornet.datasets.windows import Windows
from opticornet.evaluation.scene import Scene, encode_side
from opticornet.inference.encode import encode, frames_of
from opticornet.inference.load import LoadedEncoder, WeightsRecord, frames_taken, load_encoder
from opticornet.inference.runs import read_flags
from opticornet.matching.ranking import Ranking
from opticornet.matching.rerankers import local_features
from opticornet.matching.search import EXACT, Index, check_index
from opticornet.matching.sequences.base import SequenceMatcher
from opticornet.matching.sequences.match import MATCHERS, match, rerank
from opticornet.matching.sequences.windows import SequenceSet
from opticornet.options.modes import TestOptions
from opticornet.utils.errors import UserError

KS = (1, 5, 10, 20, 100)


@dataclass(frozen=True)
class Described:
    """Both sides as sequence descriptors, (N, O) and (M, O) float32 unit rows on the CPU."""

    encoder: LoadedEncoder
    reference: np.ndarray
    query: np.ndarray
    seconds: dict[str, float]


@dataclass(frozen=True)
class Answer:
    """Ranked references of every query, and how they were found.

    Attributes:
        ranking: (M, K) window numbers of the reference and their distances.
        out_dims: of the searched descriptor, 0 where frames were matched.
        seconds: of the steps.
        alone_ms: step to milliseconds of each of ``latency_queries`` queries, answered one at a time.
        weights, rerank_weights: what was loaded.
        candidates: the whole ranking before re-ranking.
        exact: the exact ranking, where an approximate index gave ``ranking``.
        index_settings: of an approximate index, see ``opticornet.matching.search.Index``.
    """

    ranking: Ranking
    out_dims: int
    seconds: dict[str, float]
    alone_ms: dict[str, np.ndarray]
    weights: WeightsRecord | None = None
    rerank_weights: WeightsRecord | None = None
    candidates: Ranking | None = None
    exact: Ranking | None = None
    index_settings: dict[str, int] = field(default_factory=dict)


def frames_needed(options: TestOptions, single_run: Path | None) -> frozenset[FrameKind]:
    """The kinds of frames that a test reads: those its method takes, and those that are matched to re-rank.

    Args:
        options: of the test.
        single_run: the run whose encoder describes single frames to be matched; None where none does.
    """
    methods = [options.pooling]
    if options.rerank == "single+seqmatch":
        methods.append(options.rerank)
    if single_run is not None:
        methods.append(str(read_flags(single_run, options.save_path).get("pooling")))
    return frozenset(frames_taken(method) for method in methods if method != "s1+seqmatch")


def describe(scene: Scene, options: TestOptions, run: Path | None) -> Described:
    """Encode every window of both sides."""
    loaded = load_method(scene, options, run)
    encoder = loaded.encoder.to(scene.device)
    with as_user_error(f"`index` {options.index}"):
        check_index(options.index, encoder.encoding_dims(options.sequence_length))
    vectors: dict[str, np.ndarray] = {}
    seconds: dict[str, float] = {}
    for name, side in (("reference", scene.reference), ("query", scene.query)):
        with timed(seconds, f"encode_{name}"):
            vectors[name] = encode_side(encoder, side, scene.device, options.amp)
    return Described(loaded, vectors["reference"], vectors["query"], seconds)


def load_method(scene: Scene, options: TestOptions, run: Path | None) -> LoadedEncoder:
    """The encoder that the options name, with the weights of ``run``."""
    return load_encoder(
        options.part("pooling"),
        options.pooling,
        scene.in_dims(frames_taken(options.pooling)),
        options.sequence_length,
        run=run,
        save_path=options.save_path,
        checkpoint=options.ckpt,
        dataset=options.dataset,
    )


def load_single_frames(scene: Scene, options: TestOptions, run: Path) -> LoadedEncoder:
    """The encoder of a run, for the single frames that ``s1+seqmatch`` matches.

    Raises:
        UserError: the run has no such encoder, or one that does not fit the data.
    """
    reranks = options.rerank == "s1+seqmatch"
    single = replace(options, sequence_length=1, given=options.given - {"sequence_length", "pooling"})
    if reranks:  # what was given is of the method that finds the candidates
        single = replace(single, given=frozenset(), chosen={})
    try:
        single = single.restored(read_flags(run, options.save_path), ("pooling",), str(run))
        return load_method(scene, single, run)
    except UserError as error:
        raise UserError(
            f"`{'rerank_resume' if reranks else 'resume'}` {run} cannot describe single frames ({error}); name a run "
            "trained with `sequence_length` 1 `w` 1"
        ) from error


def search_descriptors(scene: Scene, options: TestOptions, described: Described) -> Answer:
    """Answer by nearest-neighbour search of sequence descriptors."""
    k = min(max(max(KS), options.top_k if options.rerank else 0), len(scene.reference))
    seconds = dict(described.seconds)
    with timed(seconds, "search"), as_user_error(f"`index` {options.index}"):
        index = Index(described.reference, options.index, device=scene.device, seed=options.seed)
        ranking = index.search(described.query, k)
    exact = None
    if options.index != EXACT:
        exact = Index(described.reference, EXACT, device=scene.device).search(described.query, k)

    encoder = described.encoder.encoder
    frames = frames_of(scene.query.traverse, encoder, scene.device)
    length = scene.query.length
    return Answer(
        ranking=ranking,
        out_dims=described.reference.shape[1],
        seconds=seconds,
        alone_ms=one_at_a_time(
            scene,
            options,
            {
                "encode": lambda i: encode(
                    encoder, frames, scene.query.starts[i : i + 1], length, amp=options.amp
                ).cpu(),
                "search": lambda i: index.search(described.query[i : i + 1], k),
            },
        ),
        weights=described.encoder.weights,
        exact=exact,
        index_settings=index.settings,
    )


def match_frames(
    scene: Scene, options: TestOptions, single: LoadedEncoder | None, candidates: np.ndarray | None
) -> Answer:
    """Answer by matching the frames of windows: against all references, or only ``candidates`` (M, K).

    Args:
        scene, options: what is matched and how.
        single: describes the frames, see :func:`load_single_frames`; None: they are matched raw.
        candidates: window numbers of the reference, -1 for none.
    """
    seconds: dict[str, float] = {}
    reference, query = frame_sets(scene, options, single, seconds)
    matcher, settings = matching(options, scene.device)
    k = min(max(KS), len(scene.reference))
    if candidates is None:
        step = "search"

        def find(queries: SequenceSet, rows: slice) -> Ranking:
            return match(matcher, reference, queries, k, **settings)
    else:
        step = "rerank"

        def find(queries: SequenceSet, rows: slice) -> Ranking:
            return rerank(matcher, reference, queries, candidates[rows], **settings)

    with timed(seconds, step), as_user_error("`match_memory_mib`"):
        ranking = find(query, slice(None))
    return Answer(
        ranking=ranking,
        out_dims=0,
        seconds=seconds,
        alone_ms=one_at_a_time(
            scene,
            options,
            ({} if single is None else {"encode": single_frames_of_window(scene, options, single)})
            | {step: lambda i: find(query.window(i), slice(i, i + 1))},
        ),
        weights=None if single is None else single.weights,
        candidates=None if candidates is None else Ranking(candidates, np.zeros(candidates.shape, np.float32)),
    )


def rerank_answer(scene: Scene, options: TestOptions, answer: Answer, single: LoadedEncoder | None) -> Answer:
    """Re-order the first ``top_k`` of an answer by matching frames, which ``single`` describes as in
    :func:`match_frames`; what lay behind them is dropped."""
    seconds = dict(answer.seconds)
    if options.rerank_length:
        scene = scene.with_length(options.rerank_length, "--rerankSeqL")
    reference, query = frame_sets(scene, options, single, seconds)
    matcher, settings = matching(options, scene.device)
    candidates = answer.ranking.first(options.top_k)
    with timed(seconds, "rerank"), as_user_error("`match_memory_mib`"):
        ranking = rerank(matcher, reference, query, candidates.indices, **settings)

    describe_frames = None if single is None else single_frames_of_window(scene, options, single)

    def rerank_one(i: int) -> Ranking:
        if describe_frames is not None:
            describe_frames(i)
        return rerank(matcher, reference, query.window(i), candidates.indices[i : i + 1], **settings)

    return replace(
        answer,
        ranking=ranking,
        candidates=answer.ranking,
        seconds=seconds,
        rerank_weights=None if single is None else single.weights,
        alone_ms=answer.alone_ms | one_at_a_time(scene, options, {"rerank": rerank_one}),
    )


def rerank_locally(scene: Scene, options: TestOptions, answer: Answer) -> Answer:
    """Re-order the first ``top_k`` of an answer by the local features that a window's own frame shares with theirs.

    The distance of a pair is the number of its mutual matches, negated.

    Raises:
        UserError: as :func:`local_features_of`.
    """
    reference, query = local_features_of(scene)
    candidates = answer.ranking.first(options.top_k)

    def find(first: int, last: int) -> Ranking:
        numbers = candidates.indices[first:last]
        rows = np.where(numbers < 0, -1, scene.reference.rows[numbers])
        found = local_features.rerank(
            query,
            reference,
            rows,
            query_rows=scene.query.rows[first:last],
            device=scene.device,
            memory_bytes=options.match_memory_mib << 20,
        )
        windows = np.where(found.indices < 0, -1, np.searchsorted(scene.reference.rows, found.indices))
        return Ranking(windows, np.where(windows < 0, np.inf, -found.scores).astype(np.float32))

    seconds = dict(answer.seconds)
    with timed(seconds, "rerank"):
        ranking = find(0, len(candidates))
    return replace(
        answer,
        ranking=ranking,
        candidates=answer.ranking,
        seconds=seconds,
        alone_ms=answer.alone_ms | one_at_a_time(scene, options, {"rerank": lambda i: find(i, i + 1)}),
    )


def local_features_of(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """The local features of both traverses, (N, F, C) and (M, G, C).

    Raises:
        UserError: a traverse has none, or the two do not have the same ones.
    """
    found = []
    for side in (scene.reference, scene.query):
        if side.traverse.local_features is None:
            raise UserError(
                f"`rerank` local: {side.traverse.source} has no local features beside it; extract it with --local and "
                "an image encoder that has them, such as fol"
            )
        found.append(side.traverse.local_features)
    reference, query = found
    if reference.shape[2] != query.shape[2]:
        raise UserError(f"`rerank` local: local features of {reference.shape[2]} and {query.shape[2]} dimensions")
    return reference, query


def one_at_a_time(
    scene: Scene, options: TestOptions, steps: dict[str, Callable[[int], object]]
) -> dict[str, np.ndarray]:
    """Milliseconds of steps that answer the i-th query, for ``latency_queries`` queries spread along the traverse."""
    if options.latency_queries < 1:
        return {}
    queries = len(scene.query)
    chosen = np.unique(np.linspace(0, queries - 1, min(options.latency_queries, queries)).astype(int)).tolist()

    def milliseconds(step: Callable[[int], object], i: int) -> float:
        begun = time.perf_counter()
        step(i)
        return 1000 * (time.perf_counter() - begun)

    times = {}
    for name, step in steps.items():
        step(chosen[0])  # the first call pays for set-up
        times[name] = np.array([milliseconds(step, i) for i in chosen])
    return times


def frame_sets(
    scene: Scene, options: TestOptions, single: LoadedEncoder | None, seconds: dict[str, float]
) -> tuple[SequenceSet, SequenceSet]:
    """The windows of both sides as frames to be matched: raw, or as ``single`` describes them."""
    if single is None:
        reference, query = (
            sequence_set(side, side.traverse.need_descriptors(), normalise=True)
            for side in (scene.reference, scene.query)
        )
        return reference, query
    encoder, sets = single.encoder.to(scene.device), []
    for name, side in (("reference", scene.reference), ("query", scene.query)):
        with timed(seconds, f"encode_{name}"):
            frames = frames_of(side.traverse, encoder, scene.device)
            sets.append(sequence_set(side, encode(encoder, frames, np.arange(len(frames)), 1, amp=options.amp)))
    return sets[0], sets[1]


def single_frames_of_window(scene: Scene, options: TestOptions, single: LoadedEncoder) -> Callable[[int], Tensor]:
    """Describes all frames of the i-th query window, (L, O), as a robot must that has just come to it."""
    encoder = single.encoder.to(scene.device)
    frames = frames_of(scene.query.traverse, encoder, scene.device)

    def describe_frames(i: int) -> Tensor:
        rows = scene.query.starts[i] + np.arange(scene.query.length)
        return encode(encoder, frames, rows, 1, amp=options.amp).cpu()

    return describe_frames


def sequence_set(side: Windows, frames: np.ndarray | Tensor, normalise: bool = False) -> SequenceSet:
    """The windows of one side over ``frames``."""
    bounds = side.traverse.bounds[side.rows]
    return SequenceSet(frames, side.starts, side.length, bounds, normalise).measured()


def make_matcher(options: TestOptions) -> SequenceMatcher:
    """The sequence matcher.

    Raises:
        UserError: its options make no sense.
    """
    if options.matcher != "seqslam":
        return MATCHERS[options.matcher]()
    with as_user_error("`velocities`, `contrast_window`"):
        slowest, fastest, step = options.velocities
        return MATCHERS["seqslam"](slowest, fastest, step, options.contrast_window)


def matching(options: TestOptions, device: torch.device) -> tuple[SequenceMatcher, dict]:
    """The sequence matcher and the settings both of its uses share."""
    return make_matcher(options), {
        "memory_bytes": options.match_memory_mib << 20,
        "reverse": options.reverse,
        "device": device,
    }


def read_predictions(options: TestOptions, scene: Scene) -> np.ndarray:
    """The first ``--topK`` predictions of a results file: (M, K) int64.

    Raises:
        UserError: not a results file, or one of other data.
    """
    path = options.predictions_file
    try:
        with np.load(path, allow_pickle=False) as file:
            predictions = file["preds"]
    except (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile) as error:
        raise UserError(f"--predictionsFile {path}: not a results file with preds ({error})") from error
    integers = predictions.ndim == 2 and predictions.shape[1] and np.issubdtype(predictions.dtype, np.integer)
    if not integers or len(predictions) != len(scene.query):
        raise UserError(
            f"--predictionsFile {path} holds preds of shape {predictions.shape} {predictions.dtype}, wanted integers "
            f"for {len(scene.query)} queries; it was made on another split, or with another --seqL_filterData"
        )
    if predictions.max() >= len(scene.reference) or predictions.min() < -1:
        raise UserError(
            f"--predictionsFile {path} names references {predictions.min()} to {predictions.max()}, but there are "
            f"{len(scene.reference)}; it was made on other data"
        )
    return predictions[:, : options.top_k].astype(np.int64)


@contextmanager
def timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    """Add the time the block takes to ``seconds[step]``."""
    begun = time.perf_counter()
    yield
    seconds[step] = seconds.get(step, 0.0) + time.perf_counter() - begun


@contextmanager
def as_user_error(argument: str) -> Iterator[None]:
    """Turn a ValueError of the matching room into a UserError that names the argument it comes from."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"{argument}: {error}") from error
