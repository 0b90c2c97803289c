"""Recalls of the altered drives (``--stress``), results beside each other."""

from dataclasses import dataclass

from opticornet.reports.results import Result


@dataclass(frozen=True)
class StressTable:
    """Recall@1 under every condition.

    Attributes:
        conditions: in the order in which they were tested.
        results: indices of the results that were tested under any.
        recalls: of each of those, one per condition; None where a record lacks it.
    """

    conditions: tuple[str, ...]
    results: tuple[int, ...]
    recalls: tuple[tuple[float | None, ...], ...]


def stress_table(results: list[Result]) -> StressTable | None:
    """The table of those results that have one; None where none has."""
    tables = {number: result.get("stress") for number, result in enumerate(results)}
    tested = [number for number, table in tables.items() if table and isinstance(table, dict)]
    conditions = tuple(dict.fromkeys(name for number in tested for name in tables[number]))
    recalls = tuple(tuple(recall(results[number], name) for name in conditions) for number in tested)
    return StressTable(conditions, tuple(tested), recalls) if conditions else None


def recall(result: Result, condition: str) -> float | None:
    """Recall@1 under a condition; None where the record lacks it."""
    value = result.get("stress", condition, "1")
    return float(value) if isinstance(value, int | float) else None
