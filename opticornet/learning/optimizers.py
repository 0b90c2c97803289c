"""Optimizers by name, each taking its step in one pass over the weights."""

from collections.abc import Callable, Iterable

from torch.nn import Module, Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer


def make_sgd(parameters: Iterable[Parameter], lr: float, weight_decay: float, momentum: float) -> Optimizer:
    """Stochastic gradient descent with momentum."""
    return SGD(parameters, lr=lr, weight_decay=weight_decay, momentum=momentum, fused=True)


def make_adam(parameters: Iterable[Parameter], lr: float, weight_decay: float, momentum: float) -> Optimizer:
    """Adam with torch's own moments, whatever the momentum."""
    return Adam(parameters, lr=lr, weight_decay=weight_decay, fused=True)


def make_adamw(parameters: Iterable[Parameter], lr: float, weight_decay: float, momentum: float) -> Optimizer:
    """Adam with decoupled weight decay; torch's own moments, whatever the momentum."""
    return AdamW(parameters, lr=lr, weight_decay=weight_decay, fused=True)


OPTIMIZERS: dict[str, Callable[[Iterable[Parameter], float, float, float], Optimizer]] = {
    "SGD": make_sgd,
    "ADAM": make_adam,
    "ADAMW": make_adamw,
}


def trainable(module: Module) -> list[Parameter]:
    """The weights of a module that are to be learnt."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]
