"""The options of an optimizer, and what it may change."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from torch.nn import Module, Parameter
from torch.optim import Optimizer

from opticornet.utils.options import Choice


@dataclass(frozen=True, kw_only=True)
class OptimizerOptions(Choice, ABC):
    """The entry of an optimizer in ``OPTIMIZERS``.

    A subclass is a frozen dataclass, whose fields are declared by :func:`opticornet.utils.options.option`.
    """

    @abstractmethod
    def build(self, parameters: Iterable[Parameter], lr: float, weight_decay: float) -> Optimizer:
        """The optimizer of some weights."""


def trainable(module: Module) -> list[Parameter]:
    """The weights of a module that are to be learnt."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]
