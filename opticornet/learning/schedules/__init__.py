"""Learning rates over the epochs, by name."""

from opticornet.utils.registry import Registry

SCHEDULES: Registry = {
    "step": "opticornet.learning.schedules.per_epoch:StepSchedule",
    "cosine": "opticornet.learning.schedules.per_epoch:CosineSchedule",
}
