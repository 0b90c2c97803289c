"""How long answering takes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from opticornet.matching.search import search_threads
from opticornet.utils.device import cpu_threads

_WARM_UP = 3  # queries answered before any is timed


@contextmanager
def timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    """Add the time the block takes to ``seconds[step]``."""
    begun = time.perf_counter()
    yield
    seconds[step] = seconds.get(step, 0.0) + time.perf_counter() - begun


def summed(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Keys of either, values of one name added."""
    return first | {key: first[key] + value if key in first else value for key, value in second.items()}


def timed_queries(queries: int, wanted: int) -> list[int]:
    """Which queries are timed: ``wanted`` of them, spread along the traverse."""
    return np.unique(np.linspace(0, queries - 1, min(wanted, queries)).astype(int)).tolist()


def one_at_a_time(queries: int, steps: dict[str, Callable[[int], object]], wanted: int) -> dict[str, np.ndarray]:
    """Milliseconds of steps that answer the i-th query, for ``wanted`` of the queries, spread along the traverse; with
    one CPU thread, as the times of many vary with what else the machine does."""
    if wanted < 1:
        return {}
    chosen = timed_queries(queries, wanted)

    def milliseconds(step: Callable[[int], object], i: int) -> float:
        begun = time.perf_counter()
        step(i)
        return 1000 * (time.perf_counter() - begun)

    times = {}
    with cpu_threads(1), search_threads(1):
        for name, step in steps.items():
            for i in chosen[:_WARM_UP]:  # the first calls pay for set-up
                step(i)
            times[name] = np.array([milliseconds(step, i) for i in chosen])
    return times
