"""Answers by search of sequence descriptors."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from opticornet.evaluation.answering.answer import Answer
from opticornet.evaluation.answering.timing import one_at_a_time, timed
from opticornet.evaluation.equal_windows import EqualWindows
from opticornet.evaluation.metrics import KS
from opticornet.evaluation.scene import Scene, encode_side
from opticornet.inference.encode import encode, frames_of
from opticornet.inference.load import LoadedEncoder
from opticornet.matching.search import EXACT, Index
from opticornet.utils.errors import as_user_error


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
    scene: Scene,
    described: Described,
    settings: SearchSettings,
    equal: EqualWindows,
    kept_apart: EqualWindows | None = None,
    *,
    amp: bool = False,
    latency_queries: int = 0,
) -> Answer:
    """Answer by nearest-neighbour search of sequence descriptors.

    Args:
        scene: what is searched for what.
        described: both sides, of :func:`indexed`.
        settings: of the search.
        equal: references that are one answer.
        kept_apart: those of them that are one to what comes after, too; None: all.
        amp: encode the queries that are timed alone in bfloat16, as ``described`` was.
        latency_queries: queries to time one at a time.
    """
    index = described.index
    assert index is not None
    kept_apart = kept_apart or equal
    k = kept_apart.depth(settings.depth)
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
        ranking=kept_apart.distinct(ranking, settings.depth),
        each=ranking.first(settings.depth),
        equal=equal,
        searched_equal=equal,
        out_dims=described.reference.shape[1],
        seconds=seconds,
        alone_ms=one_at_a_time(len(query), steps, latency_queries),
        backwards=np.full(len(query), query.backwards),
        weights=described.encoder.weights,
        exact=exact and kept_apart.distinct(exact, settings.depth),
        index_settings=index.settings,
    )
