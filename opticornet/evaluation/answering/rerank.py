"""Answers whose first candidates are put in another order."""

from dataclasses import replace

from opticornet.evaluation.answering.answer import Answer
from opticornet.evaluation.answering.at_hand import windows_at_hand
from opticornet.evaluation.answering.described_windows import DescribedWindows
from opticornet.evaluation.answering.matching import MatchedFrames, MatchSettings
from opticornet.evaluation.answering.timing import one_at_a_time, summed, timed
from opticornet.evaluation.equal_windows import EqualWindows
from opticornet.evaluation.scene import Scene
from opticornet.matching.memory import MemoryTooSmall
from opticornet.matching.ranking import Ranking
from opticornet.matching.rerankers.base import Reranker, RerankMaterial, RerankSide
from opticornet.matching.rerankers.mixing import ways_of
from opticornet.utils.errors import as_user_error


def rerank_answer(
    scene: Scene,
    answer: Answer,
    reranker: Reranker,
    top_k: int,
    settings: MatchSettings,
    equal: EqualWindows,
    kept_apart: EqualWindows,
    frames: MatchedFrames | DescribedWindows | None = None,
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
        equal: references that are one answer, re-ranked.
        kept_apart: those that were one answer when searched: that both stages see as one.
        frames: of both sides, or windows of them, where the re-ranker compares such.
        amp: describe frames in bfloat16.
        latency_queries: queries to time one at a time.

    Raises:
        UserError: the traverses lack what is compared, or the memory is too small.
    """
    seconds = dict(answer.seconds)
    candidates, each = answer.ranking.first(top_k), answer.each.first(top_k)
    scene = scene.with_length(reranker.window_length(scene.query.length), "rerank_length")
    reference, query = rerank_sides(scene)
    if frames is not None:
        windows = frames.windows_of(scene)
        seconds = summed(seconds, frames.seconds)
        reference, query = replace(reference, windows=windows[0]), replace(query, windows=windows[1])
    material = RerankMaterial(reference, query, settings.matcher, settings.memory_bytes, scene.device)
    with timed(seconds, "rerank"), as_user_error("`match_memory_mib`", MemoryTooSmall):
        ranking = reranker.rerank(material, candidates, slice(None))
    ranking = replace(ranking, ways=ways_of(candidates, ranking.indices))

    single = None if frames is None else frames.single
    describe_query = None if frames is None else frames.describing(scene, amp, latency_queries)
    if frames is not None:
        windows = windows_at_hand(*windows, latency_queries, settings.memory_bytes)
        reference, query = replace(reference, windows=windows[0]), replace(query, windows=windows[1])
        material = replace(material, reference=reference, query=query)

    def rerank_one(i: int) -> Ranking:
        if describe_query is not None:
            describe_query(i)
        one = slice(i, i + 1)
        return reranker.rerank(material, Ranking(candidates.indices[one], candidates.distances[one]), one)

    return replace(
        answer,
        ranking=equal.distinct(ranking),
        each=kept_apart.spread(ranking, each.indices, each.ways),
        equal=equal,
        candidates=answer.ranking,
        seconds=seconds,
        rerank_weights=None if single is None else single.weights,
        alone_ms=answer.alone_ms | one_at_a_time(len(scene.query), {"rerank": rerank_one}, latency_queries),
    )


def rerank_sides(scene: Scene) -> tuple[RerankSide, RerankSide]:
    """Reference and query as a re-ranker sees them, without descriptors of frames."""
    reference, query = (
        RerankSide(side.traverse.source or side.traverse.name, side.frames, local_features=side.traverse.local_features)
        for side in (scene.reference, scene.query)
    )
    return reference, query
