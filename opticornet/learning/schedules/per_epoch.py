"""What a schedule is; those that are functions of the epoch's number alone."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from opticornet.utils.options import Choice, option


@dataclass(frozen=True, kw_only=True)
class Schedule(Choice, ABC):
    """The entry of a schedule in ``SCHEDULES``.

    A subclass is a frozen dataclass, whose fields are declared by :func:`opticornet.utils.options.option`.
    """

    @abstractmethod
    def rate(self, lr: float, epoch: int, epochs: int, steps: int = 0) -> float:
        """The learning rate of a step: a function of these alone, so that nothing of it needs restoring.

        Args:
            lr: what it begins with.
            epoch: its number, from 0.
            epochs: how many the run is to have.
            steps: of the optimizer, taken before in all epochs.
        """


@dataclass(frozen=True, kw_only=True)
class StepSchedule(Schedule):
    """``step``: times ``lr_gamma`` for each ``lr_step`` epochs done."""

    lr_step: int = option("--lrStep", 50, "epochs between two steps", minimum=1)
    lr_gamma: float = option("--lrGamma", 0.5, "factor of a step")

    def rate(self, lr: float, epoch: int, epochs: int, steps: int = 0) -> float:
        return lr * self.lr_gamma ** (epoch // self.lr_step)


@dataclass(frozen=True, kw_only=True)
class ConstantSchedule(Schedule):
    """``constant``: as it begins."""

    def rate(self, lr: float, epoch: int, epochs: int, steps: int = 0) -> float:
        return lr


@dataclass(frozen=True, kw_only=True)
class CosineSchedule(Schedule):
    """``cosine``: down to zero along half a cosine."""

    def rate(self, lr: float, epoch: int, epochs: int, steps: int = 0) -> float:
        return lr * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
