"""Times that can be compared on a machine that is never quite quiet."""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


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


def parse(doc: str, **defaults: int | float | list[str]) -> argparse.Namespace:
    """A benchmark's options from the command line, each named and typed as its default, and ``--cores``, which are then
    the only ones it uses."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    for name, default in (defaults | {"cores": 2}).items():
        many = isinstance(default, list)
        parser.add_argument(f"--{name}", type=str if many else type(default), nargs="+" if many else None,
                            default=default, help=f"default {default}")  # fmt: skip
    arguments = parser.parse_args()
    use_cores(arguments.cores)
    return arguments


def use_cores(cores: int) -> None:
    """Keep this process and the libraries it has yet to load to ``cores`` cores."""
    os.environ["OMP_NUM_THREADS"] = str(cores)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def interleave(functions: dict[str, Callable[[], object]], repeats: int = 5) -> Timing:
    """Run every function once to warm up, then ``repeats`` rounds of all of them, each round in the other direction.

    What else the machine does then touches neighbours in a round alike, and their ratio hardly. On a machine that is
    never quiet, ``BENCHMARK_CLOCK=cpu`` counts the process's CPU seconds instead of the clock's (on one core, that is:
    several threads that wait for each other count their waiting).
    """
    for function in functions.values():
        function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    names = list(functions)
    for _ in range(repeats):
        for name in names:
            seconds[name] += once({name: functions[name]}).seconds[name]
        names.reverse()
    return Timing(seconds)


def once(functions: dict[str, Callable[[], object]]) -> Timing:
    """Run every function once, by the clock of :func:`interleave`."""
    clock = CLOCKS[os.environ.get("BENCHMARK_CLOCK", "wall")]
    seconds = {}
    for name, function in functions.items():
        begun = clock()
        function()
        seconds[name] = [clock() - begun]
    return Timing(seconds)
