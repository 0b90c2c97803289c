"""Times as files write them, to seconds: one unit for a whole file."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from opticornet.utils.errors import UserError

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}  # of each unit
# What a header may call them.
UNIT_NAMES = {"sec": "s", "secs": "s", "second": "s", "seconds": "s", "msec": "ms", "usec": "us", "nsec": "ns"} | {
    f"{prefix}second{plural}": unit
    for prefix, unit in (("milli", "ms"), ("micro", "us"), ("nano", "ns"))
    for plural in ("", "s")
}
SINCE_1970_S = (1e9, 1e10)  # September 2001 to 2286
UPTIME_S = 1e7  # four months: clocks that start with the machine
STEP_S = (0.01, 10.0)  # of a camera, in the median: three decades, which leave one unit
FASTEST_POSES_S = 0.002
LONGEST_STEP_S = 60.0


def seconds_of(texts: Sequence[str], where: str, unit: str = "", fastest_s: float = STEP_S[0]) -> np.ndarray:
    """Times to seconds, in one unit: the one that is given, or the one that all of them together show.

    The unit is the one in which they lie since 1970 (2001 to 2286, neighbours at most a minute apart), or since a
    machine's start (at most four months ago, neighbours 10 ms to 10 s apart in the median). Dates and times of ISO
    8601 need no unit; without a zone they are UTC.

    Args:
        texts: N numbers, or N dates and times.
        where: the file or folder, for messages.
        unit: one of :data:`SECONDS` or :data:`UNIT_NAMES`; empty: to be decided.
        fastest_s: the shortest step they may have since a machine's start. Poses come faster than images.

    Returns:
        (N,) float64. Since 1970 a float64 holds seconds to a quarter of a microsecond.

    Raises:
        UserError: a text that is no time, or times that may be of several units or of none.
    """
    values = _numbers(texts)
    if values is None:
        return _dates(texts, where)
    unit = UNIT_NAMES.get(unit.lower(), unit.lower())
    if not unit:
        unit = _decided(values, where, fastest_s)
    elif unit not in SECONDS:
        raise UserError(f"{where}: times in {unit!r}; wanted one of {', '.join(SECONDS)}")
    return values * SECONDS[unit]


def units_of(values: np.ndarray, fastest_s: float = STEP_S[0]) -> list[str]:
    """The units that N times may have: one, unless they may be of several or of none.

    Args:
        values: (N,) float64, finite.
        fastest_s: see :func:`seconds_of`.
    """
    low, high = values.min(), values.max()
    steps = np.diff(np.unique(values))
    step = float(np.median(steps)) if len(steps) else None
    dated = [
        unit
        for unit, size in SECONDS.items()
        if low * size >= SINCE_1970_S[0]
        and high * size <= SINCE_1970_S[1]
        and (step is None or step * size <= LONGEST_STEP_S)
    ]
    if dated and step is None:
        return dated
    fastest_s = STEP_S[0] if dated else fastest_s  # a clock that ran for weeks is likely at usual steps only
    running = [
        unit
        for unit, size in SECONDS.items()
        if low >= 0
        and high * size <= UPTIME_S
        and (step is None or (0 if unit == "s" else fastest_s) <= step * size < STEP_S[1])  # no unit is above s
    ]
    return [unit for unit in SECONDS if unit in dated or unit in running]


def _decided(values: np.ndarray, where: str, fastest_s: float) -> str:
    found = units_of(values, fastest_s)
    if len(found) == 1:
        return found[0]
    several = f"may be {' or '.join(found)}" if found else f"are of none of the units {', '.join(SECONDS)}, by size"
    raise UserError(
        f"{where}: {len(values)} times from {values.min():.12g} to {values.max():.12g} {several}; give `time_unit` if "
        "the images go by them, or state the unit in the table's header, as timestamp [ns]"
    )


def _numbers(texts: Sequence[str]) -> np.ndarray | None:
    try:
        values = np.array(texts, np.float64)
    except ValueError:
        return None
    return values if len(values) and np.isfinite(values).all() else None


def _dates(texts: Sequence[str], where: str) -> np.ndarray:
    seconds = [_date(text) for text in texts]
    if None in seconds:
        bad = next(
            (text for text in texts if _date(text) is None and _numbers([text]) is None), texts[seconds.index(None)]
        )
        raise UserError(f"{where}: {bad!r} is no time; wanted numbers of one unit, or dates and times of ISO 8601")
    return np.array(seconds, np.float64)


def _date(text: str) -> float | None:
    """Seconds since 1970 of a date and time; digits below a microsecond are cut."""
    head, point, tail = text.strip().rpartition(".")
    digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
    if point and len(digits) > 6:
        text = f"{head}.{digits[:6]}{tail[len(digits) :]}"
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
