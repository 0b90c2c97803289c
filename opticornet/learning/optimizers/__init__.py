"""Optimizers by name."""

from opticornet.utils.registry import Registry

OPTIMIZERS: Registry = {
    "SGD": "opticornet.learning.optimizers.torch_optimizers:SGDOptions",
    "ADAM": "opticornet.learning.optimizers.torch_optimizers:AdamOptions",
    "ADAMW": "opticornet.learning.optimizers.torch_optimizers:AdamWOptions",
}
