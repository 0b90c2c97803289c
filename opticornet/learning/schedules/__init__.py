"""Learning rates over the epochs, by name."""

from opticornet.utils.registry import Registry

SCHEDULES: Registry = {
    "step": "opticornet.learning.schedules.per_epoch:StepSchedule",
    "constant": "opticornet.learning.schedules.per_epoch:ConstantSchedule",
    "cosine": "opticornet.learning.schedules.per_epoch:CosineSchedule",
}
