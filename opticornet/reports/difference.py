"""Two results, query by query: which one finds what the other misses, and whether that is more than chance."""

import math
from dataclasses import dataclass

import numpy as np

from opticornet.evaluation.metrics import block_length, resampled_means
from opticornet.reports.protocols import protocol_key
from opticornet.reports.results import Result, Side
from opticornet.utils.errors import UserError

EXACT_UP_TO = 1000  # discordant queries; beyond, the chi-squared approximation is as good
SIGNIFICANT = 0.05
_SAMPLES = 2000


@dataclass(frozen=True)
class McNemar:
    """McNemar's test (Psychometrika 12, 1947) of two methods on the same queries, which it takes as independent.

    Attributes:
        only_first, only_second: queries that one gets right and the other wrong.
        p: two-sided probability of a difference at least as large where both were equally good.
        exact: by the binomial distribution; otherwise chi-squared with Edwards' continuity correction.
    """

    only_first: int
    only_second: int
    p: float
    exact: bool


def mcnemar(only_first: int, only_second: int) -> McNemar:
    """The test from its two discordant counts."""
    count, fewer = only_first + only_second, min(only_first, only_second)
    if count <= EXACT_UP_TO:
        tail = sum(math.comb(count, i) for i in range(fewer + 1))
        return McNemar(only_first, only_second, min(1.0, 2 * tail / 2**count), True)
    statistic = max(0.0, abs(only_first - only_second) - 1) ** 2 / count
    return McNemar(only_first, only_second, math.erfc(math.sqrt(statistic / 2)), False)


@dataclass(frozen=True)
class Difference:
    """What separates two results.

    Attributes:
        first, second: the results.
        both, neither: counts of the queries that agree.
        only_first, only_second: (n,) int64 query indices.
        query: the queries of both.
        test: McNemar's.
        interval: 95 % of the first's recall@1 less the second's, by blocks of neighbouring queries.
        block: queries in a block.
    """

    first: Result
    second: Result
    both: int
    neither: int
    only_first: np.ndarray
    only_second: np.ndarray
    query: Side
    test: McNemar
    interval: tuple[float, float]
    block: int

    @property
    def queries(self) -> int:
        return self.both + self.neither + len(self.only_first) + len(self.only_second)

    @property
    def beyond_chance(self) -> bool:
        """Whether one is better by both measures: McNemar's test is right for few queries that differ but takes
        neighbours as independent, the interval is right for runs of them but too narrow for few."""
        return self.test.p < SIGNIFICANT and not self.interval[0] <= 0 <= self.interval[1]


def difference(first: Result, second: Result) -> Difference:
    """Compare the first matches of two results.

    Raises:
        UserError: they counted none, other queries or by other rules, or the arrays of one are missing.
    """
    answers = [result.need_answers("a difference") for result in (first, second)]
    for result, answer in zip((first, second), answers, strict=True):
        if not answer.counted.any():
            raise UserError(f"{result.path} counted no query (no ground truth), so it has no recall to compare")
    if not comparable(first, second):
        raise UserError(
            f"{first.path} and {second.path} followed different protocols, so their queries cannot be paired; "
            "test both on the same split with the same options of counting"
        )
    counted = answers[0].counted
    a, b = (answer.correct[:, 0] & counted for answer in answers)
    only_first, only_second = np.flatnonzero(a & ~b), np.flatnonzero(b & ~a)
    interval, block = recall_difference(first, second)
    return Difference(
        first,
        second,
        both=int((a & b).sum()),
        neither=int((~a & ~b & counted).sum()),
        only_first=only_first,
        only_second=only_second,
        query=answers[0].query,
        test=mcnemar(len(only_first), len(only_second)),
        interval=interval,
        block=block,
    )


def recall_difference(first: Result, second: Result) -> tuple[tuple[float, float], int]:
    """The 95 % interval of the first's recall@1 less the second's, and the queries in a block that it was drawn by.

    Queries stay paired: the block bootstrap of ``opticornet.evaluation.metrics`` draws from their differences.
    """
    answers, others = (result.need_answers("a difference") for result in (first, second))
    counted = answers.counted
    values = answers.correct[counted, 0].astype(np.int64) - others.correct[counted, 0]
    sequences = None if answers.query_sequences is None else answers.query_sequences[counted]
    windows = [
        int(r.get("method", key, default=1)) for r in (first, second) for key in ("sequence_length", "rerank_length")
    ]
    block = block_length(values, max(windows), sequences)
    means = resampled_means(values[:, None], block, np.random.default_rng(0), _SAMPLES, sequences)
    low, high = np.quantile(means, [0.025, 0.975])
    return (float(low), float(high)), block


def comparable(first: Result, second: Result) -> bool:
    """Whether both results answered the same queries under the same protocol."""
    a, b = first.answers, second.answers
    return (
        a is not None
        and b is not None
        and protocol_key(first) == protocol_key(second)
        and np.array_equal(a.query.rows, b.query.rows)
        and np.array_equal(a.counted, b.counted)
        and bool(a.counted.any())
    )


def verdict(found: Difference) -> str:
    """The test's outcome in a sentence."""
    test = found.test
    how = "exact binomial" if test.exact else "chi-squared with continuity correction"
    if not test.only_first + test.only_second:
        return "Both get the same queries right."
    p = f"p = {test.p:.3f}" if test.p >= 0.001 else f"p = {test.p:.1e}"
    points = 100 * (test.only_first - test.only_second) / found.queries
    low, high = (100 * bound for bound in found.interval)
    blocks = f"blocks of {found.block} neighbouring queries" if found.block > 1 else "single queries"
    reason = f"{p} (McNemar, {how}); recall@1 {points:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f} by {blocks}"
    if found.beyond_chance:
        better = found.first if test.only_first > test.only_second else found.second
        return f"{better.name} is better beyond chance: {reason}."
    if test.p < SIGNIFICANT:
        return f"No difference beyond chance once neighbouring queries are taken together: {reason}."
    return f"No difference beyond chance: {reason}."


def as_text(found: Difference) -> str:
    """The difference for the terminal."""
    names = (found.first.name, found.second.name)
    width = max(map(len, names)) + 5
    lines = [
        f"{found.first.dataset}, {found.queries} queries counted by both",
        f"  {'both right':<{width + 6}} {found.both:6d}",
        f"  {f'only {names[0]} right':<{width + 6}} {len(found.only_first):6d}",
        f"  {f'only {names[1]} right':<{width + 6}} {len(found.only_second):6d}",
        f"  {'neither right':<{width + 6}} {found.neither:6d}",
        f"  {verdict(found)}",
    ]
    for name, queries in zip(names, (found.only_first, found.only_second), strict=True):
        if len(queries):
            rows = found.query.row_names(queries)
            shown = " ".join(rows[:20]) + (f" ... ({len(rows)} in all)" if len(rows) > 20 else "")
            lines.append(f"  query rows only {name} gets right: {shown}")
    return "\n".join(lines)
