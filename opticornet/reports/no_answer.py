"""What a result says of "no answer", in words and as a point of the precision-recall curve."""

from opticornet.reports.results import Result


def facts(result: Result) -> list[tuple[str, str]]:
    """Names and texts: the threshold, how queries with and without a place fare by it, how well the two are told
    apart; empty where a record says nothing of it."""
    found = []
    threshold = result.get("no_answer", "threshold")
    if threshold is not None:
        chosen_on = result.get("no_answer", "chosen_on", default="")
        origin = f"{result.get('no_answer', 'criterion', default='given')}{f' on {chosen_on}' if chosen_on else ''}"
        counts = f"{_tested(result, 'answered')} answered, {_tested(result, 'refused')} refused"
        found.append(("no answer above", f"{threshold:.4g} ({origin}): {counts}"))
    if _tested(result, "right") is not None:
        right, wrong, refused = (_tested(result, key) for key in ("right", "wrong", "refused_with_place"))
        found.append(("queries with a place", f"{right} right, {wrong} wrong, {refused} refused"))
        refused, wrong = (_tested(result, key) for key in ("refused_without_place", "wrong_without_place"))
        found.append(("queries without a place", f"{refused} refused, {wrong} answered"))
    if (point := operating_point(result)) is not None:
        found.append(("precision, recall of the answers", f"{100 * point[1]:.1f} %, {100 * point[0]:.1f} %"))
    if (auc := result.get("place_auc")) is not None:
        found.append(("AUC, with a place against without", f"{auc:.3f}"))
    return found


def operating_point(result: Result) -> tuple[float, float] | None:
    """(recall, precision) at the threshold; None where there is none, or either is not known."""
    recall, precision = _tested(result, "recall"), _tested(result, "precision")
    return None if recall is None or precision is None else (float(recall), float(precision))


def _tested(result: Result, key: str) -> float | None:
    return result.get("no_answer", "tested", key)
