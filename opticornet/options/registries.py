"""Every registry by the name that a plugin adds to."""

from opticornet.datasets.prepare import SOURCES
from opticornet.learning.losses import LOSSES
from opticornet.learning.optimizers import OPTIMIZERS
from opticornet.learning.schedules import SCHEDULES
from opticornet.models.images import IMAGE_ENCODERS
from opticornet.models.sequences import SEQUENCE_ENCODERS
from opticornet.utils.registry import Registry

REGISTRIES: dict[str, Registry] = {
    "SEQUENCE_ENCODERS": SEQUENCE_ENCODERS,
    "IMAGE_ENCODERS": IMAGE_ENCODERS,
    "LOSSES": LOSSES,
    "OPTIMIZERS": OPTIMIZERS,
    "SCHEDULES": SCHEDULES,
    "SOURCES": SOURCES,
}
