"""Learning rates over epochs or steps, by name."""

from opticornet.utils.registry import Registry

SCHEDULES: Registry = {
    "step": "opticornet.learning.schedules.per_epoch:StepSchedule",
    "constant": "opticornet.learning.schedules.per_epoch:ConstantSchedule",
    "cosine": "opticornet.learning.schedules.per_epoch:CosineSchedule",
    "linear": "opticornet.learning.schedules.per_step:LinearSchedule",
}
