"""What each epoch of a run did, as one line of JSON in the run's ``epochs.jsonl``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opticornet.learning.selection import recall_name, recalls_of
from opticornet.utils.files import write_text, writing

EPOCHS = "epochs.jsonl"


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did.

    Attributes:
        epoch: its number, from 0.
        epochs: how many the run is to have.
        means: of each number that the task's steps give, over the epoch's samples; empty where there were none.
        samples: what the epoch learned from, counted as the task counts its batches.
        seconds: spent on batches and steps.
        lr: learning rate.
        metrics: of the validation after the epoch, by name; None where there was none.
        is_best: that validation is the best so far.
    """

    epoch: int
    epochs: int
    means: dict[str, float]
    samples: int
    seconds: float
    lr: float
    metrics: dict[str, float] | None
    is_best: bool


class EpochHistory:
    """What training started from and each epoch as a line of JSON in ``epochs.jsonl``; a resumed run drops the epochs
    that it will repeat.

    Args:
        run: run folder.
        first_epoch: number of epochs already done.
        counted: what samples are called.
    """

    def __init__(self, run: Path, first_epoch: int, counted: str = "tuples") -> None:
        self.path, self.counted = run / EPOCHS, counted
        kept = [epoch for epoch in read_epochs(run) if epoch["epoch"] < first_epoch]
        if self.path.is_file():
            write_text(self.path, "".join(json.dumps(epoch) + "\n" for epoch in kept))

    def begin(self, metrics: Mapping[str, float]) -> None:
        """Write the validation of what training starts from, as epoch -1."""
        start = {"epoch": -1, "recalls": None, "is_best": True} | _validated(metrics)
        write_text(self.path, json.dumps(start) + "\n")

    def add(self, report: EpochReport) -> None:
        """Append an epoch."""
        with writing(self.path), open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(_as_json(report, self.counted)) + "\n")


def _as_json(report: EpochReport, counted: str) -> dict[str, Any]:
    """An epoch as the file has it: samples are ``counted``, recalls stand by their K, other metrics by their name."""
    return {
        "epoch": report.epoch,
        "epochs": report.epochs,
        "means": report.means,
        counted: report.samples,
        "seconds": report.seconds,
        "lr": report.lr,
        "recalls": None,
        "is_best": report.is_best,
    } | _validated(report.metrics)


def _validated(metrics: Mapping[str, float] | None) -> dict[str, Any]:
    """Of a validation: recalls by their K, other metrics, where there are any, by their name."""
    if metrics is None:
        return {}
    recalls = recalls_of(metrics)
    others = {name: value for name, value in metrics.items() if name not in map(recall_name, recalls)}
    return {"recalls": recalls} | ({"metrics": others} if others else {})


def read_epochs(run: Path) -> list[dict[str, Any]]:
    """The epochs of a run, of which -1 is what it started from; a last line cut off by a crash is left out."""
    try:
        lines = (run / EPOCHS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    epochs = []
    for line in lines:
        try:
            epoch = json.loads(line)
        except ValueError:
            continue
        if isinstance(epoch, dict) and isinstance(epoch.get("epoch"), int):
            epochs.append(epoch)
    return epochs
