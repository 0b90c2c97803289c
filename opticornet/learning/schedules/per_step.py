"""Schedules over the optimizer's steps, whatever an epoch is."""

from dataclasses import dataclass

from opticornet.learning.schedules.per_epoch import Schedule
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class LinearSchedule(Schedule):
    """``linear``: by equal parts down to ``lr_end`` times the rate in ``lr_steps`` steps, and no further."""

    lr_steps: int = option("--lrSteps", 10_000, "steps of the optimizer until it is there", minimum=1)
    lr_end: float = option("--lrEnd", 0.1, "factor of the rate at the end")

    def rate(self, lr: float, epoch: int, epochs: int, steps: int = 0) -> float:
        return lr * (1 + (self.lr_end - 1) * min(steps / self.lr_steps, 1))
