"""Lines of markdown tables."""

import statistics
from typing import Any

Outcome = dict[str, Any]


def recalls(outcomes: list[Outcome], deviation: bool = True, count: str = "recall_each") -> str:
    """Mean and standard deviation of R@1 and of R@5; no deviation where there is one number. They are counted as SeqNet
    does, or by ``recall`` with equal windows as one answer."""
    cells = []
    for k in ("1", "5"):
        values = [outcome[count][k] for outcome in outcomes]
        spread = f" ± {statistics.stdev(values):.3f}" if deviation and len(values) > 1 else ""
        cells.append(f"{statistics.mean(values):.3f}{spread}")
    return " | ".join(cells)


def header_of(*columns: str) -> list[str]:
    """A header whose columns may hold several, divided by bars."""
    text = line(*columns)
    return [text, "|---" * (text.count("|") - 1) + "|"]


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
