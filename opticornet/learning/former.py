"""Checkpoints of former layouts."""

from typing import Any

from opticornet.learning.selection import recall_name


def upgraded(state: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint in today's layout.

    Where loop and task were one, ``progress`` held what is now either's; and runs that were selected by recall@5 did
    not keep what else was validated then.
    """
    progress = state.get("progress")
    if progress is None:
        return state
    if "learned" in progress:
        return upgraded(_with_task_apart(state))
    if "best_metrics" in progress:
        return state
    named = zip((recall_name(5), recall_name(1)), progress["best"], strict=False)
    return state | {"progress": progress | {"best_metrics": dict(named)}}


def _with_task_apart(state: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint of the time when loop and task were one, in the layout of the time after."""
    progress = state["progress"]
    totals = dict(progress["totals"])
    samples = int(totals.pop("tuples", 0))
    mined = progress["tuples"]
    mining = {
        "order": progress["order"],
        "part": progress["part"],
        "before": 0,  # counting from the part that was being trained on
        "tuples": mined,
        "found": samples + (len(mined["anchors"]) if mined else 0),  # it matters only whether there were any
    }
    return state | {
        "progress": {
            "epoch": progress["epoch"],
            "step": progress["step"],
            "samples": samples,
            "totals": totals,
            "seconds": progress["seconds"],
            "best": tuple(progress["best"]) if progress["best_epoch"] >= 0 else (),
            "best_epoch": progress["best_epoch"],
            "stale": progress["stale"],
            "converged": progress["learned"],
            "metrics": {recall_name(k): recall for k, recall in progress["recalls"].items()},
        },
        "mining": mining,
        "generator": state["random"]["own"],
    }
