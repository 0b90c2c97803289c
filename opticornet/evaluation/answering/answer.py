"""What a method answers: ranked references of every query."""

from dataclasses import dataclass, field, replace

import numpy as np

from opticornet.evaluation.answering.timing import summed
from opticornet.evaluation.equal_windows import EqualWindows
from opticornet.inference.load import WeightsRecord
from opticornet.matching.ranking import Ranking


@dataclass(frozen=True)
class Answer:
    """Ranked references of every query, and how they were found.

    Attributes:
        ranking: (M, K) window numbers of the reference and their distances.
        each: (M, K) the same where every reference stands for itself: SeqNet's.
        equal: which references each one in ``ranking`` stands for.
        searched_equal: the same of ``candidates`` and ``exact``.
        out_dims: of the searched descriptor, 0 where frames were matched.
        seconds: of the steps.
        alone_ms: step to milliseconds of some queries, answered one at a time.
        weights, rerank_weights: what was loaded.
        candidates: the whole ranking before re-ranking.
        exact: the exact ranking, where an approximate index gave ``ranking``.
        index_settings: of an approximate index, see ``opticornet.matching.search.Index``.
        backwards: (M,) bool, queries whose windows were read backwards.
        paces: of the map, as the ``ways`` of a ranking count them, anew for each direction.
    """

    ranking: Ranking
    each: Ranking
    equal: EqualWindows
    searched_equal: EqualWindows
    out_dims: int
    seconds: dict[str, float]
    alone_ms: dict[str, np.ndarray]
    backwards: np.ndarray
    weights: WeightsRecord | None = None
    rerank_weights: WeightsRecord | None = None
    candidates: Ranking | None = None
    exact: Ranking | None = None
    index_settings: dict[str, int] = field(default_factory=dict)
    paces: tuple[float, ...] = (1.0,)

    @property
    def found_at(self) -> np.ndarray:
        """(M, K) float64: the pace of the map at which each reference was found."""
        return np.array(self.paces)[self.ranking.ways_from(0) % len(self.paces)]


ROUNDING = 1e-4  # of a distance in float32, where most of two unit vectors cancels


def better(forwards: Answer, reverse: Answer) -> Answer:
    """Of each query the answer whose first reference is nearer: forwards where they differ by rounding alone, or none
    found any. Both answer the same queries by the same method, which took the time of both."""
    first_distances, second_distances = (one.ranking.distances[:, 0] for one in (forwards, reverse))
    as_near = np.isclose(first_distances, second_distances, rtol=ROUNDING, atol=1e-6)
    backwards = (second_distances < first_distances) & ~as_near

    def chosen(first: Ranking | None, second: Ranking | None) -> Ranking | None:
        if first is None or second is None:
            return None
        return Ranking(
            np.where(backwards[:, None], second.indices, first.indices),
            np.where(backwards[:, None], second.distances, first.distances),
            np.where(backwards[:, None], second.ways_from(len(forwards.equal.shown)), first.ways_from(0)),
        )

    ranking, each = chosen(forwards.ranking, reverse.ranking), chosen(forwards.each, reverse.each)
    assert ranking is not None
    assert each is not None
    return replace(
        forwards,
        ranking=ranking,
        each=each,
        equal=forwards.equal.or_of(reverse.equal),
        searched_equal=forwards.searched_equal.or_of(reverse.searched_equal),
        candidates=chosen(forwards.candidates, reverse.candidates),
        exact=chosen(forwards.exact, reverse.exact),
        seconds=summed(forwards.seconds, reverse.seconds),
        alone_ms=summed(forwards.alone_ms, reverse.alone_ms),
        backwards=backwards,
    )
