import numpy as np
import pytest

from opticornet.evaluation.metrics import resampled_means
from opticornet.reports.difference import as_text, difference, mcnemar, verdict
from opticornet.reports.results import read_result
from opticornet.utils.errors import UserError


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (10, 2, 0.038574), (3, 3, 1.0)],  # by hand: 2 * sum C(n, i) / 2^n
)
def test_exact_mcnemar(only_first, only_second, p):
    test = mcnemar(only_first, only_second)
    assert test.exact
    assert test.p == pytest.approx(p, abs=1e-6)
    assert mcnemar(only_second, only_first).p == test.p


def test_large_counts_agree_with_the_chi_squared_distribution():
    test = mcnemar(700, 600)  # (100 - 1)^2 / 1300 = 7.539, upper tail of chi-squared with one degree 0.00604
    assert not test.exact
    assert test.p == pytest.approx(0.00604, abs=1e-5)
    assert mcnemar(505, 495).exact
    assert mcnemar(520, 490).p == pytest.approx(mcnemar(515, 485).p, abs=0.02)


def test_queries_that_only_one_gets_right(record):
    first = read_result(record("a", wrong=(1, 2, 3)))
    second = read_result(record("b", wrong=(3, 4), label="other"))
    found = difference(first, second)
    assert (found.both, found.neither, found.queries) == (16, 1, 20)
    assert found.only_first.tolist() == [4]
    assert found.only_second.tolist() == [1, 2]
    assert "No difference beyond chance: p = 1.000" in verdict(found)
    assert "only other gets right: 1 2" in as_text(found)


def test_the_better_one_is_named(record):
    found = difference(
        read_result(record("a", wrong=())), read_result(record("b", wrong=tuple(range(10)), label="bad"))
    )
    assert verdict(found).startswith("smooth S5 is better beyond chance: p = 0.002")


def pair(record, wrong: range, sequences: int = 1):
    """The difference of a result without mistakes and one with some, of 60 queries."""
    results = []
    for name, mistakes in (("a", ()), ("b", tuple(wrong))):
        path = record(name, wrong=mistakes, queries=60, label=name)
        with np.load(path.with_suffix(".npz")) as file:
            arrays = dict(file)
        np.savez(path.with_suffix(".npz"), **arrays, querySequences=np.arange(60) * sequences // 60)
        results.append(read_result(path))
    return difference(*results)


def test_mistakes_in_one_place_are_one_mistake(record):
    spread, together = pair(record, range(0, 60, 7)), pair(record, range(20, 29))
    assert len(spread.only_first) == len(together.only_first) == 9
    assert spread.test.p == together.test.p < 0.05  # McNemar's test cannot tell them apart
    assert spread.beyond_chance
    assert verdict(spread).startswith("a is better beyond chance")
    assert together.block > spread.block
    assert not together.beyond_chance
    assert "once neighbouring queries are taken together" in verdict(together)
    assert f"by blocks of {together.block} neighbouring queries" in verdict(together)
    assert "recall@1 +15.0 points" in verdict(together)


def test_the_interval_is_that_of_paired_differences(record):
    found = pair(record, range(20, 29))
    values = np.zeros((60, 1))
    values[20:29] = 1
    means = resampled_means(values, found.block, np.random.default_rng(0), 2000, np.zeros(60))
    assert found.interval == pytest.approx(np.quantile(means, [0.025, 0.975]))
    assert pair(record, range(20, 29), sequences=60).block < found.block  # each query a sequence of its own


def test_other_protocols_cannot_be_paired(record):
    with pytest.raises(UserError, match="different protocols"):
        difference(read_result(record("a")), read_result(record("b", no_positive=(1,))))


def test_missing_arrays_are_said(record):
    path = record("a")
    path.with_suffix(".npz").unlink()
    with pytest.raises(UserError, match="missing"):
        difference(read_result(path), read_result(record("b")))
