"""What decides which epoch's weights are kept: a number that a validation gives, the larger the better."""

from collections.abc import Callable, Mapping

AVERAGE_PRECISION = "average-precision"  # what it is called among measures and metrics
OTHER_PACES = "paces-"  # begins what a metric is called that is of queries at other paces
_RECALL = "recall@"


def recall_name(k: int) -> str:
    """What recall@K is called among metrics."""
    return f"{_RECALL}{k}"


def recalls_of(metrics: Mapping[str, float]) -> dict[int, float]:
    """The recalls among metrics: K to recall@K."""
    return {int(name.removeprefix(_RECALL)): value for name, value in metrics.items() if name.startswith(_RECALL)}


def mean_recall(metrics: Mapping[str, float]) -> float:
    """The mean of recall@1 and recall@5: the one still moves where the other has nearly reached 1."""
    return (metrics[recall_name(1)] + recall_at_5(metrics)) / 2


def recall_at_5(metrics: Mapping[str, float]) -> float:
    """Recall@5; recall@1 where there are fewer than 5 references."""
    return metrics.get(recall_name(5), metrics[recall_name(1)])


MEASURES: dict[str, Callable[[Mapping[str, float]], float]] = {
    "mean-recall": mean_recall,
    AVERAGE_PRECISION: lambda metrics: metrics[AVERAGE_PRECISION],
    "recall@1": lambda metrics: metrics[recall_name(1)],
    "recall@5": recall_at_5,
}


def score_of(metrics: Mapping[str, float], measure: str) -> tuple[float, float]:
    """What decides between two validations: a measure of ``MEASURES``, recall@1 where it is equal."""
    return MEASURES[measure](metrics), metrics[recall_name(1)]
