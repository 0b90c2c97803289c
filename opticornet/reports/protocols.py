"""Which results may stand in one column: those that counted the same queries in the same way."""

from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from opticornet.datasets.windows import RULES_IN_WORDS
from opticornet.reports.results import Result


@dataclass(frozen=True)
class Protocol:
    """What a group of results shares.

    Attributes:
        letter: "A", "B", ...
        dataset: dataset and split.
        text: the protocol in a sentence.
        results: indices of the group's results, in the order given.
    """

    letter: str
    dataset: str
    text: str
    results: tuple[int, ...]


def group_by_protocol(results: list[Result]) -> list[Protocol]:
    """The results by protocol, in order of first appearance."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for index, result in enumerate(results):
        groups.setdefault(protocol_key(result), []).append(index)
    return [
        Protocol(_letter(number), results[members[0]].dataset, describe(results[members[0]]), tuple(members))
        for number, members in enumerate(groups.values())
    ]


def protocol_key(result: Result) -> tuple[Any, ...]:
    """Equal for results whose numbers may be compared."""
    data = [result.get("data", key) for key in ("dataset", "split", "units", "positive_radius")] + [truth_of(result)]
    sides = [result.get("data", side, key) for side in ("reference", "query") for key in ("name", "frames", "kept")]
    counts = [result.get("protocol", key) for key in ("no_positive", "queries", "counted", "window_rule")]
    return (*data, *sides, *counts, result.get("protocol", "equal_windows", default="each"))


def describe(result: Result) -> str:
    """The protocol in a sentence."""
    reference, query = (result.get("data", side, "name", default="?") for side in ("reference", "query"))
    queries, counted = (result.get("protocol", key, default="?") for key in ("queries", "counted"))
    references = f"{result.get('data', 'reference', 'kept', default='?')} references"
    if truth_of(result) == "none":
        return f"{query} searched in {reference}, {queries} queries, no ground truth, {references}"
    radius = result.get("data", "positive_radius")
    within = "by the dataset's table" if radius is None else f"within {radius:g} {unit(radius, result.units)}"
    text = f"{query} searched in {reference}, correct {within}, {counted} of {queries} queries counted"
    without = result.get("protocol", "without_positive", default=0)
    if without:
        rule = _NO_POSITIVE_RULES[result.get("protocol", "no_positive", default="drop")]
        text += f" ({without} without a positive {rule if counted else 'left out'})"
    usual = RULES_IN_WORDS["centred"]
    rule = result.get("protocol", "window_rule", default=usual)
    if rule != usual:
        text += f", windows {rule}"
    if result.get("protocol", "equal_windows", default="each") == "each":
        text += ", references with the same window judged one by one"
    return f"{text}, {references}"


def truth_of(result: Result) -> str:
    """What says which answers are right: "radius", "table" or "none"."""
    kind = result.get("data", "truth", default="")
    return kind or ("table" if result.get("data", "positive_radius") is None else "radius")


def unit(amount: float, units: str) -> str:
    """ "frame" for one, "frames" for more."""
    return units.removesuffix("s") if amount == 1 else units


_NO_POSITIVE_RULES = {"drop": "left out", "count": "counted as failures"}


def _letter(number: int) -> str:
    tens, ones = divmod(number, 26)
    return (ascii_uppercase[tens - 1] if tens else "") + ascii_uppercase[ones]
