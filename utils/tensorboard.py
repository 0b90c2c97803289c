"""What a training run writes for TensorBoard: scalars an epoch, the options as text and as hparams."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tensorboardX import SummaryWriter

from utils.options import Options


class TrainingLog:
    """The TensorBoard events of one run; a context manager that closes them."""

    def __init__(self, run: Path, options: Options, first_epoch: int) -> None:
        self.options = options
        self.writer = SummaryWriter(str(run), purge_step=first_epoch + 1)
        if first_epoch == 0:
            self.writer.add_text("options", f"```json\n{json.dumps(options.record(), indent=2)}\n```")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.writer.close()

    def epoch(self, report: Any) -> None:
        """Write an epoch's :class:`train.EpochReport`."""
        step = report.epoch + 1
        for name, value in report.means.items():
            self.writer.add_scalar(f"train/{name}", value, step)
        self.writer.add_scalar("train/tuples", report.tuples, step)
        self.writer.add_scalar("train/lr", report.lr, step)
        self.writer.add_scalar("speed/seconds_an_epoch", report.seconds, step)
        self.writer.add_scalar("speed/tuples_a_second", report.tuples / max(report.seconds, 1e-9), step)
        for k, recall in (report.recalls or {}).items():
            self.writer.add_scalar(f"val/recall@{k}", recall, step)

    def finish(self, best: tuple[float, float]) -> None:
        """Write the options with the best validation recalls (@5, @1) as hparams, so that runs can be compared."""
        values = {
            name: value if isinstance(value, int | float | str | bool) else str(value)
            for name, value in self.options.record().items()
        }
        self.writer.add_hparams(values, {"best/recall@5": best[0], "best/recall@1": best[1]}, name="hparams")
