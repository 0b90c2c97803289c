"""Answers by search of sequence descriptors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from torch import Tensor

from opticornet.datasets.altered import at_speed
from opticornet.evaluation.answering.answer import Answer
from opticornet.evaluation.answering.at_hand import adapting_newest, of_timed_queries
from opticornet.evaluation.answering.paces import AS_RECORDED, MapPaces
from opticornet.evaluation.answering.timing import one_at_a_time, timed
from opticornet.evaluation.equal_windows import EqualWindows
from opticornet.evaluation.metrics import KS
from opticornet.evaluation.scene import Scene, encode_side
from opticornet.inference.encode import encode, frames_of
from opticornet.inference.load import LoadedEncoder
from opticornet.matching.ranking import Ranking, concatenate, of_all_ways
from opticornet.matching.search import EXACT, Index
from opticornet.utils.errors import as_user_error

_FOUND = 1 << 22  # references that are found at a time, at all paces


@dataclass(frozen=True)
class SearchSettings:
    """How sequence descriptors are searched.

    Attributes:
        index: a faiss ``index_factory`` string; "Flat" is exact.
        probes: lists of an inverted file that are visited per query; None: a sixteenth of them.
        seed: of an index's clustering.
        depth: references per query, at least.
        paces: of the map.
    """

    index: str = EXACT
    probes: int | None = None
    seed: int = 0
    depth: int = max(KS)
    paces: MapPaces = AS_RECORDED


@dataclass(frozen=True)
class Described:
    """Both sides as sequence descriptors.

    Attributes:
        encoder: what encoded them.
        starts: (N,) int64 first frame of each reference window.
        references: (N, O) float32 unit rows on the CPU, at each pace of the map.
        query: (M, O) float32 unit rows on the CPU.
        seconds: of the steps that this took.
        indexes: the references at each pace, ready to be searched; none before :func:`indexed`.
    """

    encoder: LoadedEncoder
    starts: np.ndarray
    references: tuple[np.ndarray, ...]
    query: np.ndarray
    seconds: dict[str, float]
    indexes: tuple[Index, ...] = ()

    @property
    def reference(self) -> np.ndarray:
        """(N, O) float32: the references as they were recorded."""
        return self.references[0]


def describe(
    scene: Scene,
    loaded: LoadedEncoder,
    *,
    paces: tuple[float, ...] = AS_RECORDED.paces,
    amp: bool = False,
    known: Described | None = None,
) -> Described:
    """Encode every window of both sides.

    Args:
        scene: whose windows.
        loaded: the encoder.
        paces: at which the references are encoded, the first 1.
        amp: encode in bfloat16.
        known: at the same paces, of a scene whose references are not encoded again where their windows are the same:
            another split's, or the same one driven the other way.
    """
    encoder = loaded.encoder.to(scene.device)
    starts, seconds = scene.reference.starts, dict[str, float]()
    if known is not None and np.array_equal(known.starts, starts):
        references, indexes = known.references, known.indexes
    else:
        with timed(seconds, "encode_reference"):
            sides = (at_speed(scene.reference, pace) for pace in paces)
            references, indexes = tuple(encode_side(encoder, side, scene.device, amp) for side in sides), ()
    with timed(seconds, "encode_query"):
        query = encode_side(encoder, scene.query, scene.device, amp)
    return Described(loaded, starts, references, query, seconds, indexes)


def indexed(scene: Scene, described: Described, settings: SearchSettings) -> Described:
    """With the references ready to be searched.

    Raises:
        UserError: the index does not fit the data.
    """
    if described.indexes:
        return described
    seconds = dict(described.seconds)
    with timed(seconds, "search"), as_user_error(f"`index` {settings.index}"):
        indexes = tuple(
            Index(reference, settings.index, device=scene.device, seed=settings.seed, probes=settings.probes)
            for reference in described.references
        )
    return replace(described, indexes=indexes, seconds=seconds)


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
    kept_apart, factors = kept_apart or equal, settings.paces.factors
    alone, k = EqualWindows.each(len(described.reference), len(factors)), kept_apart.depth(settings.depth)

    def search(indexes: Sequence[Index], queries: slice) -> Ranking:
        """The nearest of each pace: behind them, a pace has only references with ``k`` others before them."""
        return of_all_ways([index.search(described.query[queries], k) for index in indexes], factors)

    def distinct(indexes: Sequence[Index]) -> tuple[Ranking, Ranking]:
        """All queries' answers, and the same where every reference stands for itself."""
        block = max(1, _FOUND // (k * len(factors)))
        found = (search(indexes, slice(first, first + block)) for first in range(0, len(described.query), block))
        parts = [(kept_apart.distinct(one, settings.depth), alone.distinct(one, settings.depth)) for one in found]
        answers, each = (concatenate(of_blocks) for of_blocks in zip(*parts, strict=True))
        return answers, each

    seconds = dict(described.seconds)
    with timed(seconds, "search"):
        ranking, each = distinct(described.indexes)
    exact = None
    if settings.index != EXACT:
        exact, _ = distinct([Index(one, EXACT, device=scene.device) for one in described.references])

    encoder = described.encoder.encoder
    query = scene.query
    frames = frames_of(of_timed_queries(query, latency_queries), encoder, scene.device)
    described_frames = query.traverse.descriptors if encoder.takes == "descriptors" else None
    adapt_newest = adapting_newest(scene.adaptation, described_frames)
    encode_some = partial(encode, length=query.length, backwards=query.backwards, amp=amp)

    def encode_one(i: int) -> Tensor:
        adapt_newest()
        return encode_some(encoder, frames, query.starts[i : i + 1]).cpu()

    steps: dict[str, Callable[[int], object]] = {
        "encode": encode_one,
        "search": lambda i: search(described.indexes, slice(i, i + 1)),
    }
    return Answer(
        ranking=ranking,
        each=each,
        equal=equal,
        searched_equal=equal,
        out_dims=described.reference.shape[1],
        seconds=seconds,
        alone_ms=one_at_a_time(len(query), steps, latency_queries),
        backwards=np.full(len(query), query.backwards),
        weights=described.encoder.weights,
        exact=exact,
        index_settings=described.indexes[0].settings,
        paces=settings.paces.paces,
    )
