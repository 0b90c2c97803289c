"""Times that can be compared on a machine that is never quite quiet."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Seconds of several functions, one list each, of the same rounds."""

    seconds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """Median seconds of ``name``."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, limit: str) -> float:
        """Median over the rounds of the time of ``name`` over that of ``limit`` just before or after it."""
        pairs = zip(self.seconds[name], self.seconds[limit], strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


def interleave(functions: dict[str, Callable[[], object]], repeats: int = 5) -> Timing:
    """Run every function once to warm up, then ``repeats`` rounds of all of them, each round in the other direction.

    What else the machine does then touches neighbours in a round alike, and their ratio hardly.
    """
    for function in functions.values():
        function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    names = list(functions)
    for _ in range(repeats):
        for name in names:
            begun = time.perf_counter()
            functions[name]()
            seconds[name].append(time.perf_counter() - begun)
        names.reverse()
    return Timing(seconds)
