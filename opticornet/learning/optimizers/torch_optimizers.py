"""Torch's optimizers, each taking its step in one pass over the weights."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer

from opticornet.learning.optimizers.base import OptimizerOptions
from opticornet.utils.options import option


@dataclass(frozen=True, kw_only=True)
class SGDOptions(OptimizerOptions):
    """``SGD``: stochastic gradient descent with momentum."""

    momentum: float = option("--momentum", 0.9, "momentum")

    def build(self, parameters: Iterable[Parameter], lr: float, weight_decay: float) -> Optimizer:
        return SGD(parameters, lr=lr, weight_decay=weight_decay, momentum=self.momentum, fused=True)


@dataclass(frozen=True, kw_only=True)
class AdamOptions(OptimizerOptions):
    """``ADAM``, with torch's moments."""

    def build(self, parameters: Iterable[Parameter], lr: float, weight_decay: float) -> Optimizer:
        return Adam(parameters, lr=lr, weight_decay=weight_decay, fused=True)


@dataclass(frozen=True, kw_only=True)
class AdamWOptions(OptimizerOptions):
    """``ADAMW``: Adam with decoupled weight decay."""

    def build(self, parameters: Iterable[Parameter], lr: float, weight_decay: float) -> Optimizer:
        return AdamW(parameters, lr=lr, weight_decay=weight_decay, fused=True)
